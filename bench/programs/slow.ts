import { MessageRejected } from "../../src/index.ts";
import { settings } from "./meter.ts";
import { processorOf } from "./pipeline.ts";
import { cpuPercent, peakMegabytes, printSample } from "./sample.ts";

/**
 * What back-pressure costs: a handler that takes a message each millisecond and rejects what comes in between. It does
 * nothing itself, so the process' CPU time is that of the library. How much memory is held does not depend on how long.
 */
const WARM_UP_MS = 4_000;
const MESSAGES_PER_MS = 1;

let taken = 0;
const startedMs = performance.now();
const processor = processorOf((message) => {
  if (taken >= (performance.now() - startedMs) * MESSAGES_PER_MS) throw new MessageRejected();
  taken++;
  return message.payload;
});
const running = processor.run();
await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
const takenBefore = taken;
const before = process.memoryUsage().rss;
const beganMs = performance.now();
const percent = await cpuPercent(settings.seconds * 1_000);
printSample({
  percent,
  messagesPerSecond: ((taken - takenBefore) / (performance.now() - beganMs)) * 1_000,
  grownMegabytes: (process.memoryUsage().rss - before) / 1e6,
  peakMegabytes: peakMegabytes(),
});
processor.signalShutdown();
await running;
