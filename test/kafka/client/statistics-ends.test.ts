import assert from "node:assert/strict";
import { test } from "node:test";
import type { ListOffsetsRequest, ListOffsetsResponse } from "../../../src/kafka/client/apis.ts";
import type { ConsumerEvent } from "../../../src/kafka/client/protocol.ts";
import {
  ConsumerStatisticsCollector,
  type PartitionFetching,
} from "../../../src/kafka/client/statistics-consumer.ts";
import { resolveConsumerConfig } from "../../../src/kafka/config.ts";
import { silentLogger } from "../../../src/logger.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { AnsweringCluster } from "./answering-cluster.ts";
import { settle } from "./fetch-harness.ts";

const INTERVAL_MS = 1_000;

/** Which partitions' ends are asked for, when the statistics of these are due. */
async function askedFor(fetching: readonly Partial<PartitionFetching>[]): Promise<number[]> {
  const clock = new MockClock();
  const cluster = new AnsweringCluster<ListOffsetsRequest, ListOffsetsResponse>(fetching.map(() => 1));
  cluster.answer = ({ topics }) => ({
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: 0,
        timestamp: -1,
        offset: 500,
        leaderEpoch: 5,
      })),
    })),
  });
  const noted: number[] = [];
  const events: ConsumerEvent[] = [];
  const closing = new AbortController();
  const collector = new ConsumerStatisticsCollector({
    config: resolveConsumerConfig({
      "bootstrap.servers": "127.0.0.1:9092",
      "group.id": "tests",
      "statistics.interval.ms": INTERVAL_MS,
    }),
    clock,
    logger: silentLogger,
    cluster: Object.assign(cluster, { takeStatistics: () => [] }),
    fetcher: {
      fetching: () =>
        fetching.map((partition, index) => ({
          topic: "orders",
          index,
          epoch: 1,
          offset: 100,
          endOffset: 100,
          highWatermark: 100,
          lastStableOffset: 100,
          endAtMs: clock.monotonicMs() - 2 * INTERVAL_MS,
          queuedBytes: 0,
          ...partition,
        })),
      noteEnd: ({ index }) => noted.push(index),
    },
    held: () => [],
    membership: () => undefined,
    send: (event) => events.push(event),
    closed: closing.signal,
  });
  try {
    clock.advance(INTERVAL_MS);
    await settle();
    assert.deepEqual(
      events.map(({ type }) => type),
      ["statistics"],
    );
    return noted;
  } finally {
    collector.close();
    closing.abort();
  }
}

test("the end is asked for of what has waited for an interval: for its records to be consumed, or for its turn", async () => {
  const asked = await askedFor([
    { queuedBytes: 10_000 },
    { offset: 50 },
    { queuedBytes: 10_000, endAtMs: Infinity },
    {},
  ]);
  assert.deepEqual(
    asked,
    [0, 1],
    "the third was answered just now, and the last is in the request that is held",
  );
});
