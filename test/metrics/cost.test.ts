import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { Registry } from "prom-client";
import type { Metrics } from "../../src/metrics/metrics.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { OpenTelemetryMetrics } from "../../src/metrics/opentelemetry.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { Bench, P0 } from "../processing/fixtures.ts";

type Call = (sink: Metrics) => void;

/** What a processor hands to its metrics in so many seconds, in which so many messages come. */
async function callsFor(messages: number, seconds: number): Promise<Call[]> {
  const calls: Call[] = [];
  const metrics: Metrics = {
    increment: (...call) => void calls.push((sink) => sink.increment(...call)),
    gauge: (...call) => void calls.push((sink) => sink.gauge(...call)),
    timing: (...call) => void calls.push((sink) => sink.timing(...call)),
  };
  await using bench = new Bench({ metrics });
  await bench.start(P0);
  await bench.advance(2_000);
  calls.length = 0;
  for (let second = 0; second < seconds; second++) {
    bench.consumer.send(P0, ...Array.from({ length: messages / seconds }, () => "x"));
    await bench.advance(1_000);
  }
  assert.equal(bench.chain.payloads.length, messages);
  return [...calls];
}

describe("what metrics cost", () => {
  it("does not grow with the messages: a backend is called some times a second", async () => {
    const few = await callsFor(10, 10);
    const many = await callsFor(20_000, 10);
    assert.ok(few.length > 0);
    assert.ok(
      many.length <= few.length + 10,
      `${many.length} calls for 20,000 messages, ${few.length} for 10`,
    );
    assert.ok(many.length <= 10 * 20, `${many.length} calls in 10 s`);
  });

  it("is under 2 % of one core with both exporters, each asked once a second, and the lag of 100 partitions", async () => {
    const calls = await callsFor(2_000, 1);
    for (let partition = 0; partition < 100; partition++) {
      const tags = { topic: "orders", partition: String(partition) };
      calls.push((sink) => sink.gauge(MetricName.KAFKA_LAG, partition, tags));
    }
    const registry = new Registry();
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
    const provider = new MeterProvider({ readers: [reader] });
    const sinks = [
      new PrometheusMetrics({ registry }),
      new OpenTelemetryMetrics({ meter: provider.getMeter("test") }),
    ];
    const takenMs: number[] = [];
    for (let second = 0; second < 30; second++) {
      const before = process.cpuUsage();
      for (const sink of sinks) for (const call of calls) call(sink);
      assert.match(await registry.metrics(), /^arroyo_consumer_messages_received_total \d/m);
      await provider.forceFlush();
      const { user, system } = process.cpuUsage(before);
      takenMs.push((user + system) / 1_000);
      exporter.reset();
    }
    await provider.shutdown();
    const medianMs = takenMs.toSorted((a, b) => a - b)[takenMs.length / 2]!;
    assert.ok(medianMs < 20, `${medianMs} ms of CPU in each second`);
  });
});
