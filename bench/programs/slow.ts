import { MessageRejected } from "../../src/index.ts";
import { settings } from "./meter.ts";
import { Paced, WARM_UP_MS } from "./paced.ts";
import { processorOf } from "./pipeline.ts";
import { overTime, printSample } from "./sample.ts";

/**
 * What back-pressure costs: a handler that takes a message each millisecond and rejects what comes in between, which the
 * processor then holds and tries again. handler-alone.ts is the same without Kafka.
 */
const handler = new Paced();
const processor = processorOf((message) => {
  if (!handler.take()) throw new MessageRejected();
  return message.payload;
});
const running = processor.run();
await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
const takenBefore = handler.taken;
const sample = await overTime(settings.seconds * 1_000);
printSample({ ...sample, messagesPerSecond: (handler.taken - takenBefore) / sample.seconds });
processor.signalShutdown();
await running;
