import { writeLogLine, type Logger } from "./logger.ts";
import type { Metrics, MetricTags } from "./metrics/metrics.ts";
import { MetricName } from "./metrics/names.ts";

/**
 * What a user gives to be told of things must not stop what it is told of: if it throws, that is said once on standard
 * error, and counted (`arroyo.sink.errors`) where metrics are taken.
 */
class Guard {
  readonly #what: string;
  /** Not counted yet. */
  failures = 0;
  #isTold = false;

  constructor(what: string) {
    this.#what = what;
  }

  run(call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      this.failures++;
      if (!this.#isTold) {
        this.#isTold = true;
        const msg = `${this.#what} throws: what it was told is lost. This is said once; "${MetricName.SINK_ERRORS}" counts on.`;
        writeLogLine("error", { err: error }, msg);
      }
      return false;
    }
  }
}

const loggers = new WeakMap<Logger, Logger>();
const sinks = new WeakMap<Metrics, Metrics>();

/** The same logger, that never throws. The same object gives the same result, and what is guarded already stays as it is. */
export function guardedLogger(logger: Logger, metrics?: Metrics): Logger {
  const before = loggers.get(logger);
  if (before !== undefined) return before;
  const guard = new Guard("The logger");
  const call = (level: keyof Logger, fields: Readonly<Record<string, unknown>>, message: string): void => {
    if (!guard.run(() => logger[level](fields, message)) && metrics !== undefined) {
      guardedMetrics(metrics).increment(MetricName.SINK_ERRORS, 1, { sink: "logger" });
    }
  };
  const guarded: Logger = {
    debug: (fields, message) => call("debug", fields, message),
    info: (fields, message) => call("info", fields, message),
    warn: (fields, message) => call("warn", fields, message),
    error: (fields, message) => call("error", fields, message),
  };
  loggers.set(logger, guarded);
  loggers.set(guarded, guarded);
  return guarded;
}

/** The same metrics, that never throw. What they have not taken is counted as soon as they take something again. */
export function guardedMetrics(metrics: Metrics): Metrics {
  const before = sinks.get(metrics);
  if (before !== undefined) return before;
  const guard = new Guard("The metrics sink");
  const call = (kind: keyof Metrics, name: string, value: number | undefined, tags?: MetricTags): void => {
    const isTaken = guard.run(() => metrics[kind](name, value as number, tags));
    if (!isTaken || guard.failures === 0) return;
    const failures = guard.failures;
    const tag = { sink: "metrics" };
    if (guard.run(() => metrics.increment(MetricName.SINK_ERRORS, failures, tag))) guard.failures = 0;
  };
  const guarded: Metrics = {
    increment: (name, value, tags) => call("increment", name, value, tags),
    gauge: (name, value, tags) => call("gauge", name, value, tags),
    timing: (name, value, tags) => call("timing", name, value, tags),
  };
  sinks.set(metrics, guarded);
  sinks.set(guarded, guarded);
  return guarded;
}

/** A callback of the user's that is called for its effect, guarded in the same way. */
export function guardedCallback<Value>(
  name: string,
  callback: (value: Value) => void,
  metrics: Metrics,
): (value: Value) => void {
  const guard = new Guard(name);
  return (value) => {
    if (!guard.run(() => callback(value))) metrics.increment(MetricName.SINK_ERRORS, 1, { sink: name });
  };
}
