import assert from "node:assert/strict";
import { test } from "node:test";
import { ArroyoError, ErrorCode } from "../../../src/errors.ts";
import { Backoff } from "../../../src/kafka/client/backoff.ts";
import { CommitQueue } from "../../../src/kafka/client/commit-queue.ts";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { GroupSession } from "../../../src/kafka/client/group-session.ts";
import type { CommitSession } from "../../../src/kafka/client/membership.ts";
import { partitionKey, type CommitOffset } from "../../../src/kafka/client/protocol.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { silentLogger } from "../../../src/logger.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { settle } from "./fake-group.ts";

interface Try {
  readonly session: GroupSession;
  readonly offsets: Readonly<Record<string, number>>;
  /** Answers every partition with this code, or each with its own. */
  answer(code: number | Readonly<Record<string, number>>): Promise<void>;
  fail(error?: Error): Promise<void>;
}

class Fixture {
  readonly clock = new MockClock();
  readonly tries: Try[] = [];
  readonly owned = new Map<string, number>([
    ["t:0", 1],
    ["t:1", 1],
  ]);
  current: CommitSession | undefined = { state: "ready", session: newSession(1) };
  #changed = Promise.withResolvers<void>();
  forgotten = 0;
  readonly queue: CommitQueue;

  constructor() {
    this.queue = new CommitQueue({
      commit: (session, offsets) =>
        new Promise((resolve, reject) => {
          this.tries.push({
            session,
            offsets: Object.fromEntries(offsets.map((offset) => [partitionKey(offset), offset.offset])),
            answer: (code) => {
              const codes = offsets.map(
                (offset) =>
                  [
                    partitionKey(offset),
                    typeof code === "number" ? code : (code[partitionKey(offset)] ?? ErrorCodes.NONE),
                  ] as const,
              );
              resolve(new Map(codes));
              return settle();
            },
            fail: (error = new TransportError("broker 1 was lost")) => {
              reject(error);
              return settle();
            },
          });
        }),
      forgetCoordinator: () => void this.forgotten++,
      session: () => this.current,
      assignmentOf: (key) => this.owned.get(key),
      requestTimeoutMs: 10_000,
      backoff: new Backoff({ initialMs: 100, maxMs: 100, jitter: 0 }),
      clock: this.clock,
      logger: silentLogger,
    });
  }

  /** The membership goes on to another state. */
  become(state: CommitSession["state"], session: GroupSession = newSession(1)): void {
    const before = this.#changed;
    this.#changed = Promise.withResolvers();
    const { promise: changed } = this.#changed;
    this.current = state === "held" ? { state, changed } : { state, session, changed };
    before.resolve();
  }

  async nextTry(): Promise<Try> {
    await settle();
    const next = this.tries.shift();
    assert.ok(next, "no commit was sent");
    return next;
  }
}

function newSession(generationId: number): GroupSession {
  return new GroupSession({ groupId: "g", memberId: "m", generationId, groupInstanceId: null, cleanAtMs: 0 });
}

function at(index: number, offset: number, assignment: number = 1): CommitOffset {
  return { topic: "t", index, offset, leaderEpoch: -1, assignment };
}

test("a commit resolves with what the coordinator has acknowledged", async () => {
  const { queue, ...fixture } = asFixture();
  const done = queue.commit([at(0, 10), at(1, 20)], 60_000);
  const first = await fixture.nextTry();
  assert.deepEqual(first.offsets, { "t:0": 10, "t:1": 20 });
  await first.answer(ErrorCodes.NONE);
  assert.deepEqual(await done, [at(0, 10), at(1, 20)]);
});

test("a commit that has to be tried again never overwrites a newer one", async () => {
  const { queue, clock, ...fixture } = asFixture();
  const older = queue.commit([at(0, 10)], 60_000);
  const first = await fixture.nextTry();
  const newer = queue.commit([at(0, 30), at(1, 5)], 60_000);
  await first.answer(ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS);
  clock.advance(100);
  const second = await fixture.nextTry();
  await second.answer(ErrorCodes.STALE_MEMBER_EPOCH);
  assert.equal(second.session.gone.isSet, false);
  clock.advance(200);
  const third = await fixture.nextTry();
  const newest = { "t:0": 30, "t:1": 5 };
  assert.deepEqual([second.offsets, third.offsets], [newest, newest]);
  await third.answer(ErrorCodes.NONE);
  assert.deepEqual(await older, [at(0, 10)]);
  assert.deepEqual(await newer, [at(0, 30), at(1, 5)]);
});

test("a coordinator that has moved, or does not answer, is looked up anew", async () => {
  const { queue, clock, fixture, ...rest } = asFixture();
  const done = queue.commit([at(0, 10)], 60_000);
  await (await rest.nextTry()).answer(ErrorCodes.NOT_COORDINATOR);
  assert.equal(fixture.forgotten, 1);
  clock.advance(100);
  await (await rest.nextTry()).fail();
  assert.equal(fixture.forgotten, 2);
  clock.advance(100);
  await (await rest.nextTry()).answer(ErrorCodes.NONE);
  assert.deepEqual(await done, [at(0, 10)]);
});

test("an offset whose assignment has ended is dropped, and does not fail the others", async () => {
  const { queue, clock, fixture, ...rest } = asFixture();
  const done = queue.commit([at(0, 10), at(1, 20)], 60_000);
  await (await rest.nextTry()).answer(ErrorCodes.REBALANCE_IN_PROGRESS);
  // Partition 1 went to somebody else and came back: what was staged before is of another life.
  fixture.owned.set("t:1", 2);
  clock.advance(100);
  const second = await rest.nextTry();
  assert.deepEqual(second.offsets, { "t:0": 10 });
  await second.answer(ErrorCodes.NONE);
  assert.deepEqual(await done, [at(0, 10)]);
});

test("a member that was thrown out, or whose group was deleted, commits nothing, and its session has ended", async () => {
  for (const code of [ErrorCodes.ILLEGAL_GENERATION, ErrorCodes.GROUP_ID_NOT_FOUND]) {
    const { queue, fixture, ...rest } = asFixture();
    const done = queue.commit([at(0, 10)], 60_000);
    const first = await rest.nextTry();
    await first.answer(code);
    assert.deepEqual(await done, []);
    assert.equal(first.session.gone.value?.errorCode, code);
    assert.deepEqual(await queue.commit([at(0, 11)], 60_000), []);
    assert.equal(fixture.tries.length, 0);
  }
});

test("without a generation nothing is sent: never a commit that a group without members would take", async () => {
  const { queue, fixture } = asFixture();
  fixture.current = undefined;
  assert.deepEqual(await queue.commit([at(0, 10)], 60_000), []);
  assert.equal(fixture.tries.length, 0);
});

test("a commit gives up at its deadline, and says for which offsets", async () => {
  const { queue, clock, ...fixture } = asFixture();
  const done = queue.commit([at(0, 10)], 1_000);
  await (await fixture.nextTry()).fail();
  const failed = assert.rejects(done, (error: Error & { code?: string }) => {
    assert.equal(error.code, ErrorCode.COMMIT_FAILED);
    assert.match(error.message, /t\[0\]@10.*1000 ms/);
    return true;
  });
  clock.advance(1_000);
  await failed;
});

test("a partition that is refused fails its own commit and names the reason", async () => {
  const { queue, ...fixture } = asFixture();
  const bad = queue.commit([at(0, 10)], 60_000);
  const first = await fixture.nextTry();
  const good = queue.commit([at(1, 20)], 60_000);
  const refused = assert.rejects(bad, /t\[0\]@10.*TOPIC_AUTHORIZATION_FAILED/);
  await first.answer({ "t:0": ErrorCodes.TOPIC_AUTHORIZATION_FAILED });
  await refused;
  await (await fixture.nextTry()).answer(ErrorCodes.NONE);
  assert.deepEqual(await good, [at(1, 20)]);
});

test("a commit that gives up says what stood in its way", async () => {
  const { queue, clock, ...fixture } = asFixture();
  const unreachable = queue.commit([at(0, 10)], 1_000);
  await (await fixture.nextTry()).fail();
  const first = assert.rejects(unreachable, /broker 1 was lost/);
  clock.advance(1_000);
  await first;
  await settle();
  const loading = queue.commit([at(0, 10)], 1_000);
  await (await fixture.nextTry()).answer(ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS);
  const second = assert.rejects(loading, /COORDINATOR_LOAD_IN_PROGRESS/);
  clock.advance(1_000);
  await second;
});

test("what no other try can help fails a commit at once", async () => {
  const { queue, ...fixture } = asFixture();
  const done = queue.commit([at(0, 10)], 60_000);
  const failed = assert.rejects(done, (error: ArroyoError) => {
    assert.equal(error.code, ErrorCode.COMMIT_FAILED);
    assert.match(error.message, /t\[0\]@10.*refused to authenticate/);
    return true;
  });
  await (
    await fixture.nextTry()
  ).fail(new ArroyoError(ErrorCode.AUTHENTICATION, "broker 1 refused to authenticate this client"));
  await failed;
});

test("a topic that the coordinator does not know yet is tried again, as Java's consumer does", async () => {
  const { queue, clock, ...fixture } = asFixture();
  const done = queue.commit([at(0, 10)], 60_000);
  await (await fixture.nextTry()).answer(ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);
  clock.advance(100);
  await (await fixture.nextTry()).answer(ErrorCodes.NONE);
  assert.deepEqual(await done, [at(0, 10)]);
});

test("when the assignment ends, nobody waits for a coordinator that does not answer", async () => {
  const { queue, fixture, ...rest } = asFixture();
  const all = queue.commit([at(0, 10)], 60_000);
  const half = queue.commit([at(0, 11), at(1, 20)], 60_000);
  const first = await rest.nextTry();
  fixture.owned.delete("t:0");
  queue.reassigned();
  assert.deepEqual(await all, []);
  await first.answer(ErrorCodes.NONE);
  await (await rest.nextTry()).answer(ErrorCodes.NONE);
  assert.deepEqual(await half, [at(1, 20)]);
});

test("an offset of an earlier assignment is not taken for committed when the partition's new one is", async () => {
  const { queue, fixture, ...rest } = asFixture();
  const before = queue.commit([at(0, 10), at(1, 5)], 60_000);
  await (await rest.nextTry()).answer(ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS);
  fixture.owned.set("t:0", 2);
  const now = queue.commit([at(0, 7, 2)], 60_000);
  rest.clock.advance(100);
  const second = await rest.nextTry();
  assert.deepEqual(second.offsets, { "t:1": 5, "t:0": 7 });
  await second.answer(ErrorCodes.NONE);
  assert.deepEqual(await before, [at(1, 5)]);
  assert.deepEqual(await now, [at(0, 7, 2)]);
});

test("what is held back goes out under the next generation, but only what stayed ours without a break", async () => {
  const { queue, fixture, ...rest } = asFixture();
  fixture.become("held");
  const done = queue.commit([at(0, 10), at(1, 20)], 60_000);
  await settle();
  assert.equal(fixture.tries.length, 0);
  // Partition 1 has gone and come back meanwhile.
  fixture.owned.set("t:1", 2);
  const next = newSession(2);
  fixture.become("ready", next);
  const first = await rest.nextTry();
  assert.equal(first.session, next);
  assert.deepEqual(first.offsets, { "t:0": 10 });
  await first.answer(ErrorCodes.NONE);
  assert.deepEqual(await done, [at(0, 10)]);
});

test("what is held back gives up at its deadline, and says why", async () => {
  const { queue, fixture, clock, ...rest } = asFixture();
  fixture.become("held");
  const failed = assert.rejects(queue.commit([at(0, 10)], 1_000), /1000 ms: The group rebalances/);
  await settle();
  clock.advance(1_000);
  await failed;
  // Nor does it come out later, when nobody knows of it any more.
  fixture.become("ready", newSession(2));
  await settle();
  assert.equal(fixture.tries.length, 0);
  const next = queue.commit([at(0, 11)], 1_000);
  await (await rest.nextTry()).answer(ErrorCodes.NONE);
  assert.deepEqual(await next, [at(0, 11)]);
});

test("while a rebalance gathers, commits pass; a refusal is not the end of the membership", async () => {
  for (const code of [ErrorCodes.ILLEGAL_GENERATION, ErrorCodes.REBALANCE_IN_PROGRESS]) {
    const { queue, fixture, ...rest } = asFixture();
    const session = newSession(1);
    fixture.become("passing", session);
    const passes = queue.commit([at(0, 10)], 60_000);
    await (await rest.nextTry()).answer(ErrorCodes.NONE);
    assert.deepEqual(await passes, [at(0, 10)]);
    const done = queue.commit([at(0, 11)], 60_000);
    await (await rest.nextTry()).answer(code);
    fixture.become("held");
    await settle();
    assert.equal(session.gone.isSet, false);
    assert.equal(fixture.tries.length, 0, "it is not asked for again before the generation has begun");
    fixture.become("ready", newSession(2));
    await (await rest.nextTry()).answer(ErrorCodes.NONE);
    assert.deepEqual(await done, [at(0, 11)]);
  }
});

test("a refusal that comes after the next generation has begun is not the end of that one", async () => {
  const { queue, fixture, ...rest } = asFixture();
  const done = queue.commit([at(0, 10)], 60_000);
  const first = await rest.nextTry();
  const next = newSession(2);
  fixture.become("ready", next);
  await first.answer(ErrorCodes.ILLEGAL_GENERATION);
  const second = await rest.nextTry();
  assert.equal(second.session, next);
  await second.answer(ErrorCodes.NONE);
  assert.deepEqual(await done, [at(0, 10)]);
  assert.equal(next.gone.isSet, false);
});

test("a membership that is lost while a commit is held back drops it", async () => {
  const { queue, fixture } = asFixture();
  fixture.become("held");
  const done = queue.commit([at(0, 10)], 60_000);
  await settle();
  fixture.owned.clear();
  queue.reassigned();
  assert.deepEqual(await done, []);
});

test("closing fails what is held back", async () => {
  const { queue, fixture } = asFixture();
  fixture.become("held");
  const failed = assert.rejects(queue.commit([at(0, 10)], 60_000), /closed/);
  await settle();
  queue.close();
  await failed;
});

test("closing fails what is open, at once and without an unhandled rejection", async () => {
  const { queue, ...fixture } = asFixture();
  const open = queue.commit([at(0, 10)], 60_000);
  await fixture.nextTry();
  const failed = assert.rejects(open, /closed/);
  queue.close();
  await failed;
  await assert.rejects(queue.commit([at(0, 11)], 60_000), /closed/);
});

function asFixture(): {
  queue: CommitQueue;
  clock: MockClock;
  fixture: Fixture;
  nextTry: () => Promise<Try>;
} {
  const fixture = new Fixture();
  return { queue: fixture.queue, clock: fixture.clock, fixture, nextTry: () => fixture.nextTry() };
}

test("a topic that is gone holds up no other commit, and is left out after a while", async () => {
  const { queue, ...fixture } = asFixture();
  const gone = { "t:1": ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION };
  const both = queue.commit([at(0, 10), at(1, 20)], 60_000);
  await (await fixture.nextTry()).answer(gone);
  const other = queue.commit([at(0, 15)], 60_000);
  fixture.clock.advance(100);
  const second = await fixture.nextTry();
  assert.deepEqual(second.offsets, { "t:0": 15, "t:1": 20 });
  await second.answer(gone);
  assert.deepEqual(await other, [at(0, 15)]);
  for (let tries = 0; tries < 60; tries++) {
    fixture.clock.advance(100);
    await settle();
    if (fixture.fixture.tries.length === 0) break;
    const again = await fixture.nextTry();
    assert.deepEqual(
      again.offsets,
      { "t:1": 20 },
      "what is committed is not committed again: it would go back",
    );
    await again.answer(gone);
  }
  assert.deepEqual(await both, [at(0, 10)]);
  // A new offset of it is not tried for as long again.
  const late = queue.commit([at(1, 30)], 60_000);
  await (await fixture.nextTry()).answer(gone);
  assert.deepEqual(await late, []);
});

test("a topic that the coordinator hears of in time is committed", async () => {
  const { queue, ...fixture } = asFixture();
  const done = queue.commit([at(0, 10), at(1, 20)], 60_000);
  await (await fixture.nextTry()).answer({ "t:1": ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION });
  fixture.clock.advance(100);
  await (await fixture.nextTry()).answer(ErrorCodes.NONE);
  assert.deepEqual(await done, [at(0, 10), at(1, 20)]);
});

test("an offset of a topic that was made again is left out at once, and the next one under the new topic is committed", async () => {
  const { queue, ...fixture } = asFixture();
  const both = queue.commit([at(0, 10), at(1, 20)], 60_000);
  await (await fixture.nextTry()).answer({ "t:1": ErrorCodes.INCONSISTENT_TOPIC_ID });
  assert.deepEqual(await both, [at(0, 10)]);
  const next = queue.commit([at(1, 3)], 60_000);
  await (await fixture.nextTry()).answer(ErrorCodes.NONE);
  assert.deepEqual(await next, [at(1, 3)]);
});
