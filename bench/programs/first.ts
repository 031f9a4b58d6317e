import { processorOf } from "./pipeline.ts";
import { printSample } from "./sample.ts";

/** How long it takes from run() to the first message, when the group exists already. */
const groupId = `bench-${process.pid}-${Date.now()}`;
let ms = 0;
for (let round = 0; round < 2; round++) {
  let startedMs = 0;
  let isFirst = true;
  const processor = processorOf(
    (message) => {
      if (isFirst) {
        isFirst = false;
        ms = performance.now() - startedMs;
        processor.signalShutdown();
      }
      return message.payload;
    },
    { groupId },
  );
  startedMs = performance.now();
  await processor.run();
}
printSample({ ms });
