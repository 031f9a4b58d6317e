import type { Partition } from "../../src/index.ts";
import type { KafkaConsumer } from "../../src/kafka/index.ts";
import { settings } from "./meter.ts";
import { processorOf } from "./pipeline.ts";
import { peakMegabytes, printSample } from "./sample.ts";

/**
 * What the process holds at full speed: it reads the topic over and over, and looks ten times a second. `first` to `last`
 * are medians of tenths of the time, the first of which is warm-up.
 */
const LOOK_EVERY_MS = 100;
const PARTS = 10;

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
const held: number[] = [];
const startedMs = performance.now();
const looking = setInterval(() => held.push(process.memoryUsage.rss() / 1e6), LOOK_EVERY_MS);
await new Promise((resolve) => setTimeout(resolve, settings.seconds * 1_000));
clearInterval(looking);
const size = held.length / PARTS;
const parts = Array.from({ length: PARTS }, (_, i) =>
  median(held.slice(Math.round(i * size), Math.round((i + 1) * size))),
);
printSample({
  messages: seen,
  seconds: (performance.now() - startedMs) / 1_000,
  peakMegabytes: peakMegabytes(),
  grownMegabytes: parts.at(-1)! - parts[1]!,
  ...Object.fromEntries(parts.map((megabytes, i) => [`megabytes${i + 1}`, megabytes])),
});
processor.signalShutdown();
await running;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
