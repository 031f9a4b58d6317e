import { settings } from "./meter.ts";
import { Paced, WARM_UP_MS } from "./paced.ts";
import { overTime, printSample } from "./sample.ts";

/** The handler of slow.ts without Kafka or the library: whenever it takes nothing, it is asked again a millisecond later. */
const handler = new Paced();
let timer = setTimeout(ask, 1);
await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
const takenBefore = handler.taken;
const sample = await overTime(settings.seconds * 1_000);
printSample({ ...sample, messagesPerSecond: (handler.taken - takenBefore) / sample.seconds });
clearTimeout(timer);

function ask(): void {
  while (handler.take());
  timer = setTimeout(ask, 1);
}
