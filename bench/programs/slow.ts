import { MessageRejected } from "../../src/index.ts";
import { processorOf } from "./pipeline.ts";

/**
 * What back-pressure costs: a handler that takes a message each millisecond and rejects what comes in between. It does
 * nothing itself, so the process' CPU time is that of the library.
 */
const WARM_UP_MS = 5_000;
const MEASURED_MS = 10_000;

let taken = 0;
const startedMs = performance.now();
const processor = processorOf((message) => {
  if (taken >= performance.now() - startedMs) throw new MessageRejected();
  taken++;
  return message.payload;
});
const running = processor.run();
await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
const before = process.cpuUsage();
const takenBefore = taken;
const beganMs = performance.now();
await new Promise((resolve) => setTimeout(resolve, MEASURED_MS));
const { user, system } = process.cpuUsage(before);
const tookMs = performance.now() - beganMs;
const percent = (user + system) / 10 / tookMs;
const messagesPerSecond = ((taken - takenBefore) / tookMs) * 1_000;
process.stdout.write(
  `${JSON.stringify({ percent, messagesPerSecond, rssMegabytes: process.memoryUsage().rss / 1e6 })}\n`,
);
processor.signalShutdown();
await running;
