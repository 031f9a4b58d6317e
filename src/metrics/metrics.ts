/** Tags of a metric. */
export type MetricTags = Readonly<Record<string, string>>;

/**
 * Where metrics go. Called at most about once a second per name by the processor, never once per message.
 * (Arroyo's `Metrics`.)
 */
export interface Metrics {
  /** Adds to a counter. */
  increment(name: string, value?: number, tags?: MetricTags): void;
  /** Sets a gauge. */
  gauge(name: string, value: number, tags?: MetricTags): void;
  /** Notes one duration, in the unit that the catalogue gives for the name. */
  timing(name: string, value: number, tags?: MetricTags): void;
}

function nothing(): void {}

/** Drops everything: the default. */
export const noopMetrics: Metrics = { increment: nothing, gauge: nothing, timing: nothing };
