import { monotonicMs } from "./clock.ts";
import { settings } from "./meter.ts";
import { processorOf } from "./pipeline.ts";
import { printSample } from "./sample.ts";

/** From the producer's clock, which is in each value, to the handler. The first half is warm-up. */
const latencies: number[] = [];
const processor = processorOf(
  (message) => {
    const nowMs = monotonicMs();
    latencies.push(nowMs - Number(message.payload.text()));
    if (latencies.length === settings.messages) {
      const sorted = latencies.slice(settings.messages / 2).toSorted((a, b) => a - b);
      const at = (share: number): number => sorted[Math.floor(sorted.length * share)]!;
      printSample({ p50: at(0.5), p99: at(0.99) });
      processor.signalShutdown();
    }
    return message.payload;
  },
  { reset: "latest" },
);
await processor.run();
