import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type MetricData,
} from "@opentelemetry/sdk-metrics";
import { MetricName } from "../../src/index.ts";
import { OpenTelemetryMetrics } from "../../src/metrics/opentelemetry.ts";
import { MockClock } from "../../src/testing/index.ts";

class Setup {
  readonly clock: MockClock = new MockClock();
  readonly metrics: OpenTelemetryMetrics;
  readonly #exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA);
  readonly #provider: MeterProvider;

  constructor() {
    const reader = new PeriodicExportingMetricReader({
      exporter: this.#exporter,
      exportIntervalMillis: 3_600_000,
    });
    this.#provider = new MeterProvider({ readers: [reader] });
    this.metrics = new OpenTelemetryMetrics({
      meter: this.#provider.getMeter("test"),
      attributes: { consumer: "orders" },
      definitions: { "orders.total": { type: "counter", tags: ["country"], meaning: "Orders." } },
      clock: this.clock,
    });
  }

  /** What is exported now, by name. */
  async exported(): Promise<Map<string, MetricData>> {
    this.#exporter.reset();
    await this.#provider.forceFlush();
    const scopes = this.#exporter.getMetrics().flatMap((resource) => resource.scopeMetrics);
    return new Map(
      scopes.flatMap(({ metrics }) => metrics).map((metric) => [metric.descriptor.name, metric]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#provider.shutdown();
  }
}

function points(metric: MetricData | undefined): { attributes: unknown; value: unknown }[] {
  return (metric?.dataPoints ?? []).map(({ attributes, value }) => ({ attributes, value }));
}

describe("OpenTelemetryMetrics", () => {
  it("counts, measures and adds up times under the catalogue's names, units and meanings", async () => {
    await using setup = new Setup();
    const { metrics } = setup;
    metrics.increment(MetricName.COMMIT_STATUS, 2, { status: "success" });
    metrics.increment(MetricName.COMMIT_STATUS, 1, { status: "success" });
    metrics.timing(MetricName.POLL_TIME, 0.25);
    metrics.timing(MetricName.POLL_TIME, 0.5);
    metrics.timing(MetricName.LATENCY, 0.02);
    metrics.increment("orders.total", 1, { country: "AT" });
    const exported = await setup.exported();
    assert.deepEqual(points(exported.get(MetricName.COMMIT_STATUS)), [
      { attributes: { consumer: "orders", status: "success" }, value: 3 },
    ]);
    assert.deepEqual(points(exported.get(MetricName.POLL_TIME)), [
      { attributes: { consumer: "orders" }, value: 0.75 },
    ]);
    const latency = exported.get(MetricName.LATENCY);
    assert.equal(latency?.descriptor.unit, "s");
    assert.match(latency?.descriptor.description ?? "", /timestamp to its commit/);
    assert.equal((latency?.dataPoints[0]?.value as { count: number } | undefined)?.count, 1);
    assert.equal(exported.get("orders.total")?.descriptor.description, "Orders.");
  });

  it("reports a gauge as it was set last, and forgets a partition's after two minutes", async () => {
    await using setup = new Setup();
    const { metrics, clock } = setup;
    metrics.gauge(MetricName.DLQ_BUFFER_LENGTH, 3, { partition_index: "0" });
    metrics.gauge(MetricName.DLQ_BUFFER_LENGTH, 9, { partition_index: "0" });
    metrics.gauge(MetricName.DLQ_IN_FLIGHT, 1);
    assert.deepEqual(points((await setup.exported()).get(MetricName.DLQ_BUFFER_LENGTH)), [
      { attributes: { consumer: "orders", partition_index: "0" }, value: 9 },
    ]);
    clock.advance(121_000);
    const later = await setup.exported();
    assert.deepEqual(points(later.get(MetricName.DLQ_BUFFER_LENGTH)), []);
    assert.deepEqual(
      points(later.get(MetricName.DLQ_IN_FLIGHT)),
      [{ attributes: { consumer: "orders" }, value: 1 }],
      "one without tags stays",
    );
  });
});
