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

/** Both exporters at once, scraped and exported every second. */
export function exporters(): AsyncDisposable & { readonly metrics: Metrics } {
  const registry = new Registry();
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: EXPORT_EVERY_MS });
  const provider = new MeterProvider({ readers: [reader] });
  const each: readonly Metrics[] = [
    new PrometheusMetrics({ registry }),
    new OpenTelemetryMetrics({ meter: provider.getMeter("bench") }),
  ];
  let scraped = Promise.resolve("");
  const timer = setInterval(() => {
    exporter.reset();
    scraped = registry.metrics();
  }, EXPORT_EVERY_MS);
  return {
    metrics: {
      increment(...call) {
        for (const metrics of each) metrics.increment(...call);
      },
      gauge(...call) {
        for (const metrics of each) metrics.gauge(...call);
      },
      timing(...call) {
        for (const metrics of each) metrics.timing(...call);
      },
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      // Nobody would believe the figure if nothing had come out.
      if (!(await scraped).includes("arroyo_consumer")) throw new Error("Nothing was exported.");
      await provider.shutdown();
    },
  };
}
