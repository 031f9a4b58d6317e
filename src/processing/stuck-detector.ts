import type { Vitals } from "../backend/vitals.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { MetricName } from "../metrics/names.ts";
import type { StuckEvent } from "../watch/stuck-reporter.ts";
import { openWatch } from "../watch/watch-thread.ts";

export interface StuckDetectorOptions {
  readonly vitals: Vitals;
  readonly timeoutMs: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * Has another thread look whether this one polls. When it has not for `timeoutMs`, that thread writes to standard error where
 * this one is; here it is counted, and logged how long it took, as soon as it is free again.
 *
 * Disposing of it ends the watch.
 */
export function detectStuck({ vitals, timeoutMs, logger, metrics }: StuckDetectorOptions): Disposable {
  let stack: string | undefined;
  const watch = openWatch({ kind: "stuck", vitals: vitals.buffer, timeoutMs }, (error) =>
    logger.error(
      { err: error },
      "The stuck detector has failed: nobody looks any more whether the main thread polls.",
    ),
  );
  const { port } = watch;
  port.on("message", (event: StuckEvent) => {
    switch (event.type) {
      case "ping":
        port.postMessage("pong");
        break;
      case "stuck":
        metrics.increment(MetricName.STUCK);
        ({ stack } = event);
        if (!event.isWritten) logger.error({ stack }, event.message);
        break;
      case "free":
        logger.warn({ lastedMs: event.silentMs, stack }, "The main thread polls again, after it was stuck.");
        break;
    }
  });
  port.unref();
  return {
    [Symbol.dispose]() {
      port.close();
      watch.release();
    },
  };
}
