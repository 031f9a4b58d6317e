import assert from "node:assert/strict";
import { createRecordsBatch } from "@platformatic/kafka";
import { systemClock } from "../../../src/clock.ts";
import { silentLogger } from "../../../src/logger.ts";
import {
  Fetch,
  FindCoordinator,
  Heartbeat,
  InitProducerId,
  JoinGroup,
  LeaveGroup,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  OffsetTimestamp,
  Produce,
  SyncGroup,
  type Api,
} from "../../../src/kafka/client/apis.ts";
import { Cluster } from "../../../src/kafka/client/cluster.ts";
import type { BrokerConnection } from "../../../src/kafka/client/connection.ts";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { clientConfig } from "./client-config.ts";

const LONG = { timeoutMs: 30_000 };
const LOADING: ReadonlySet<number> = new Set([
  ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCodes.COORDINATOR_NOT_AVAILABLE,
  ErrorCodes.NOT_COORDINATOR,
]);

/** The same RPC, once for each version that the broker has: each must do what the newest does. */
function eachVersion<Request extends unknown[], Response>(
  api: Api<Request, Response>,
): Api<Request, Response>[] {
  return api.versions.map((version) => ({
    ...api,
    name: `${api.name} v${version.version}`,
    versions: [version],
  }));
}

async function clusterFor(
  kafka: KafkaTest,
  topics: readonly string[] = [],
): Promise<Cluster & AsyncDisposable> {
  const cluster = new Cluster({
    config: clientConfig(kafka.bootstrapServers),
    clock: systemClock,
    logger: silentLogger,
  });
  cluster.setTopics(topics);
  await cluster.refresh();
  return Object.assign(cluster, { [Symbol.asyncDispose]: () => cluster.close() });
}

/** Resolves once every partition has a leader: a broker needs a moment to know of a topic that was just made. */
function led(cluster: Cluster, topic: string, partitions: number): Promise<void> {
  const complete = (): boolean =>
    Array.from({ length: partitions }, (_, index) => cluster.leader(topic, index)).every(
      (leader) => leader !== undefined,
    );
  return new Promise((resolve) => {
    const check = (): boolean => {
      if (!complete()) return false;
      resolve();
      return true;
    };
    if (!check()) cluster.onChange(check);
  });
}

async function leaderOf(cluster: Cluster, topic: string, index: number): Promise<BrokerConnection> {
  await led(cluster, topic, index + 1);
  const leader = cluster.leader(topic, index);
  assert.ok(leader);
  return cluster.connection(leader.nodeId, "fetch");
}

function produceRequest(topic: string, index: number, values: readonly string[]) {
  const batch = createRecordsBatch(
    values.map((value) => ({ topic, partition: index, value: Buffer.from(value), timestamp: 1_000n })),
  );
  return {
    transactionalId: null,
    acks: -1,
    timeoutMs: 10_000,
    topics: [{ name: topic, partitions: [{ index, records: batch.buffer }] }],
  } as const;
}

kafkaTest("Metadata and FindCoordinator say who has what, in every version", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  await using cluster = await clusterFor(kafka, [topic]);
  const connection = await leaderOf(cluster, topic, 1);
  for (const api of eachVersion(Metadata)) {
    const named = await connection.request(api, [{ topics: [topic], allowAutoTopicCreation: false }], LONG);
    assert.equal(named.topics[0]?.name, topic, api.name);
    assert.deepEqual(
      named.topics[0].partitions
        .map(({ partitionIndex }) => partitionIndex)
        .toSorted((one, other) => one - other),
      [0, 1],
      api.name,
    );
    assert.equal(named.topics[0].topicId, cluster.topic(topic)?.topicId);
    const all = await connection.request(api, [{ topics: null, allowAutoTopicCreation: false }], LONG);
    assert.ok(all.topics.some(({ name }) => name === topic));
    const none = await connection.request(api, [{ topics: [], allowAutoTopicCreation: false }], LONG);
    assert.equal(none.topics.length, 0);
    assert.ok(none.brokers.length > 0);
    const absent = kafka.name("absent");
    const unknown = await connection.request(
      api,
      [{ topics: [absent], allowAutoTopicCreation: false }],
      LONG,
    );
    assert.deepEqual(
      unknown.topics.map(({ name, errorCode }) => ({ name, errorCode })),
      [{ name: absent, errorCode: ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION }],
    );
  }
  const group = kafka.name("group");
  const nodeId = await cluster.coordinator(group);
  for (const api of eachVersion(FindCoordinator)) {
    const answer = await connection.request(api, [{ keyType: "group", key: group }], LONG);
    assert.equal(answer.nodeId, nodeId, api.name);
  }
});

kafkaTest("Produce, Fetch and ListOffsets reach the log, in every version", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  await using cluster = await clusterFor(kafka, [topic]);
  const connection = await leaderOf(cluster, topic, 1);
  const topicId = cluster.topic(topic)?.topicId;
  assert.ok(topicId);

  let offset = 0;
  for (const api of eachVersion(Produce)) {
    const answer = await connection.request(api, [produceRequest(topic, 1, ["one", "two"])], LONG);
    const partition = answer.topics[0]?.partitions[0];
    assert.deepEqual(
      { index: partition?.index, errorCode: partition?.errorCode, baseOffset: partition?.baseOffset },
      { index: 1, errorCode: 0, baseOffset: offset },
      api.name,
    );
    offset += 2;
  }
  const unanswered = await connection.request(
    Produce,
    [{ ...produceRequest(topic, 0, ["x"]), acks: 0 }],
    LONG,
  );
  assert.deepEqual(unanswered, { topics: [] });
  const wrong = await connection.request(Produce, [produceRequest(topic, 7, ["lost"])], LONG);
  assert.equal(wrong.topics[0]?.partitions[0]?.errorCode, ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);

  const fetchRequest = {
    maxWaitMs: 100,
    minBytes: 1,
    maxBytes: 1_000_000,
    isolationLevel: "read_uncommitted",
    sessionId: 0,
    sessionEpoch: -1,
    topics: [
      {
        topicId,
        partitions: [
          {
            partition: 1,
            currentLeaderEpoch: -1,
            fetchOffset: 0,
            lastFetchedEpoch: -1,
            partitionMaxBytes: 1_000_000,
          },
        ],
      },
    ],
    forgottenTopics: [],
    rackId: "",
  } as const;
  for (const api of eachVersion(Fetch)) {
    const { records } = (await connection.request(api, [fetchRequest], LONG)).topics[0]!.partitions[0]!;
    assert.ok(records.includes("one") && records.includes("two"), api.name);
  }

  for (const api of eachVersion(ListOffsets)) {
    const list = async (timestamp: number, partitionIndex: number) => {
      const partitions = [{ partitionIndex, currentLeaderEpoch: -1, timestamp }];
      const request = { isolationLevel: "read_committed", topics: [{ name: topic, partitions }] } as const;
      return (await connection.request(api, [request], LONG)).topics[0]?.partitions[0];
    };
    assert.equal((await list(OffsetTimestamp.EARLIEST, 1))?.offset, 0, api.name);
    assert.equal((await list(OffsetTimestamp.LATEST, 1))?.offset, offset, api.name);
    assert.equal((await list(500, 1))?.offset, 0, api.name);
    assert.equal((await list(2_000, 1))?.offset, -1, api.name);
    assert.equal(
      (await list(OffsetTimestamp.LATEST, 9))?.errorCode,
      ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION,
      api.name,
    );
  }
});

kafkaTest("a producer id is given, in every version", async (kafka) => {
  await using cluster = await clusterFor(kafka);
  const connection = await cluster.connection(await cluster.coordinator("any"), "produce");
  for (const api of eachVersion(InitProducerId)) {
    const request = {
      transactionalId: null,
      transactionTimeoutMs: 60_000,
      producerId: -1n,
      producerEpoch: -1,
    };
    let answer = await connection.request(api, [request], LONG);
    // A broker that has just started has no ids to give out yet.
    while (answer.errorCode === ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS) {
      answer = await connection.request(api, [request], LONG);
    }
    assert.equal(answer.errorCode, 0, api.name);
    assert.ok(answer.producerId >= 0n);
    assert.equal(answer.producerEpoch, 0);
  }
});

kafkaTest("a member joins, commits, reads what it committed, and leaves, in every version", async (kafka) => {
  const topic = await kafka.createTopic();
  await using cluster = await clusterFor(kafka, [topic]);
  const joins = eachVersion(JoinGroup);
  const last = <T>(items: readonly T[], at: number): T => items[Math.min(at, items.length - 1)] as T;
  for (const [at, join] of joins.entries()) {
    const groupId = kafka.name("group");
    const connection = await cluster.connection(await cluster.coordinator(groupId), "group");
    const request = {
      groupId,
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 60_000,
      memberId: "",
      groupInstanceId: null,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: Buffer.from([1, 2, 3]) }],
      reason: "a test",
    };
    let refused = await connection.request(join, [request], LONG);
    // A coordinator that has just come to be loads its groups first.
    while (LOADING.has(refused.errorCode)) refused = await connection.request(join, [request], LONG);
    assert.equal(refused.errorCode, ErrorCodes.MEMBER_ID_REQUIRED, join.name);
    assert.notEqual(refused.memberId, "");
    const { memberId } = refused;
    const joined = await connection.request(join, [{ ...request, memberId }], LONG);
    assert.equal(joined.errorCode, 0);
    assert.equal(joined.leader, memberId);
    assert.deepEqual(joined.members, [{ memberId, groupInstanceId: null, metadata: Buffer.from([1, 2, 3]) }]);

    const { generationId } = joined;
    const identity = { groupId, generationId, memberId, groupInstanceId: null };
    const synced = await connection.request(
      SyncGroup,
      [
        {
          ...identity,
          protocolType: "consumer",
          protocolName: "range",
          assignments: [{ memberId, assignment: Buffer.from("mine") }],
        },
      ],
      LONG,
    );
    assert.equal(synced.errorCode, 0);
    assert.equal(synced.assignment.toString(), "mine");
    assert.equal((await connection.request(Heartbeat, [identity], LONG)).errorCode, 0);
    const stale = { ...identity, generationId: generationId + 1 };
    assert.equal(
      (await connection.request(Heartbeat, [stale], LONG)).errorCode,
      ErrorCodes.ILLEGAL_GENERATION,
    );

    const commit = last(eachVersion(OffsetCommit), at);
    const offsets = {
      groupId,
      memberId,
      groupInstanceId: null,
      generationIdOrMemberEpoch: generationId,
      topics: [
        {
          name: topic,
          partitions: [
            { partitionIndex: 0, committedOffset: 42, committedLeaderEpoch: 0, committedMetadata: "note" },
          ],
        },
      ],
    };
    const committed = await connection.request(commit, [offsets], LONG);
    assert.deepEqual(committed.topics, [{ name: topic, partitions: [{ partitionIndex: 0, errorCode: 0 }] }]);
    const late = await connection.request(
      commit,
      [{ ...offsets, generationIdOrMemberEpoch: generationId + 1 }],
      LONG,
    );
    assert.equal(late.topics[0]?.partitions[0]?.errorCode, ErrorCodes.ILLEGAL_GENERATION, commit.name);

    const fetch = last(eachVersion(OffsetFetch), at);
    const wanted = { groupId, memberId: null, memberEpoch: -1, requireStable: true };
    for (const topics of [[{ name: topic, partitionIndexes: [0] }], null]) {
      const fetched = await connection.request(fetch, [{ ...wanted, topics }], LONG);
      assert.deepEqual(
        fetched,
        {
          errorCode: 0,
          topics: [
            {
              name: topic,
              partitions: [
                {
                  partitionIndex: 0,
                  committedOffset: 42,
                  committedLeaderEpoch: 0,
                  metadata: "note",
                  errorCode: 0,
                },
              ],
            },
          ],
        },
        fetch.name,
      );
    }

    const leave = last(eachVersion(LeaveGroup), at);
    const members = [{ memberId, groupInstanceId: null, reason: "the test is over" }];
    const left = await connection.request(leave, [{ groupId, members }], LONG);
    assert.deepEqual([left.errorCode, left.members[0]?.errorCode], [0, 0], leave.name);
    const again = await connection.request(leave, [{ groupId, members }], LONG);
    assert.equal(again.members[0]?.errorCode, ErrorCodes.UNKNOWN_MEMBER_ID, leave.name);
  }
});
