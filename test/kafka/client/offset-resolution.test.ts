import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  ListOffsetsRequest,
  ListOffsetsResponse,
  OffsetFetchRequest,
  OffsetFetchResponse,
} from "../../../src/kafka/client/apis.ts";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import type { GroupSession } from "../../../src/kafka/client/group-session.ts";
import { resolvePositions } from "../../../src/kafka/client/offset-resolution.ts";
import type { AssignedPartition } from "../../../src/kafka/client/protocol.ts";
import { resolveConsumerConfig } from "../../../src/kafka/config.ts";
import type { LogFields } from "../../../src/logger.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { AnsweringCluster } from "./answering-cluster.ts";
import { TOPIC_ID } from "./fetch-bytes.ts";
import { settle } from "./fetch-harness.ts";

type Asked = OffsetFetchRequest | ListOffsetsRequest;

class World {
  readonly clock = new MockClock();
  readonly cluster: AnsweringCluster<Asked, OffsetFetchResponse | ListOffsetsResponse>;
  /** What was announced, each time as `index@offset`, with `!` for a committed one. */
  readonly announced: string[] = [];
  readonly positions: AssignedPartition[] = [];
  readonly warnings: LogFields[] = [];
  /** Committed offset or error code, by partition. */
  committed: Record<number, number | "unstable"> = {};
  readonly aborter = new AbortController();
  readonly done: Promise<void>;

  constructor(
    leaders: readonly (number | undefined)[],
    committed: Record<number, number | "unstable">,
    policy: "earliest" | "error" = "earliest",
  ) {
    this.committed = committed;
    this.cluster = new AnsweringCluster(leaders);
    this.cluster.answer = (request) => ("groupId" in request ? this.#offsets(request) : listed(request));
    const warn = (fields: LogFields): void => void this.warnings.push(fields);
    const quiet = (): void => {};
    this.done = resolvePositions(
      { groupId: "g", memberId: "m" } as GroupSession,
      leaders.map((_leader, index) => ({ topic: "orders", index })),
      {
        cluster: this.cluster,
        clock: this.clock,
        config: resolveConsumerConfig({
          "bootstrap.servers": "127.0.0.1:9092",
          "group.id": "g",
          "auto.offset.reset": policy,
        }),
        logger: { debug: quiet, info: quiet, warn, error: warn },
        signal: this.aborter.signal,
        found: (positions) => {
          this.positions.push(...positions);
          this.announced.push(
            positions
              .map(({ index, offset, isCommitted }) => `${index}@${offset}${isCommitted === true ? "!" : ""}`)
              .join(" "),
          );
        },
      },
    );
    this.done.catch(() => {});
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      await settle();
      this.clock.advance(100);
    }
    await settle();
  }

  #offsets(request: OffsetFetchRequest): OffsetFetchResponse {
    return {
      errorCode: 0,
      topics: (request.topics ?? []).map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => {
          const at = this.committed[partitionIndex] ?? -1;
          return {
            partitionIndex,
            committedOffset: at === "unstable" ? -1 : at,
            committedLeaderEpoch: at === "unstable" ? -1 : 4,
            metadata: null,
            errorCode: at === "unstable" ? ErrorCodes.UNSTABLE_OFFSET_COMMIT : ErrorCodes.NONE,
          };
        }),
      })),
    };
  }
}

function listed(request: ListOffsetsRequest): ListOffsetsResponse {
  return {
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: 0,
        timestamp: -1,
        offset: 100 + partitionIndex,
        leaderEpoch: 5,
      })),
    })),
  };
}

test("what is known soon is announced together: committed offsets, and resets from several brokers", async () => {
  const world = new World([1, 2, 1], { 1: 7 });
  await world.done;
  assert.deepEqual(world.announced, ["1@7! 0@100 2@102"]);
  const committed = world.positions.find(({ index }) => index === 1);
  assert.deepEqual([committed?.leaderEpoch, committed?.topicId], [4, TOPIC_ID]);
});

test("a partition without a leader waits alone, and somebody is told why", async () => {
  const world = new World([1, undefined, undefined], { 0: 7, 2: 9 });
  await world.pass(1_000);
  assert.deepEqual(world.announced, ["0@7! 2@9!"], "an offset that is committed needs no leader");
  assert.deepEqual(world.warnings, []);
  await world.pass(10_000);
  assert.deepEqual(world.warnings, [{ partitions: ["orders:1"], reason: "it has no leader" }]);
  world.cluster.setLeaders([1, 3, 3]);
  await world.pass(2_000);
  await world.done;
  assert.deepEqual(world.announced, ["0@7! 2@9!", "1@101"]);
});

test("a partition whose offset an open transaction is about to change waits alone", async () => {
  const world = new World([1, 1, 1], { 0: 7, 1: "unstable" });
  await world.pass(1_000);
  assert.deepEqual(world.announced, ["0@7! 2@102"]);
  await world.pass(10_000);
  assert.equal(world.warnings.length, 1);
  world.committed = { 1: 30 };
  await world.pass(2_000);
  await world.done;
  assert.deepEqual(world.announced, ["0@7! 2@102", "1@30!"]);
});

test('a missing offset is an error at once where "auto.offset.reset" says so, whoever else has to wait', async () => {
  const world = new World([1, 1], { 0: "unstable" }, "error");
  await assert.rejects(world.done, /no committed offset for orders\[1\].*"auto\.offset\.reset" is "error"/);
  world.aborter.abort();
});
