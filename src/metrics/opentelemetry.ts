export type { MetricDescription } from "./definitions.ts";
export { OpenTelemetryMetrics, type OpenTelemetryMetricsOptions } from "./open-telemetry-metrics.ts";
export { carryTrace, traceContextOf, traced, withTraceContext, type TracedOptions } from "./tracing.ts";
