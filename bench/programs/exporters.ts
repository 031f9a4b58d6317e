import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { Registry } from "prom-client";
import type { Metrics } from "../../src/index.ts";
import { OpenTelemetryMetrics } from "../../src/metrics/opentelemetry.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";

/** Far more often than anybody would: every 15 s to 60 s is usual. */
const EXPORT_EVERY_MS = 1_000;
/** The reader's own timer is not used. */
const NEVER_MS = 3_600_000;

/** Exporters at work. */
export interface Exporting extends AsyncDisposable {
  readonly metrics: Metrics;
  /** What they take of the main thread's CPU time, and what that takes in all since the first message: a share in percent. */
  percent(): number;
}

/** Both exporters at once, scraped and exported every second. */
export function exporters(): Exporting {
  const registry = new Registry();
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: NEVER_MS });
  const provider = new MeterProvider({ readers: [reader] });
  const each: readonly Metrics[] = [
    new PrometheusMetrics({ registry }),
    new OpenTelemetryMetrics({ meter: provider.getMeter("bench") }),
  ];
  let takenUs = 0;
  let scraped = "";
  const taking = (work: (metrics: Metrics) => void): void => {
    const before = process.threadCpuUsage();
    for (const metrics of each) work(metrics);
    takenUs += cpuUs(before);
  };
  const started = process.threadCpuUsage();
  const timer = setInterval(() => {
    // From one turn of the event loop: nothing but microtasks comes between.
    const before = process.threadCpuUsage();
    void Promise.all([registry.metrics(), reader.collect()]).then(([text, { errors }]) => {
      scraped = text;
      if (errors.length > 0) throw new Error("OpenTelemetry did not collect all", { cause: errors[0] });
      takenUs += cpuUs(before);
    });
  }, EXPORT_EVERY_MS);
  return {
    metrics: {
      increment: (...call) => taking((metrics) => metrics.increment(...call)),
      gauge: (...call) => taking((metrics) => metrics.gauge(...call)),
      timing: (...call) => taking((metrics) => metrics.timing(...call)),
    },
    percent: () => (takenUs / cpuUs(started)) * 100,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      // Nobody would believe the figure if nothing had come out.
      if (!scraped.includes("arroyo_consumer")) throw new Error("Nothing was exported.");
      await provider.shutdown();
    },
  };
}

/** The CPU time of this thread since then. */
function cpuUs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}
