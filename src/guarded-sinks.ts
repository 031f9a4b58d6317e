import { writeLogLine, type LogFields, type Logger } from "./logger.ts";
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

const loggers = new WeakMap<Logger, GuardedLogger>();
const sinks = new WeakMap<Metrics, Metrics>();

class GuardedLogger implements Logger {
  readonly #logger: Logger;
  readonly #guard = new Guard("The logger");
  /** Where it is counted, as soon as somebody has said where. */
  metrics: Metrics | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  // Bound, since loggers are taken apart.
  readonly debug: Logger["debug"] = (fields, message) => this.#call("debug", fields, message);
  readonly info: Logger["info"] = (fields, message) => this.#call("info", fields, message);
  readonly warn: Logger["warn"] = (fields, message) => this.#call("warn", fields, message);
  readonly error: Logger["error"] = (fields, message) => this.#call("error", fields, message);

  #call(level: keyof Logger, fields: LogFields, message: string): void {
    if (this.#guard.run(() => this.#logger[level](fields, message)) || this.metrics === undefined) return;
    guardedMetrics(this.metrics).increment(MetricName.SINK_ERRORS, 1, { sink: "logger" });
  }
}

/** The same logger, that never throws. The same object gives the same result, and what is guarded already stays as it is. */
export function guardedLogger(logger: Logger, metrics?: Metrics): Logger {
  let guarded = loggers.get(logger);
  if (guarded === undefined) {
    guarded = new GuardedLogger(logger);
    loggers.set(logger, guarded);
    loggers.set(guarded, guarded);
  }
  guarded.metrics ??= metrics;
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
