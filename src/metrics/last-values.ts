import type { Clock } from "../clock.ts";
import type { MetricTags } from "./metrics.ts";

/** The processor sets its gauges once a second; what was not set for so long is not there any more. */
const STALE_AFTER_MS = 120_000;

/**
 * What a gauge was set to last, for each combination of tags. One with tags that was not set for two minutes is forgotten:
 * its partition is somebody else's by now, and must not look as if it were stuck here.
 */
export class LastValues {
  readonly #clock: Clock;
  readonly #values = new Map<
    string,
    { readonly tags: MetricTags; readonly value: number; readonly atMs: number }
  >();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(tags: MetricTags, value: number, varies: boolean): void {
    const atMs = varies ? this.#clock.monotonicMs() : Infinity;
    this.#values.set(JSON.stringify(tags), { tags, value, atMs });
  }

  current(): { readonly tags: MetricTags; readonly value: number }[] {
    const beforeMs = this.#clock.monotonicMs() - STALE_AFTER_MS;
    for (const [key, { atMs }] of this.#values) {
      if (atMs <= beforeMs) this.#values.delete(key);
    }
    return [...this.#values.values()];
  }
}
