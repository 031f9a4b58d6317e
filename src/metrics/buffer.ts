import type { Clock } from "../clock.ts";
import type { Metrics, MetricTags } from "./metrics.ts";

const FLUSH_EVERY_MS = 1_000;

interface Counter {
  readonly name: string;
  readonly tags: MetricTags | undefined;
  value: number;
}

function keyOf(name: string, tags: MetricTags | undefined): string {
  return tags === undefined ? name : JSON.stringify([name, tags]);
}

/**
 * Adds up counters and times, and passes the sums on once a second, so that a backend is not called once per event.
 * Gauges and single durations go through as they are. (Arroyo's `MetricsBuffer`.)
 */
export class MetricsBuffer implements Metrics {
  readonly #target: Metrics;
  readonly #clock: Clock;
  readonly #counters = new Map<string, Counter>();
  readonly #times = new Map<string, number>();
  #flushAtMs: number;

  constructor(target: Metrics, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
    this.#flushAtMs = clock.monotonicMs() + FLUSH_EVERY_MS;
  }

  increment(name: string, value: number = 1, tags?: MetricTags): void {
    const key = keyOf(name, tags);
    const counter = this.#counters.get(key);
    if (counter === undefined) this.#counters.set(key, { name, tags, value });
    else counter.value += value;
  }

  gauge(name: string, value: number, tags?: MetricTags): void {
    this.#target.gauge(name, value, tags);
  }

  timing(name: string, value: number, tags?: MetricTags): void {
    this.#target.timing(name, value, tags);
  }

  /** Adds to a time that is passed on as the sum of all since the last flush. In ms here, in seconds to the backend. */
  addTime(name: string, durationMs: number): void {
    this.#times.set(name, (this.#times.get(name) ?? 0) + durationMs);
  }

  /** When the next flush is due, on the monotonic clock. */
  get flushAtMs(): number {
    return this.#flushAtMs;
  }

  flushIfDue(monotonicMs: number): void {
    if (monotonicMs >= this.#flushAtMs) this.flush();
  }

  /** Passes everything on, now. */
  flush(): void {
    this.#flushAtMs = this.#clock.monotonicMs() + FLUSH_EVERY_MS;
    for (const [name, durationMs] of this.#times) this.#target.timing(name, durationMs / 1_000);
    this.#times.clear();
    for (const { name, value, tags } of this.#counters.values()) this.#target.increment(name, value, tags);
    this.#counters.clear();
  }
}
