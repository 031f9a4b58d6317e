import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PrefetchWindow } from "../../../src/kafka/client/prefetch-window.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { recordBatch } from "./fetch-bytes.ts";
import { FetchHarness, settle } from "./fetch-harness.ts";
import type { ScriptedCall } from "./scripted-cluster.ts";

const MB = 1_048_576;
const LEADER = { nodeId: 1, leaderEpoch: 5 };
const OTHER = { nodeId: 2, leaderEpoch: 5 };

interface Fixture {
  readonly clock: MockClock;
  readonly window: PrefetchWindow;
  /** The main thread has more than half of the window: nothing is asked for. Then it runs out, and gets more after so long. */
  starve(ms: number): void;
  /** So many seconds in which it always has something to do. */
  feed(seconds: number): void;
}

function fixture(limitBytes = 64 * MB): Fixture {
  const clock = new MockClock();
  const window = new PrefetchWindow({ clock, limitBytes, fetchBytes: 4 * MB });
  let handedOver = 0;
  return {
    clock,
    window,
    starve(ms) {
      window.handedOver();
      handedOver += 1;
      assert.equal(window.room(window.bytes), 0);
      window.emptied(handedOver);
      clock.advance(ms);
      window.handedOver();
      handedOver += 1;
      window.room(0);
    },
    feed(seconds) {
      for (let second = 0; second < seconds; second += 1) {
        clock.advance(1_000);
        window.room(window.bytes);
      }
    },
  };
}

test("a window that was filled is closed until half of it is free", () => {
  const { window } = fixture();
  window.handedOver();
  assert.equal(window.room(7 * MB), MB);
  window.expect(MB);
  assert.equal(window.room(7 * MB), 0);
  window.unexpect(MB);
  assert.equal(window.room(4 * MB + 1), 0);
  assert.equal(window.room(4 * MB), 4 * MB);
});

test("what the main thread has but cannot use keeps no room from the rest", () => {
  const { window } = fixture();
  window.handedOver();
  assert.equal(window.room(9 * MB), 0);
  window.emptied(1);
  assert.equal(window.room(9 * MB), 8 * MB);
  window.handedOver();
  assert.equal(window.room(9 * MB), 0, "now it has something to do");
});

test("a main thread that has nothing left, but does not know yet what is on its way, is not empty", () => {
  const { window } = fixture();
  window.handedOver();
  window.handedOver();
  window.emptied(1);
  assert.equal(window.room(9 * MB), 0);
});

test("a main thread that waits because of the window gets a larger one, up to the limit", () => {
  const { window, starve, feed } = fixture(20 * MB);
  starve(500);
  feed(1);
  assert.equal(window.bytes, 16 * MB);
  starve(500);
  feed(1);
  assert.equal(window.bytes, 20 * MB);
  assert.equal(window.room(100 * MB), Infinity, "from here on the budget alone decides");
});

test("a main thread that waits for brokers, with room in the window, is not helped by a larger one", () => {
  const { window, clock } = fixture();
  for (let received = 1; received < 100; received += 1) {
    window.handedOver();
    assert.ok(window.room(MB) > 0);
    window.emptied(received);
    clock.advance(500);
  }
  assert.equal(window.bytes, 8 * MB);
});

test("a window that is larger than it need be shrinks again, slowly", () => {
  const { window, starve, feed } = fixture();
  starve(500);
  feed(1);
  assert.equal(window.bytes, 16 * MB);
  feed(8);
  assert.equal(window.bytes, 16 * MB);
  feed(4);
  assert.equal(window.bytes, 8 * MB);
  feed(60);
  assert.equal(window.bytes, 8 * MB);
});

test("two fetches of a partition fit, and a smaller limit is the window", () => {
  const clock = new MockClock();
  assert.equal(new PrefetchWindow({ clock, limitBytes: 64 * MB, fetchBytes: MB }).bytes, 6 * MB);
  assert.equal(new PrefetchWindow({ clock, limitBytes: 64 * MB, fetchBytes: 10 * MB }).bytes, 20 * MB);
  assert.equal(new PrefetchWindow({ clock, limitBytes: MB, fetchBytes: MB }).room(100 * MB), Infinity);
});

test("whatever happens, a main thread that has nothing finds room for more as soon as nothing is on its way", () => {
  const action = fc.constantFrom("ask", "arrive", "consume", "consume", "empty", "time");
  fc.assert(
    fc.property(fc.array(action, { maxLength: 300 }), (actions) => {
      const { window, clock } = fixture();
      let asked = 0;
      let queued = 0;
      let handedOver = 0;
      for (const what of actions) {
        if (what === "time") clock.advance(700);
        else if (what === "ask" && window.room(queued) > 0) {
          window.expect(MB);
          asked += 1;
        } else if (what === "arrive" && asked > 0) {
          window.unexpect(MB);
          asked -= 1;
          queued += MB;
          window.handedOver();
          handedOver += 1;
        } else if (what === "consume" && queued > 0) queued -= MB;
        else if (what === "empty") window.emptied(handedOver);
        assert.ok(queued + asked * MB <= 2 * window.bytes + MB || window.bytes === 64 * MB);
      }
      window.unexpect(asked * MB);
      window.emptied(handedOver);
      assert.ok(window.room(queued) > 0);
    }),
    { numRuns: 1_000 },
  );
});

/** A fetcher whose window is two fetches of a partition: 8 MB, of at most 64. */
function harness(leaders: readonly { nodeId: number; leaderEpoch: number }[]): FetchHarness {
  return new FetchHarness(leaders, { "max.partition.fetch.bytes": 4 * MB });
}

/** One record that takes about so many MB. */
function megabytes(offset: number, size: number): Buffer {
  return recordBatch({ baseOffset: offset, values: ["x".repeat(size * MB - 200)] });
}

/** Answers with 4 MB of what was asked of each partition. */
async function answer(call: ScriptedCall, highWatermark = 1_000): Promise<void> {
  const partitions = [...call.asks].map(([index, { fetchOffset }]) => ({
    index,
    highWatermark,
    records: megabytes(fetchOffset, 4),
  }));
  call.answer(partitions);
  await settle();
}

test("partitions are fetched until the window is full, and again when half of it is consumed", async () => {
  using t = harness([LEADER]);
  t.start({ 0: 0 });
  await answer(await t.next());
  await answer(await t.next());
  await answer(await t.next());
  assert.equal(t.cluster.unseen, 0);
  assert.equal(t.records.length, 3, "the first was asked for before it was known that there is more");
  const id = { topic: "orders", index: 0 };
  t.fetcher.credit(id, t.records[0]!.bytes);
  await settle();
  assert.equal(t.cluster.unseen, 0);
  t.fetcher.credit(id, t.records[1]!.bytes);
  assert.deepEqual((await t.next()).offsets, { 0: 3 });
});

test("a paused partition that fills the window does not keep others from being fetched", async () => {
  using t = harness([LEADER, LEADER]);
  t.start({ 0: 0 });
  for (let i = 0; i < 3; i += 1) await answer(await t.next());
  t.start({ 1: 0 });
  const call = await t.next();
  assert.deepEqual(call.offsets, { 1: 0 }, "nothing is known of it yet: it is asked for in any case");
  call.answer([{ index: 1, highWatermark: 1_000 }]);
  await settle();
  assert.equal(t.cluster.unseen, 0, "the main thread has enough to do");
  t.fetcher.emptied(3);
  assert.deepEqual((await t.next()).offsets, { 0: 3, 1: 0 });
});

test("partitions that are at their end are in the request, however full the window is", async () => {
  using t = harness([LEADER, LEADER]);
  t.start({ 0: 0, 1: 7 });
  for (let i = 0; i < 3; i += 1) {
    const call = await t.next();
    assert.ok(call.asks.has(1));
    call.answer([
      { index: 0, highWatermark: 1_000, records: megabytes(i, 4) },
      { index: 1, highWatermark: 7 },
    ]);
    await settle();
  }
  const call = await t.next();
  assert.deepEqual(call.offsets, { 1: 7 });
  assert.equal(call.request.maxWaitMs, 100, "not for long, while there is more to read elsewhere");
});

test("what waits for room is fetched as soon as there is some, whatever is kept by the broker", async () => {
  using t = harness([LEADER, LEADER, LEADER]);
  t.start({ 0: 0, 1: 7 });
  for (let i = 0; i < 3; i += 1) {
    (await t.next()).answer([
      { index: 0, highWatermark: 1_000, records: megabytes(i, 4) },
      { index: 1, highWatermark: 7 },
    ]);
    await settle();
  }
  assert.deepEqual((await t.next()).offsets, { 1: 7 });
  t.start({ 2: 9 });
  (await t.next()).answer([{ index: 2, highWatermark: 9 }]);
  await settle();
  assert.equal(t.cluster.unseen, 0, "both connections would have a request that the broker keeps");
  const id = { topic: "orders", index: 0 };
  for (const { bytes } of t.records) t.fetcher.credit(id, bytes);
  assert.deepEqual((await t.next()).offsets, { 0: 3, 2: 9 });
});

test("a broker that finds no room goes on when another's request, which had taken it, comes to nothing", async () => {
  using t = harness([LEADER, LEADER, OTHER]);
  t.start({ 0: 0, 1: 0, 2: 0 });
  const calls = [await t.next(), await t.next()];
  const [both, other] = calls[0]!.asks.has(2) ? [calls[1]!, calls[0]!] : [calls[0]!, calls[1]!];
  both.answer([0, 1].map((index) => ({ index, highWatermark: 1_000 })));
  const filling = await t.next();
  assert.deepEqual(filling.offsets, { 0: 0, 1: 0 });
  other.answer([{ index: 2, highWatermark: 1_000 }]);
  await settle();
  assert.equal(t.cluster.unseen, 0, "there is no room");
  filling.fail();
  await settle();
  assert.equal(t.cluster.unseen, 1);
  assert.deepEqual((await t.next()).offsets, { 2: 0 });
});

test("partitions, and brokers, that find no room have their turn in the order in which they came", async () => {
  using t = harness([LEADER, LEADER, OTHER, OTHER]);
  t.start({ 0: 0, 1: 0, 2: 0, 3: 0 });
  await settle();
  const handled = [0, 0, 0, 0];
  for (let i = 0; i < 60; i += 1) {
    while (t.cluster.unseen > 0) await answer(await t.next());
    const fetched = t.records.shift();
    assert.ok(fetched !== undefined, "there is always something to do");
    handled[fetched.index]! += 1;
    const held = t.records.reduce((sum, { bytes }) => sum + bytes, 0);
    // The first answers came before it was known that there is more.
    if (i > 10) assert.ok(held <= 12 * MB, `${held}`);
    t.fetcher.credit({ topic: "orders", index: fetched.index }, fetched.bytes);
    await settle();
  }
  assert.ok(Math.min(...handled) >= 12, `${handled}`);
});
