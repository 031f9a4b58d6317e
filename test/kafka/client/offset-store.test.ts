import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError } from "../../../src/kafka/client/abortable.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
  OffsetFetchRequest,
  OffsetFetchResponse,
} from "../../../src/kafka/client/apis.ts";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { commitOffsets, fetchCommitted } from "../../../src/kafka/client/offset-store.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { AnsweringCluster } from "./answering-cluster.ts";
import { TOPIC_ID } from "./fetch-bytes.ts";
import { settle } from "./fetch-harness.ts";

const GROUP = { groupId: "readers" };
const MEMBER = { groupId: "readers", memberId: "member-1", generationId: 7, groupInstanceId: null };
const ONE = { topic: "orders", index: 0 };
const TWO = { topic: "orders", index: 1 };

interface Committed {
  readonly committedOffset?: number;
  readonly committedLeaderEpoch?: number;
  readonly errorCode?: number;
}

/** What the coordinator says of the partitions that are asked for. */
function fetched(
  request: OffsetFetchRequest,
  answers: Readonly<Record<number, Committed>>,
): OffsetFetchResponse {
  return {
    errorCode: 0,
    topics: (request.topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({
        partitionIndex,
        committedOffset: -1,
        committedLeaderEpoch: -1,
        metadata: null,
        errorCode: 0,
        ...answers[partitionIndex],
      })),
    })),
  };
}

/** Turns the clock until the promise has settled. */
async function turnUntilSettled<T>(clock: MockClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  promise.then(
    () => (isSettled = true),
    () => (isSettled = true),
  );
  for (let round = 0; round < 200; round += 1) {
    await settle();
    if (isSettled) break;
    clock.advance(100);
  }
  return await promise;
}

test("committed offsets come with their leader epochs; what was never committed is left out", async () => {
  const cluster = new AnsweringCluster<OffsetFetchRequest, OffsetFetchResponse>();
  cluster.answer = (request) => fetched(request, { 0: { committedOffset: 41, committedLeaderEpoch: 3 } });
  const committed = await fetchCommitted(cluster, GROUP, [ONE, TWO], new AbortController().signal);
  assert.deepEqual([...committed], [["orders:0", { offset: 41, leaderEpoch: 3 }]]);
  assert.deepEqual(cluster.asked, [
    {
      nodeId: 1,
      purpose: "group",
      request: {
        groupId: "readers",
        memberId: null,
        memberEpoch: -1,
        topics: [{ name: "orders", partitionIndexes: [0, 1] }],
        requireStable: true,
      },
    },
  ]);
});

test("a coordinator that is loading, has moved, or is lost is asked again, found anew where that helps", async () => {
  const cluster = new AnsweringCluster<OffsetFetchRequest, OffsetFetchResponse>();
  const clock = new MockClock();
  const steps: (() => OffsetFetchResponse)[] = [
    () => ({ errorCode: ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS, topics: [] }),
    () => ({ errorCode: ErrorCodes.NOT_COORDINATOR, topics: [] }),
    () => {
      throw new TransportError("The connection was lost.");
    },
    () => ({ errorCode: ErrorCodes.COORDINATOR_NOT_AVAILABLE, topics: [] }),
  ];
  const forgottenAfter: number[] = [];
  cluster.answer = (request) => {
    forgottenAfter.push(cluster.forgotten.length);
    return steps.shift()?.() ?? fetched(request, { 0: { committedOffset: 8 } });
  };
  const committed = fetchCommitted(cluster, GROUP, [ONE], new AbortController().signal, { clock });
  assert.equal((await turnUntilSettled(clock, committed)).get("orders:0")?.offset, 8);
  assert.deepEqual(forgottenAfter, [0, 0, 1, 2, 3]);
});

test("a member that the coordinator has in another epoch, or not at all, asks again with the epoch it has then", async () => {
  const cluster = new AnsweringCluster<OffsetFetchRequest, OffsetFetchResponse>();
  const clock = new MockClock();
  const group = { groupId: "readers", member: { memberId: "m-1", memberEpoch: 3 } };
  const codes: number[] = [
    ErrorCodes.STALE_MEMBER_EPOCH,
    ErrorCodes.UNKNOWN_MEMBER_ID,
    ErrorCodes.FENCED_MEMBER_EPOCH,
  ];
  const asked: unknown[] = [];
  cluster.answer = (request) => {
    asked.push([request.memberId, request.memberEpoch]);
    const errorCode = codes.shift();
    // Its heartbeat brings the next epoch meanwhile.
    group.member = { memberId: "m-1", memberEpoch: group.member.memberEpoch + 1 };
    if (errorCode !== undefined) return { errorCode, topics: [] };
    return fetched(request, { 0: { committedOffset: 8 } });
  };
  const committed = fetchCommitted(cluster, group, [ONE], new AbortController().signal, { clock });
  assert.equal((await turnUntilSettled(clock, committed)).get("orders:0")?.offset, 8);
  assert.deepEqual(
    asked,
    [3, 4, 5, 6].map((epoch) => ["m-1", epoch]),
  );
});

test("who is no member of KIP-848 and is refused as one hears of it", async () => {
  const cluster = new AnsweringCluster<OffsetFetchRequest, OffsetFetchResponse>();
  cluster.answer = () => ({ errorCode: ErrorCodes.UNKNOWN_MEMBER_ID, topics: [] });
  await assert.rejects(
    fetchCommitted(cluster, GROUP, [ONE], new AbortController().signal),
    /UNKNOWN_MEMBER_ID/,
  );
});

test("an offset that an open transaction is about to change is waited for, the others are not asked for again", async () => {
  const cluster = new AnsweringCluster<OffsetFetchRequest, OffsetFetchResponse>();
  const clock = new MockClock();
  let rounds = 0;
  cluster.answer = (request) => {
    rounds += 1;
    if (rounds < 3) {
      return fetched(request, {
        0: { committedOffset: 8 },
        1: { errorCode: ErrorCodes.UNSTABLE_OFFSET_COMMIT },
      });
    }
    return fetched(request, { 1: { committedOffset: 9 } });
  };
  const committed = fetchCommitted(cluster, GROUP, [ONE, TWO], new AbortController().signal, { clock });
  assert.deepEqual(
    [...(await turnUntilSettled(clock, committed))].map(([key, { offset }]) => [key, offset]),
    [
      ["orders:0", 8],
      ["orders:1", 9],
    ],
  );
  assert.deepEqual(
    cluster.asked.map(({ request }) => request.topics?.[0]?.partitionIndexes),
    [[0, 1], [1], [1]],
  );
});

test("a missing authorization is an error that says which right is missing", async () => {
  const cluster = new AnsweringCluster<OffsetFetchRequest, OffsetFetchResponse>();
  cluster.answer = () => ({ errorCode: ErrorCodes.GROUP_AUTHORIZATION_FAILED, topics: [] });
  const { signal } = new AbortController();
  await assert.rejects(fetchCommitted(cluster, GROUP, [ONE], signal), {
    errorCode: ErrorCodes.GROUP_AUTHORIZATION_FAILED,
    message: /group readers .*GROUP_AUTHORIZATION_FAILED.*right to READ the group/,
  });
  cluster.answer = (request) => fetched(request, { 0: { errorCode: ErrorCodes.TOPIC_AUTHORIZATION_FAILED } });
  await assert.rejects(fetchCommitted(cluster, GROUP, [ONE], signal), /readers in orders\[0\]/);
});

test("the abort ends the search for committed offsets, whatever is waited for", async () => {
  const never = (): Promise<never> => new Promise(() => {});
  for (const stuck of ["coordinatorOf", "connect", "answer"] as const) {
    const cluster = new AnsweringCluster<OffsetFetchRequest, OffsetFetchResponse>();
    cluster[stuck] = never;
    const aborter = new AbortController();
    const committed = fetchCommitted(cluster, GROUP, [ONE], aborter.signal);
    await settle();
    aborter.abort();
    await assert.rejects(committed, AbortedError, stuck);
  }
});

test("a commit names member and generation, carries leader epochs, and gives back a code for each partition", async () => {
  const cluster = new AnsweringCluster<OffsetCommitRequest, OffsetCommitResponse>();
  cluster.answer = () => ({
    topics: [
      {
        name: "orders",
        partitions: [
          { partitionIndex: 0, errorCode: 0 },
          { partitionIndex: 1, errorCode: ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION },
        ],
      },
    ],
  });
  const codes = await commitOffsets(
    cluster,
    MEMBER,
    [
      { ...ONE, offset: 100, leaderEpoch: 4 },
      { ...TWO, offset: 200, leaderEpoch: -1, metadata: "note" },
      { topic: "other", index: 0, offset: 1, leaderEpoch: 0 },
    ],
    1_000,
  );
  assert.deepEqual(
    [...codes],
    [
      ["orders:0", 0],
      ["orders:1", ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION],
      // The coordinator said nothing of it: not committed, as far as anybody can tell.
      ["other:0", ErrorCodes.UNKNOWN_SERVER_ERROR],
    ],
  );
  assert.equal(cluster.asked.length, 1);
  assert.equal(cluster.asked[0]?.purpose, "group");
  assert.deepEqual(cluster.asked[0]?.request, {
    groupId: "readers",
    generationIdOrMemberEpoch: 7,
    memberId: "member-1",
    groupInstanceId: null,
    topics: [
      {
        name: "orders",
        partitions: [
          { partitionIndex: 0, committedOffset: 100, committedLeaderEpoch: 4, committedMetadata: null },
          { partitionIndex: 1, committedOffset: 200, committedLeaderEpoch: -1, committedMetadata: "note" },
        ],
      },
      {
        name: "other",
        partitions: [
          { partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: 0, committedMetadata: null },
        ],
      },
    ],
  });
});

const BEFORE = "d9a0c1f2-0000-4000-8000-000000000001";

test("what was read of a topic before it was made again is not sent; what is not fetched is looked up for that", async () => {
  const cluster = new AnsweringCluster<OffsetCommitRequest, OffsetCommitResponse>([1, 1]);
  cluster.answer = () => ({
    topics: [{ name: "orders", partitions: [{ partitionIndex: 1, errorCode: 0 }] }],
  });
  const offsets = (isFetched: boolean) => [
    { ...ONE, offset: 100, leaderEpoch: 4, topicId: BEFORE, isFetched },
    { ...TWO, offset: 200, leaderEpoch: 4, topicId: TOPIC_ID, isFetched: true },
  ];
  for (const isFetched of [true, false]) {
    const codes = await commitOffsets(cluster, MEMBER, offsets(isFetched), 1_000);
    assert.deepEqual(
      [...codes],
      [
        ["orders:0", ErrorCodes.INCONSISTENT_TOPIC_ID],
        ["orders:1", 0],
      ],
    );
    assert.deepEqual(
      cluster.asked
        .at(-1)
        ?.request.topics.map(({ partitions }) => partitions.map((each) => each.partitionIndex)),
      [[1]],
    );
    assert.equal(cluster.refreshes, isFetched ? 0 : 1);
  }
  await commitOffsets(cluster, MEMBER, offsets(true).slice(0, 1), 1_000);
  assert.equal(cluster.asked.length, 2, "nothing is left to send");
});

test("while a topic is not known, each commit is sent only after a look whether it was made again", async () => {
  const cluster = new AnsweringCluster<OffsetCommitRequest, OffsetCommitResponse>([1]);
  const errorCode = ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION;
  cluster.answer = () => ({ topics: [{ name: "orders", partitions: [{ partitionIndex: 0, errorCode }] }] });
  const commit = () =>
    commitOffsets(
      cluster,
      MEMBER,
      [{ ...ONE, offset: 1, leaderEpoch: 0, topicId: TOPIC_ID, isFetched: true }],
      1_000,
    );
  assert.equal((await commit()).get("orders:0"), errorCode);
  assert.equal(cluster.refreshes, 1, "the next one is to know");
  cluster.setTopicError(errorCode);
  cluster.onRefresh = () => cluster.setLeaders([1], BEFORE);
  assert.equal((await commit()).get("orders:0"), ErrorCodes.INCONSISTENT_TOPIC_ID);
  assert.equal(cluster.asked.length, 1);
});

test("metadata that cannot be had holds up no commit for long", async () => {
  const cluster = new AnsweringCluster<OffsetCommitRequest, OffsetCommitResponse>([1]);
  cluster.answer = () => ({
    topics: [{ name: "orders", partitions: [{ partitionIndex: 0, errorCode: 0 }] }],
  });
  cluster.onRefresh = () => new Promise(() => {});
  const clock = new MockClock();
  const offset = { ...ONE, offset: 1, leaderEpoch: 0, topicId: TOPIC_ID, isFetched: false };
  const codes = commitOffsets(cluster, MEMBER, [offset], 3_000, { clock });
  await settle();
  assert.equal(cluster.asked.length, 0);
  clock.advance(750);
  assert.deepEqual([...(await codes).values()], [0]);
});

test("a commit outside of a membership is refused before anything is sent", async () => {
  const cluster = new AnsweringCluster<OffsetCommitRequest, OffsetCommitResponse>();
  for (const member of [
    { ...MEMBER, generationId: -1 },
    { ...MEMBER, memberId: "" },
  ]) {
    await assert.rejects(commitOffsets(cluster, member, [{ ...ONE, offset: 1, leaderEpoch: -1 }], 1_000), {
      code: "ARROYO_INVALID_STATE",
    });
  }
  assert.deepEqual(cluster.asked, []);
});

test("a commit that finds no coordinator in its time is a transport error, and nothing is sent late", async () => {
  for (const stuck of ["coordinatorOf", "connect"] as const) {
    const cluster = new AnsweringCluster<OffsetCommitRequest, OffsetCommitResponse>();
    const clock = new MockClock();
    const found = Promise.withResolvers<void>();
    cluster[stuck] = () => found.promise as Promise<never>;
    const codes = commitOffsets(cluster, MEMBER, [{ ...ONE, offset: 1, leaderEpoch: -1 }], 500, { clock });
    const failed = assert.rejects(codes, (error) => TransportError.is(error) && error.timedOut);
    await settle();
    clock.advance(500);
    await failed;
    found.resolve();
    await settle();
    assert.deepEqual(cluster.asked, []);
    assert.equal(clock.pendingTimers, 0);
  }
});
