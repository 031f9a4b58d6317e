import assert from "node:assert/strict";
import { test } from "node:test";
import { StatisticsMetrics } from "../../src/kafka/statistics.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { RecordingMetrics } from "../../src/testing/recording-metrics.ts";

test("a consumer and a producer that share metrics do not overwrite each other's", () => {
  const metrics = new RecordingMetrics();
  const broker = {
    nodeId: 1,
    host: "kafka",
    port: 9092,
    roundTrip: undefined,
    held: undefined,
    requestsInFlight: 1,
    connects: 2,
    disconnects: 0,
    errors: 0,
  };
  const group = {
    groupId: "orders",
    protocol: "classic",
    state: "stable",
    memberId: "member-1",
    generation: 1,
    partitions: 0,
    rebalances: 1,
    msSinceRebalance: 5,
    msSinceCoordinatorAnswer: 5,
  } as const;
  new StatisticsMetrics(metrics).consumer({
    ...{ type: "consumer", clientId: "c", atMs: 0, partitions: [], group },
    brokers: [broker],
  });
  new StatisticsMetrics(metrics).producer({
    ...{ type: "producer", clientId: "p", atMs: 0, messages: 0, bytes: 0 },
    ...{ batches: { waiting: 0, inFlight: 0 }, brokers: [{ ...broker, requestsInFlight: 7 }] },
  });
  const inFlight = (client: string): number | undefined =>
    metrics.last(MetricName.KAFKA_BROKER_REQUESTS_IN_FLIGHT, { client, broker_id: "1" });
  assert.deepEqual([inFlight("consumer"), inFlight("producer")], [1, 7]);
});
