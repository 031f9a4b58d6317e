import { METRICS, type MetricDefinition, type MetricName } from "./names.ts";

/** What an exporter has to know of a metric. The catalogue's definitions are such; a metric of one's own may have one. */
export type MetricDescription = Pick<MetricDefinition, "type" | "tags" | "meaning"> & {
  /** Default: events. Times in "seconds" become histograms, those in "seconds per flush" counters of seconds. */
  readonly unit?: MetricDefinition["unit"] | undefined;
};

/** The definition of a metric: of the catalogue, of one's own, or else what its first use shows. */
export function describeMetric(
  name: string,
  own: Readonly<Record<string, MetricDescription>>,
  firstUse: Pick<MetricDefinition, "type" | "tags">,
): MetricDefinition {
  const described = METRICS.get(name as MetricName) ?? own[name];
  if (described !== undefined) return { unit: "events", ...described } as MetricDefinition;
  return { unit: firstUse.type === "timing" ? "seconds" : "events", meaning: name, ...firstUse };
}
