import { processorOf } from "./pipeline.ts";

/** From the producer's clock, which is in each value, to the handler. The first tenth is warm-up. */
const WANTED = 1_000;
const latencies: number[] = [];
const processor = processorOf(
  (message) => {
    const nowMs = performance.timeOrigin + performance.now();
    latencies.push(nowMs - Number(message.payload.text()));
    if (latencies.length === WANTED) {
      const sorted = latencies.slice(WANTED / 10).toSorted((a, b) => a - b);
      const at = (share: number): number => sorted[Math.floor(sorted.length * share)] as number;
      process.stdout.write(`${JSON.stringify({ p50: at(0.5), p99: at(0.99) })}\n`);
      processor.signalShutdown();
    }
    return message.payload;
  },
  { reset: "latest" },
);
await processor.run();
