import type { Metrics, MetricTags } from "../metrics/metrics.ts";

/** One call to a {@link RecordingMetrics}. */
export interface RecordedMetric {
  readonly type: "increment" | "gauge" | "timing";
  readonly name: string;
  readonly value: number;
  readonly tags: MetricTags | undefined;
}

/** Metrics that remember every call, for tests. */
export class RecordingMetrics implements Metrics {
  /** Every call, in order. */
  readonly calls: RecordedMetric[] = [];

  increment(name: string, value: number = 1, tags?: MetricTags): void {
    this.calls.push({ type: "increment", name, value, tags });
  }

  gauge(name: string, value: number, tags?: MetricTags): void {
    this.calls.push({ type: "gauge", name, value, tags });
  }

  timing(name: string, value: number, tags?: MetricTags): void {
    this.calls.push({ type: "timing", name, value, tags });
  }

  /** What a counter adds up to; with `tags`, only where these tags have these values. */
  count(name: string, tags: MetricTags = {}): number {
    return this.#of("increment", name, tags).reduce((sum, call) => sum + call.value, 0);
  }

  /** What a gauge stands at; undefined when it was never set. */
  last(name: string, tags: MetricTags = {}): number | undefined {
    return this.#of("gauge", name, tags).at(-1)?.value;
  }

  /** Every duration that was noted under a name, in order. */
  timings(name: string, tags: MetricTags = {}): readonly number[] {
    return this.#of("timing", name, tags).map((call) => call.value);
  }

  /** Forgets everything. */
  reset(): void {
    this.calls.length = 0;
  }

  #of(type: RecordedMetric["type"], name: string, tags: MetricTags): RecordedMetric[] {
    return this.calls.filter(
      (call) =>
        call.type === type &&
        call.name === name &&
        Object.entries(tags).every(([tag, value]) => call.tags?.[tag] === value),
    );
  }
}
