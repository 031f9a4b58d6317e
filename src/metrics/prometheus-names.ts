import type { MetricDefinition } from "./names.ts";

/** How a metric of the catalogue looks in Prometheus. */
export interface PrometheusShape {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly name: string;
}

/**
 * Prometheus' conventions for names: `_total` at the end of counters, the unit before it. A time that is handed on as the
 * sum of each second becomes a counter of seconds, whose rate is the share of time that was spent.
 */
export function prometheusShape(
  name: string,
  { type, unit }: Pick<MetricDefinition, "type" | "unit">,
): PrometheusShape {
  const base = name.replace(/\.count$/, "").replaceAll(/[^a-zA-Z0-9_]/g, "_");
  if (type === "gauge") return { kind: "gauge", name: base };
  if (type === "counter") return { kind: "counter", name: `${base}_total` };
  if (unit === "seconds per flush") return { kind: "counter", name: `${base}_seconds_total` };
  return { kind: "histogram", name: unit === "seconds" ? `${base}_seconds` : base };
}
