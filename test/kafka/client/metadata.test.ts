import assert from "node:assert/strict";
import { test } from "node:test";
import type { MetadataResponse } from "../../../src/kafka/client/apis.ts";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { Metadata } from "../../../src/kafka/client/metadata.ts";

const FIRST_ID = "11111111-1111-1111-1111-111111111111";
const SECOND_ID = "22222222-2222-2222-2222-222222222222";

interface Topic {
  readonly name: string;
  readonly topicId?: string;
  readonly errorCode?: number;
  readonly isInternal?: boolean;
  /** By index: leader and leader epoch. */
  readonly partitions?: readonly (readonly [number, number] | undefined)[];
}

function answer(topics: readonly Topic[], brokers: readonly number[] = [1, 2]): MetadataResponse {
  return {
    clusterId: "cluster",
    brokers: brokers.map((nodeId) => ({ nodeId, host: `host-${nodeId}`, port: 9092 })),
    topics: topics.map(({ name, topicId, errorCode, isInternal, partitions }) => ({
      name,
      topicId: topicId ?? FIRST_ID,
      errorCode: errorCode ?? 0,
      isInternal: isInternal ?? false,
      partitions: (partitions ?? [])
        .map((partition, partitionIndex) => ({
          errorCode: 0,
          partitionIndex,
          leaderId: partition?.[0] ?? -1,
          leaderEpoch: partition?.[1] ?? -1,
          replicaNodes: [],
          isrNodes: [],
        }))
        .filter((_, index) => partitions?.[index] !== undefined),
    })),
  };
}

const ORDERS = new Set(["orders"]);

function known(topic: Topic): Metadata {
  const metadata = new Metadata();
  metadata.apply(answer([topic]), ORDERS);
  return metadata;
}

test("an answer from a broker that is behind does not bring back an old leader", () => {
  const metadata = known({ name: "orders", partitions: [[1, 5]] });
  assert.equal(metadata.apply(answer([{ name: "orders", partitions: [[2, 4]] }]), ORDERS), false);
  assert.deepEqual(metadata.leader("orders", 0), { nodeId: 1, leaderEpoch: 5 });

  assert.equal(metadata.apply(answer([{ name: "orders", partitions: [[2, 6]] }]), ORDERS), true);
  assert.deepEqual(metadata.leader("orders", 0), { nodeId: 2, leaderEpoch: 6 });
});

test("a leader named in passing counts when it is newer, and holds against older metadata", () => {
  const metadata = known({ name: "orders", partitions: [[1, 5]] });
  metadata.updateLeader("orders", 0, 2, 5);
  assert.deepEqual(metadata.leader("orders", 0), { nodeId: 1, leaderEpoch: 5 });
  metadata.updateLeader("orders", 0, 2, 7);
  assert.deepEqual(metadata.leader("orders", 0), { nodeId: 2, leaderEpoch: 7 });
  metadata.apply(answer([{ name: "orders", partitions: [[1, 6]] }]), ORDERS);
  assert.deepEqual(metadata.leader("orders", 0), { nodeId: 2, leaderEpoch: 7 });
  metadata.updateLeader("orders", 9, 2, 1);
  metadata.updateLeader("other", 0, 2, 1);
  assert.equal(metadata.leader("other", 0), undefined);
});

test("a topic that was deleted and made again begins with new epochs and partitions", () => {
  const metadata = known({
    name: "orders",
    partitions: [
      [1, 5],
      [2, 5],
    ],
  });
  metadata.apply(answer([{ name: "orders", topicId: SECOND_ID, partitions: [[2, 0]] }]), ORDERS);
  assert.deepEqual(metadata.leader("orders", 0), { nodeId: 2, leaderEpoch: 0 });
  assert.equal(metadata.topic("orders")?.partitions.length, 1);
  assert.equal(metadata.topic("orders")?.topicId, SECOND_ID);
});

test("a topic that a broker does not know for a moment keeps its id and partitions, with the error", () => {
  const metadata = known({ name: "orders", partitions: [[1, 5]] });
  const missing = {
    name: "orders",
    topicId: "00000000-0000-0000-0000-000000000000",
    errorCode: ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION,
  };
  assert.equal(metadata.apply(answer([missing]), ORDERS), true);
  const topic = metadata.topic("orders");
  assert.equal(topic?.errorCode, ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);
  assert.equal(topic?.topicId, FIRST_ID);
  assert.deepEqual(metadata.leader("orders", 0), { nodeId: 1, leaderEpoch: 5 });
  assert.deepEqual(metadata.topicNames(), []);
  assert.equal(metadata.isIncomplete(ORDERS), true);
});

test("a partition without a leader has none, and is worth asking for again", () => {
  const metadata = known({
    name: "orders",
    partitions: [
      [1, 5],
      [-1, 5],
    ],
  });
  assert.equal(metadata.leader("orders", 1), undefined);
  assert.equal(metadata.isIncomplete(ORDERS), true);
  assert.equal(metadata.isIncomplete("all"), false);
  metadata.apply(
    answer([
      {
        name: "orders",
        partitions: [
          [1, 5],
          [2, 6],
        ],
      },
    ]),
    ORDERS,
  );
  assert.equal(metadata.isIncomplete(ORDERS), false);
  assert.equal(metadata.isIncomplete(new Set(["orders", "payments"])), true);
});

test("a topic that this client may not see is not asked for again and again", () => {
  const metadata = known({ name: "orders", errorCode: ErrorCodes.TOPIC_AUTHORIZATION_FAILED });
  assert.equal(metadata.isIncomplete(ORDERS), false);
});

test("all topics: those that are gone are forgotten, internal ones are not named", () => {
  const metadata = new Metadata();
  const internal = { name: "__consumer_offsets", isInternal: true, partitions: [[1, 0]] } as const;
  const orders = { name: "orders", partitions: [[1, 0]] } as const;
  const payments = { name: "payments", partitions: [[1, 0]] } as const;
  metadata.apply(answer([internal, orders, payments]), "all");
  assert.deepEqual(metadata.topicNames(), ["orders", "payments"]);
  assert.equal(metadata.apply(answer([internal, orders]), "all"), true);
  assert.deepEqual(metadata.topicNames(), ["orders"]);
  assert.equal(metadata.topic("payments"), undefined);
  assert.equal(metadata.apply(answer([internal, orders]), "all"), false);
});

test("an answer without one of the partitions leaves no hole", () => {
  const metadata = known({ name: "orders", partitions: [[1, 0], undefined, [1, 0]] });
  assert.equal(metadata.topic("orders")?.partitions.length, 1);
});

test("brokers come and go, and move; a coordinator that is not among them is added", () => {
  const metadata = new Metadata();
  assert.equal(metadata.apply(answer([], [1]), new Set()), true);
  assert.equal(metadata.apply(answer([], [1]), new Set()), false);
  assert.equal(metadata.apply(answer([], [1, 2]), new Set()), true);
  metadata.addBroker({ nodeId: 3, host: "host-3", port: 9092 });
  metadata.addBroker({ nodeId: 1, host: "elsewhere", port: 9092 });
  assert.deepEqual([...metadata.brokers.keys()], [1, 2, 3]);
  assert.equal(metadata.brokers.get(1)?.host, "host-1");
});
