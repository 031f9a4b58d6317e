import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupSession } from "../../../src/kafka/client/group-session.ts";
import { HandOvers } from "../../../src/kafka/client/hand-overs.ts";
import { Holdings } from "../../../src/kafka/client/holdings.ts";
import type { AssignedPartition, ConsumerEvent, PartitionId } from "../../../src/kafka/client/protocol.ts";
import { settle } from "./fake-group.ts";

type Event<Type extends ConsumerEvent["type"]> = Extract<ConsumerEvent, { type: Type }>;

const session = new GroupSession({
  groupId: "g",
  memberId: "m",
  generationId: 1,
  groupInstanceId: null,
  cleanAtMs: 0,
});

function those(...indices: number[]): PartitionId[] {
  return indices.map((index) => ({ topic: "t", index }));
}

/** What is held, with the test as the main thread, the cluster and the fetcher. */
class Fixture {
  readonly handOvers = new HandOvers();
  readonly events: ConsumerEvent[] = [];
  readonly stopped: number[] = [];
  readonly cleared: number[] = [];
  readonly flushes: (() => void)[] = [];
  readonly failures: unknown[] = [];
  readonly lookups: {
    readonly indices: readonly number[];
    readonly signal: AbortSignal;
    find(...indices: number[]): void;
    fail(error: Error): void;
  }[] = [];
  isWatched = false;
  autoFlush = true;
  readonly holdings = new Holdings({
    fetcher: {
      start: () => {},
      stop: (partitions) => void this.stopped.push(...partitions.map(({ index }) => index)),
    },
    topicIdOf: () => undefined,
    handOvers: this.handOvers,
    stored: {
      flush: () =>
        this.autoFlush ? Promise.resolve() : new Promise((resolve) => this.flushes.push(() => resolve())),
      clear: (partitions) => void this.cleared.push(...partitions.map(({ index }) => index)),
    },
    commits: { reassigned: () => {} },
    watch: { start: () => void (this.isWatched = true), stop: () => void (this.isWatched = false) },
    resolve: (_session, partitions, found, signal) =>
      new Promise((_resolve, reject) => {
        this.lookups.push({
          indices: partitions.map(({ index }) => index),
          signal,
          find: (...indices) => found(indices.map(at)),
          fail: reject,
        });
      }),
    send: (event) => void this.events.push(event),
    fatal: (error) => void this.failures.push(error),
  });

  /** Takes partitions in and finds where to read them from. */
  give(...indices: number[]): void {
    this.holdings.assigned(session, those(...indices));
    this.lookups.at(-1)?.find(...indices);
  }

  all<Type extends ConsumerEvent["type"]>(type: Type): Event<Type>[] {
    return this.events.filter((event): event is Event<Type> => event.type === type);
  }

  release(event: { readonly id: number } | undefined): Promise<void> {
    assert.ok(event);
    this.handOvers.release(event.id);
    return settle();
  }
}

function at(index: number): AssignedPartition {
  return { topic: "t", index, offset: 0, leaderEpoch: -1 };
}

function indicesOf(event: { readonly partitions: readonly PartitionId[] } | undefined): number[] {
  return (event?.partitions ?? []).map(({ index }) => index);
}

test("partitions are announced as they are found, and not before", () => {
  const fixture = new Fixture();
  fixture.holdings.assigned(session, those(0, 1, 2));
  assert.deepEqual(fixture.all("assigned"), []);
  assert.equal(fixture.isWatched, false, "the main thread has nothing to poll for yet");
  fixture.lookups[0]?.find(1);
  fixture.lookups[0]?.find(0, 2);
  assert.deepEqual(fixture.all("assigned").map(indicesOf), [[1], [0, 2]]);
  assert.equal(new Set(fixture.all("assigned").map(({ id }) => id)).size, 1, "it is one assignment");
  assert.equal(fixture.isWatched, true);
});

test("an assignment that brings nothing tells the main thread nothing", () => {
  const fixture = new Fixture();
  fixture.give(0);
  fixture.holdings.assigned(session, []);
  assert.equal(fixture.all("assigned").length, 1);
  assert.equal(fixture.holdings.assignmentOf("t:0"), 1);
});

test("what is revoked stops being fetched, and what stays is not touched", async () => {
  const fixture = new Fixture();
  fixture.give(0, 1);
  fixture.give(2);
  const before = fixture.holdings.assignmentOf("t:1");
  const revoked = fixture.holdings.revoke(session, those(0, 2), 1_000, 100);
  await settle();
  assert.deepEqual(fixture.stopped, [0, 2]);
  assert.equal(fixture.holdings.assignmentOf("t:0"), 1, "its last commit is still to come");
  await fixture.release(fixture.all("revoke")[0]);
  await revoked;
  assert.deepEqual(fixture.cleared, [0, 2]);
  assert.deepEqual(fixture.holdings.partitions, those(1));
  assert.equal(fixture.holdings.assignmentOf("t:1"), before);
  assert.equal(fixture.isWatched, true, "there is something to poll for");
});

test("a revocation waits for the automatic commit of what was drained", async () => {
  const fixture = new Fixture();
  fixture.autoFlush = false;
  fixture.give(0);
  let isDone = false;
  void fixture.holdings.revoke(session, those(0), 1_000, 100).then(() => (isDone = true));
  await fixture.release(fixture.all("revoke")[0]);
  assert.equal(isDone, false);
  fixture.flushes[0]?.();
  await settle();
  assert.equal(isDone, true);
  assert.equal(fixture.isWatched, false);
});

test("what is revoked while it is looked for is never announced, and nobody is asked for it", async () => {
  const fixture = new Fixture();
  fixture.holdings.assigned(session, those(0, 1));
  await fixture.holdings.revoke(session, those(0), 1_000, 100);
  assert.deepEqual(fixture.all("revoke"), []);
  assert.equal(fixture.lookups[0]?.signal.aborted, false, "the other one is still looked for");
  fixture.lookups[0]?.find(0, 1);
  assert.deepEqual(fixture.all("assigned").map(indicesOf), [[1]]);
});

test("what is found in the middle of the drain of others, and goes with them, is not announced", async () => {
  const fixture = new Fixture();
  fixture.give(0);
  fixture.holdings.assigned(session, those(1));
  const revoked = fixture.holdings.revoke(session, those(0, 1), 1_000, 100);
  await settle();
  fixture.lookups[1]?.find(1);
  assert.deepEqual(fixture.all("assigned").map(indicesOf), [[0]]);
  await fixture.release(fixture.all("revoke")[0]);
  await revoked;
  assert.deepEqual(fixture.holdings.partitions, []);
});

test("a look-up ends with the last partition that it is for", async () => {
  const fixture = new Fixture();
  fixture.holdings.assigned(session, those(0, 1));
  await fixture.holdings.revoke(session, those(0), 1_000, 100);
  await fixture.holdings.lost(session, those(1), "fenced");
  assert.equal(fixture.lookups[0]?.signal.aborted, true);
  fixture.lookups[0]?.fail(new Error("aborted"));
  await settle();
  assert.deepEqual(fixture.failures, [], "which is no failure");
});

test("a look-up that fails for good is told", async () => {
  const fixture = new Fixture();
  fixture.holdings.assigned(session, those(0));
  const failure = new Error("no committed offset");
  fixture.lookups[0]?.fail(failure);
  await settle();
  assert.deepEqual(fixture.failures, [failure]);
});

test("a loss in the middle of a drain: what comes again meanwhile is not taken away with the old one", async () => {
  const fixture = new Fixture();
  fixture.give(0);
  const revoked = fixture.holdings.revoke(session, those(0), 1_000, 100);
  await settle();
  const lost = fixture.holdings.lost(session, those(0), "fenced");
  assert.equal(fixture.holdings.assignmentOf("t:0"), undefined, "nothing is committed from now on");
  await fixture.release(fixture.all("lost")[0]);
  await lost;
  fixture.give(0);
  const again = fixture.holdings.assignmentOf("t:0");
  await fixture.release(fixture.all("revoke")[0]);
  await revoked;
  assert.equal(fixture.holdings.assignmentOf("t:0"), again);
  assert.equal(fixture.isWatched, true);
});

test("giving up takes nothing any more, until the next membership", async () => {
  const fixture = new Fixture();
  fixture.give(0);
  const given = fixture.holdings.giveUp(1_000, 100);
  fixture.holdings.assigned(session, those(1));
  await fixture.release(fixture.all("revoke")[0]);
  await given;
  assert.deepEqual(fixture.holdings.partitions, []);
  fixture.holdings.clear();
  fixture.give(2);
  assert.deepEqual(fixture.holdings.partitions, those(2));
});
