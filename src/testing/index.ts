export { MockClock } from "./mock-clock.ts";
export { RecordingMetrics, type RecordedMetric } from "./recording-metrics.ts";
