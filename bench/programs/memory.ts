import type { Partition } from "../../src/index.ts";
import type { KafkaConsumer } from "../../src/kafka/index.ts";
import { settings } from "./meter.ts";
import { processorOf } from "./pipeline.ts";
import { overTime, printSample } from "./sample.ts";

/** What the process holds at full speed: it reads the topic over and over. The first tenth of the time is warm-up. */
let consumer: KafkaConsumer | undefined;
let partitions: readonly Partition[] = [];
let seen = 0;
const processor = processorOf(
  (message) => {
    // Short of the end, where nothing comes any more.
    if (++seen % Math.floor(settings.messages * 0.9) === 0)
      consumer?.seek(new Map(partitions.map((partition) => [partition, 0])));
    return message.payload;
  },
  {
    onAssigned(reading, assigned) {
      consumer = reading;
      partitions = [...assigned];
    },
  },
);
const running = processor.run();
while (seen === 0) await new Promise((resolve) => setTimeout(resolve, 10));
const seenBefore = seen;
const sample = await overTime(settings.seconds * 1_000);
printSample({ ...sample, messages: seen - seenBefore });
processor.signalShutdown();
await running;
