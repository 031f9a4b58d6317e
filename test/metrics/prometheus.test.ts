import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { KafkaPayload, MetricName, METRICS, pipeline, StreamProcessor } from "../../src/index.ts";
import { LocalBroker } from "../../src/local/index.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { prometheusShape } from "../../src/metrics/prometheus-names.ts";
import { MockClock } from "../../src/testing/index.ts";

function exporter(options: ConstructorParameters<typeof PrometheusMetrics>[0] = {}): PrometheusMetrics {
  return new PrometheusMetrics({ registry: new Registry(), ...options });
}

/** The lines of the page that are about one metric. */
async function lines(metrics: PrometheusMetrics, name: string): Promise<string[]> {
  const page = await metrics.registry.metrics();
  return page.split("\n").filter((line) => line.startsWith(name));
}

describe("PrometheusMetrics", () => {
  it("has every metric of the catalogue from the start, each under a name of its own", async () => {
    const page = await exporter().registry.metrics();
    const names = [...METRICS].map(([name, definition]) => prometheusShape(name, definition).name);
    assert.equal(new Set(names).size, METRICS.size);
    for (const [name, definition] of METRICS) {
      const shape = prometheusShape(name, definition);
      assert.match(page, new RegExp(`^# TYPE ${shape.name} ${shape.kind}$`, "m"), name);
      assert.ok(page.includes(`# HELP ${shape.name} ${definition.meaning}`), name);
    }
  });

  it("makes counters, gauges, histograms of single times, and counters of summed times", async () => {
    const metrics = exporter({ labels: { consumer: "orders" } });
    metrics.increment(MetricName.COMMIT_STATUS, 2, { status: "success" });
    metrics.increment(MetricName.COMMIT_STATUS, 1, { status: "success" });
    metrics.gauge(MetricName.DLQ_IN_FLIGHT, 7);
    metrics.timing(MetricName.LATENCY, 0.02);
    metrics.timing(MetricName.POLL_TIME, 0.25);
    metrics.timing(MetricName.POLL_TIME, 0.5);
    assert.deepEqual(await lines(metrics, "arroyo_consumer_commit_status_total"), [
      'arroyo_consumer_commit_status_total{consumer="orders",status="success"} 3',
    ]);
    assert.deepEqual(await lines(metrics, "arroyo_consumer_dlq_in_flight"), [
      'arroyo_consumer_dlq_in_flight{consumer="orders"} 7',
    ]);
    assert.deepEqual(await lines(metrics, "arroyo_consumer_poll_time_seconds_total"), [
      'arroyo_consumer_poll_time_seconds_total{consumer="orders"} 0.75',
    ]);
    const latency = await lines(metrics, "arroyo_consumer_latency_seconds");
    assert.ok(latency.includes('arroyo_consumer_latency_seconds_bucket{le="0.01",consumer="orders"} 0'));
    assert.ok(latency.includes('arroyo_consumer_latency_seconds_bucket{le="0.05",consumer="orders"} 1'));
    assert.ok(latency.includes('arroyo_consumer_latency_seconds_sum{consumer="orders"} 0.02'));
  });

  it("forgets a gauge of a partition that was not set for two minutes", async () => {
    const clock = new MockClock();
    const metrics = exporter({ clock });
    metrics.gauge(MetricName.DLQ_BUFFER_LENGTH, 3, { partition_index: "0" });
    metrics.gauge(MetricName.DLQ_BUFFER_PARTITIONS, 1);
    clock.advance(90_000);
    metrics.gauge(MetricName.DLQ_BUFFER_LENGTH, 4, { partition_index: "1" });
    assert.equal((await lines(metrics, "arroyo_consumer_dlq_buffer_len")).length, 2);
    clock.advance(60_000);
    assert.deepEqual(await lines(metrics, "arroyo_consumer_dlq_buffer_len"), [
      'arroyo_consumer_dlq_buffer_len{partition_index="1"} 4',
    ]);
    assert.deepEqual(await lines(metrics, "arroyo_consumer_dlq_buffer_assigned_partitions"), [
      "arroyo_consumer_dlq_buffer_assigned_partitions 1",
    ]);
  });

  it("is shared by the consumers of a process that have the same label names", async () => {
    const registry = new Registry();
    const orders = new PrometheusMetrics({ registry, labels: { consumer: "orders" } });
    const payments = new PrometheusMetrics({ registry, labels: { consumer: "payments" } });
    orders.increment(MetricName.RUN_COUNT);
    payments.increment(MetricName.RUN_COUNT, 5);
    payments.gauge(MetricName.DLQ_IN_FLIGHT, 2);
    assert.deepEqual(await lines(orders, "arroyo_consumer_run_total"), [
      'arroyo_consumer_run_total{consumer="orders"} 1',
      'arroyo_consumer_run_total{consumer="payments"} 5',
    ]);
    assert.deepEqual(await lines(orders, "arroyo_consumer_dlq_in_flight"), [
      'arroyo_consumer_dlq_in_flight{consumer="payments"} 2',
    ]);
    assert.throws(() => new PrometheusMetrics({ registry, labels: { service: "x" } }), {
      code: "ARROYO_CONFIGURATION",
      message: /registered already, with the labels \[consumer\] instead of \[service\]/,
    });
  });

  it("takes metrics that are in no catalogue", async () => {
    const metrics = exporter({
      definitions: {
        "orders.total": { type: "counter", tags: ["country"], meaning: "Orders." },
        "orders.amount": { type: "timing", unit: "bytes", tags: [], meaning: "Size of an order." },
      },
      buckets: { "orders.amount": [10, 20] },
    });
    metrics.increment("orders.total", 1, { country: "AT" });
    metrics.timing("orders.amount", 15);
    metrics.increment("orders.seen");
    assert.deepEqual(await lines(metrics, "orders_total"), ['orders_total_total{country="AT"} 1']);
    assert.deepEqual(await lines(metrics, "orders_seen"), ["orders_seen_total 1"]);
    assert.deepEqual((await lines(metrics, "orders_amount_bucket")).length, 3);
  });

  it("shows what a processor has done", async () => {
    const metrics = exporter();
    await using broker = new LocalBroker();
    await broker.createTopic("orders", 1);
    await using producer = broker.producer();
    await producer.produce("orders", new KafkaPayload(null, "yes"));
    await producer.produce("orders", new KafkaPayload(null, "no"));
    let seen = 0;
    const factory = pipeline()
      .filter((payload) => {
        if (++seen === 2) processor.signalShutdown();
        return payload.text() !== "no";
      })
      .commit();
    await using consumer = broker.consumer({ "group.id": "g", "auto.offset.reset": "earliest" });
    const processor: StreamProcessor<KafkaPayload> = new StreamProcessor({
      consumer,
      topic: "orders",
      factory,
      metrics,
    });
    await processor.run();
    assert.deepEqual(await lines(metrics, "arroyo_strategies_filter_dropped_messages_total"), [
      "arroyo_strategies_filter_dropped_messages_total 1",
    ]);
    assert.deepEqual(await lines(metrics, "arroyo_consumer_partitions_assigned_total"), [
      "arroyo_consumer_partitions_assigned_total 1",
    ]);
  });
});
