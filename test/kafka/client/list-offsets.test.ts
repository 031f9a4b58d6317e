import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError } from "../../../src/kafka/client/abortable.ts";
import type { ListOffsetsRequest, ListOffsetsResponse } from "../../../src/kafka/client/apis.ts";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { listOffsets } from "../../../src/kafka/client/list-offsets.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { settle } from "./fetch-harness.ts";
import { AnsweringCluster } from "./answering-cluster.ts";

const ONE = { topic: "orders", index: 0 };
const TWO = { topic: "orders", index: 1 };

interface Answer {
  readonly errorCode?: number;
  readonly offset?: number;
  readonly leaderEpoch?: number;
}

/** Answers for each partition of `orders` that is asked for. */
function answer(request: ListOffsetsRequest, answers: Readonly<Record<number, Answer>>): ListOffsetsResponse {
  return {
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: 0,
        timestamp: -1,
        offset: -1,
        leaderEpoch: -1,
        ...answers[partitionIndex],
      })),
    })),
  };
}

function setUp(leaders: readonly (number | undefined)[] = [1, 1]) {
  const cluster = new AnsweringCluster<ListOffsetsRequest, ListOffsetsResponse>(leaders);
  const clock = new MockClock();
  const aborter = new AbortController();
  return { cluster, clock, aborter, options: { clock, signal: aborter.signal } };
}

test("each leader is asked once for all of its partitions, under the epoch that is known", async () => {
  const { cluster, options } = setUp([1, 2, 1]);
  cluster.answer = (request) =>
    answer(request, { 0: { offset: 10, leaderEpoch: 4 }, 1: { offset: 20 }, 2: { offset: 30 } });
  const found = await listOffsets(cluster, [ONE, TWO, { topic: "orders", index: 2 }], "earliest", options);
  assert.deepEqual(
    [...found],
    [
      ["orders:0", { offset: 10, leaderEpoch: 4 }],
      ["orders:2", { offset: 30, leaderEpoch: -1 }],
      ["orders:1", { offset: 20, leaderEpoch: -1 }],
    ],
  );
  assert.deepEqual(
    cluster.asked.map(({ nodeId, request }) => [nodeId, request.topics]),
    [
      [
        1,
        [
          {
            name: "orders",
            partitions: [
              { partitionIndex: 0, currentLeaderEpoch: 5, timestamp: -2 },
              { partitionIndex: 2, currentLeaderEpoch: 5, timestamp: -2 },
            ],
          },
        ],
      ],
      [2, [{ name: "orders", partitions: [{ partitionIndex: 1, currentLeaderEpoch: 5, timestamp: -2 }] }]],
    ],
  );
});

test("an error that passes, a lost connection and a leader that moves are tried again; what is known is not asked again", async () => {
  const { cluster, clock, options } = setUp([1, 1]);
  let round = 0;
  cluster.answer = (request) => {
    round += 1;
    if (round === 1)
      return answer(request, { 0: { offset: 3 }, 1: { errorCode: ErrorCodes.NOT_LEADER_OR_FOLLOWER } });
    if (round === 2) throw new TransportError("The connection was lost.");
    if (round === 3) return answer(request, { 1: { errorCode: ErrorCodes.OFFSET_NOT_AVAILABLE } });
    return answer(request, { 1: { offset: 8 } });
  };
  cluster.onRefresh = () => cluster.setLeaders([1, 2]);
  const found = listOffsets(cluster, [ONE, TWO], "latest", options);
  while (round < 4) {
    await settle();
    clock.advance(1_000);
  }
  assert.deepEqual(
    [...(await found)].map(([key, { offset }]) => [key, offset]),
    [
      ["orders:0", 3],
      ["orders:1", 8],
    ],
  );
  assert.deepEqual(
    cluster.asked.map(({ nodeId }) => nodeId),
    [1, 2, 2, 2],
  );
  assert.equal(cluster.refreshes, 2);
});

test("a partition without a leader is waited for", async () => {
  const { cluster, clock, options } = setUp([1, undefined]);
  cluster.answer = (request) => answer(request, { 0: { offset: 1 }, 1: { offset: 2 } });
  const found = listOffsets(cluster, [ONE, TWO], "latest", options);
  for (let round = 0; round < 20; round += 1) {
    await settle();
    clock.advance(1_000);
  }
  assert.ok(cluster.refreshes >= 19);
  cluster.setLeaders([1, 3]);
  clock.advance(1_000);
  assert.equal((await found).size, 2);
});

test("a timestamp after the last record gives the end", async () => {
  const { cluster, options } = setUp([1, 1]);
  cluster.answer = (request) => {
    const timestamp = request.topics[0]?.partitions[0]?.timestamp;
    return answer(
      request,
      timestamp === -1 ? { 1: { offset: 99 } } : { 0: { offset: 5 }, 1: { offset: -1 } },
    );
  };
  const found = await listOffsets(cluster, [ONE, TWO], 1_700_000_000_000, options);
  assert.equal(found.get("orders:0")?.offset, 5);
  assert.equal(found.get("orders:1")?.offset, 99);
});

test("the abort ends it, whatever is waited for", async () => {
  const waits: Record<string, (s: ReturnType<typeof setUp>) => void> = {
    "an answer": ({ cluster }) => (cluster.answer = () => new Promise(() => {})),
    "a connection": ({ cluster }) => (cluster.connect = () => new Promise(() => {})),
    "a refresh": ({ cluster }) => {
      cluster.setLeaders([]);
      cluster.onRefresh = () => new Promise(() => {});
    },
    "the back-off": ({ cluster }) => {
      cluster.answer = (request) => answer(request, { 0: { errorCode: ErrorCodes.OFFSET_NOT_AVAILABLE } });
    },
  };
  for (const [what, prepare] of Object.entries(waits)) {
    const setup = setUp();
    prepare(setup);
    const found = listOffsets(setup.cluster, [ONE], "earliest", setup.options);
    await settle();
    setup.aborter.abort();
    await assert.rejects(found, AbortedError, what);
  }
  const { cluster, options } = setUp();
  await assert.rejects(
    listOffsets(cluster, [ONE], "earliest", { ...options, signal: AbortSignal.abort() }),
    AbortedError,
  );
});

test("a missing authorization is an error that says what is missing", async () => {
  const { cluster, options } = setUp();
  cluster.answer = (request) => answer(request, { 0: { errorCode: ErrorCodes.TOPIC_AUTHORIZATION_FAILED } });
  await assert.rejects(listOffsets(cluster, [ONE], "earliest", options), {
    code: "ARROYO_CONSUMER",
    message: /orders\[0\] .*TOPIC_AUTHORIZATION_FAILED.*right to DESCRIBE topic "orders"/,
  });
  cluster.setTopicError(ErrorCodes.TOPIC_AUTHORIZATION_FAILED);
  await assert.rejects(listOffsets(cluster, [ONE], "earliest", options), /TOPIC_AUTHORIZATION_FAILED/);
});
