import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apiVersionsV3,
  consumerGroupHeartbeatV0,
  consumerGroupHeartbeatV1,
  fetchV13,
  fetchV14,
  fetchV15,
  fetchV16,
  fetchV17,
  findCoordinatorV4,
  findCoordinatorV5,
  findCoordinatorV6,
  heartbeatV4,
  initProducerIdV4,
  initProducerIdV5,
  joinGroupV7,
  joinGroupV8,
  joinGroupV9,
  leaveGroupV4,
  leaveGroupV5,
  listOffsetsV6,
  listOffsetsV7,
  listOffsetsV8,
  listOffsetsV9,
  metadataV11,
  metadataV12,
  offsetCommitV8,
  offsetCommitV9,
  offsetFetchV8,
  offsetFetchV9,
  saslAuthenticateV2,
  saslHandshakeV1,
  syncGroupV5,
  type Writer,
} from "@platformatic/kafka";
import {
  ApiVersions,
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
  Produce,
  SyncGroup,
  type Api,
} from "../../../src/kafka/client/apis.ts";
import { ConsumerGroupHeartbeat } from "../../../src/kafka/client/consumer-group-apis.ts";
import { requestFrame } from "../../../src/kafka/client/request-frame.ts";
import { RequestWriter } from "../../../src/kafka/client/request-writer.ts";
import { SaslAuthenticate, SaslHandshake } from "../../../src/kafka/client/sasl-apis.ts";
import { TOPIC_ID } from "./fake-broker.ts";

/** The same version in the encoding of another client. */
interface Other {
  readonly api: { readonly key: number; readonly version: number };
  readonly createRequest: (...request: never[]) => Writer;
}

interface Case<Request> {
  readonly api: Api<[Request], unknown>;
  readonly others: readonly Other[];
  readonly request: Request;
  /** The same request in the terms of the other client. */
  readonly arguments: readonly unknown[];
}

const member = { memberId: "member-1", groupInstanceId: "static" };
const partitions = [3, 0, 127, 65_536];

function sameBytes<Request>({ api, others, request, arguments: terms }: Case<Request>): void {
  test(`${api.name} is written as another client writes it, in every version`, () => {
    assert.deepEqual(
      api.versions.map(({ version }) => version),
      others.map((other) => other.api.version),
    );
    for (const [index, row] of api.versions.entries()) {
      const other = others[index]!;
      assert.equal(api.key, other.api.key);
      const writer = new RequestWriter();
      row.write(writer, request);
      const expected = other.createRequest(...(terms as never[])).buffer;
      assert.deepEqual(Buffer.concat(writer.pieces()), expected, `v${row.version}`);
    }
  });
}

sameBytes({
  api: ApiVersions,
  others: [apiVersionsV3],
  request: { softwareName: "name", softwareVersion: "1.2.3" },
  arguments: ["name", "1.2.3"],
});
for (const topics of [["orders", "größer"], [], null]) {
  sameBytes({
    api: Metadata,
    others: [metadataV12, metadataV11],
    request: { topics, allowAutoTopicCreation: topics === null },
    arguments: [topics, topics === null],
  });
}
sameBytes({
  api: FindCoordinator,
  others: [findCoordinatorV6, findCoordinatorV5, findCoordinatorV4],
  request: { keyType: "transaction", key: "me" },
  arguments: [1, ["me"]],
});
sameBytes({
  api: ListOffsets,
  others: [listOffsetsV9, listOffsetsV8, listOffsetsV7, listOffsetsV6],
  request: {
    isolationLevel: "read_committed",
    topics: [{ name: "t", partitions: [{ partitionIndex: 7, currentLeaderEpoch: 2, timestamp: 2 ** 41 }] }],
  },
  arguments: [
    -1,
    1,
    [{ name: "t", partitions: [{ partitionIndex: 7, currentLeaderEpoch: 2, timestamp: 2n ** 41n }] }],
  ],
});
const ask = { partition: 5, currentLeaderEpoch: 9, lastFetchedEpoch: 8, partitionMaxBytes: 1_048_576 };
sameBytes({
  api: Fetch,
  others: [fetchV17, fetchV16, fetchV15, fetchV14, fetchV13],
  request: {
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 50_000_000,
    isolationLevel: "read_committed",
    sessionId: 77,
    sessionEpoch: 3,
    topics: [{ topicId: TOPIC_ID, partitions: [{ ...ask, fetchOffset: 2 ** 45 + 3 }] }],
    forgottenTopics: [{ topicId: TOPIC_ID, partitions }],
    rackId: "rack",
  },
  arguments: [
    500,
    1,
    50_000_000,
    1,
    77,
    3,
    [{ topicId: TOPIC_ID, partitions: [{ ...ask, fetchOffset: 2n ** 45n + 3n }] }],
    [{ topicId: TOPIC_ID, partitions }],
    "rack",
  ],
});
for (const reason of ["because", null]) {
  const protocols = [{ name: "range", metadata: Buffer.alloc(5_000, 7) }];
  sameBytes({
    api: JoinGroup,
    others: [joinGroupV9, joinGroupV8, joinGroupV7],
    request: {
      groupId: "g",
      sessionTimeoutMs: 45_000,
      rebalanceTimeoutMs: 300_000,
      memberId: "m",
      groupInstanceId: null,
      protocolType: "consumer",
      protocols,
      reason,
    },
    arguments: ["g", 45_000, 300_000, "m", null, "consumer", protocols, reason],
  });
  sameBytes({
    api: LeaveGroup,
    others: [leaveGroupV5, leaveGroupV4],
    request: { groupId: "g", members: [{ ...member, reason }] },
    arguments: ["g", [{ ...member, reason }]],
  });
}
const assignments = [{ memberId: "m", assignment: Buffer.from("what it has") }];
sameBytes({
  api: SyncGroup,
  others: [syncGroupV5],
  request: {
    groupId: "g",
    generationId: 12,
    ...member,
    protocolType: "consumer",
    protocolName: "range",
    assignments,
  },
  arguments: ["g", 12, "member-1", "static", "consumer", "range", assignments],
});
sameBytes({
  api: Heartbeat,
  others: [heartbeatV4],
  request: { groupId: "g", generationId: 12, ...member },
  arguments: ["g", 12, "member-1", "static"],
});
const commit = { partitionIndex: 4, committedLeaderEpoch: 3 };
sameBytes({
  api: OffsetCommit,
  others: [offsetCommitV9, offsetCommitV8],
  request: {
    groupId: "g",
    generationIdOrMemberEpoch: 12,
    ...member,
    topics: [
      {
        name: "t",
        partitions: [
          { ...commit, committedOffset: 2 ** 40, committedMetadata: "note" },
          { ...commit, committedOffset: 0, committedMetadata: null },
        ],
      },
    ],
  },
  arguments: [
    "g",
    12,
    "member-1",
    "static",
    [
      {
        name: "t",
        partitions: [
          { ...commit, committedOffset: 2n ** 40n, committedMetadata: "note" },
          { ...commit, committedOffset: 0n, committedMetadata: null },
        ],
      },
    ],
  ],
});
for (const topics of [[{ name: "t", partitionIndexes: partitions }], null]) {
  sameBytes({
    api: OffsetFetch,
    others: [offsetFetchV9, offsetFetchV8],
    request: { groupId: "g", memberId: "m", memberEpoch: 5, topics, requireStable: true },
    arguments: [[{ groupId: "g", memberId: "m", memberEpoch: 5, topics }], true],
  });
}
sameBytes({
  api: InitProducerId,
  others: [initProducerIdV5, initProducerIdV4],
  request: { transactionalId: null, transactionTimeoutMs: 60_000, producerId: 2n ** 60n, producerEpoch: 7 },
  arguments: [null, 60_000, 2n ** 60n, 7],
});
for (const owned of [[{ topicId: TOPIC_ID, partitions }], null]) {
  const names = owned === null ? null : ["a", "b"];
  sameBytes({
    api: ConsumerGroupHeartbeat,
    others: [consumerGroupHeartbeatV1, consumerGroupHeartbeatV0],
    request: {
      groupId: "g",
      memberId: "m",
      memberEpoch: -1,
      instanceId: "i",
      rackId: null,
      rebalanceTimeoutMs: 45_000,
      subscribedTopicNames: names,
      serverAssignor: "uniform",
      topicPartitions: owned,
    },
    arguments: ["g", "m", -1, "i", null, 45_000, names, null, "uniform", owned],
  });
}
sameBytes({
  api: SaslHandshake,
  others: [saslHandshakeV1],
  request: "SCRAM-SHA-256",
  arguments: ["SCRAM-SHA-256"],
});
sameBytes({
  api: SaslAuthenticate,
  others: [saslAuthenticateV2],
  request: Buffer.from("n,,n=user"),
  arguments: [Buffer.from("n,,n=user")],
});

test("a request has its length and its header in front, and long bytes in it are not copied", () => {
  const records = Buffer.alloc(10_000, 3);
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 30_000,
    topics: [{ name: "t", partitions: [{ index: 1, records }] }],
  } as const;
  const [row] = Produce.versions;
  const pieces = requestFrame(Produce, row, [request], { correlationId: 99, clientId: "client" });
  assert.ok(pieces.includes(records));
  const frame = Buffer.concat(pieces);
  assert.equal(frame.readInt32BE(0), frame.length - 4);
  assert.deepEqual([frame.readInt16BE(4), frame.readInt16BE(6), frame.readInt32BE(8)], [0, row.version, 99]);
  assert.equal(frame.toString("latin1", 14, 20), "client");
  assert.equal(frame[20], 0, "no tagged fields");
  // No transactional id, all replicas, the timeout, one topic named t, one partition.
  assert.deepEqual(
    frame.subarray(21, 35),
    Buffer.from("00ffff00007530020274020000000190".slice(0, 28), "hex"),
  );
  assert.deepEqual(frame.subarray(-10_003, -3), records);
  assert.deepEqual(
    frame.subarray(-3),
    Buffer.alloc(3),
    "the ends of the partition, the topic and the request",
  );
});
