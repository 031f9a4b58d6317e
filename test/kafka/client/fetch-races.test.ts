import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { recordBatch } from "./fetch-bytes.ts";
import { FetchHarness, settle } from "./fetch-harness.ts";

const LEADER = { nodeId: 1, leaderEpoch: 5 };

const records = (baseOffset: number, ...values: string[]): Buffer => recordBatch({ baseOffset, values });

test("a seek in the middle of a fetch is asked for at once, and the answer to the old request is dropped", async () => {
  using t = new FetchHarness();
  const old = await t.startAtEnd({ 0: 0 }, { epoch: 1 });
  t.start({ 0: 500 }, { epoch: 2 });
  const sought = await t.next();
  assert.deepEqual(sought.offsets, { 0: 500 });
  assert.notEqual(sought.connection, old.connection);
  old.answer([{ index: 0, highWatermark: 600, records: records(0, "old") }]);
  sought.answer([{ index: 0, highWatermark: 600, records: records(500, "new") }]);
  assert.deepEqual((await t.next()).offsets, { 0: 501 });
  await settle();
  assert.deepEqual(t.messages(), ["500:new"]);
  assert.deepEqual(
    t.records.map(({ epoch }) => epoch),
    [2],
  );
});

test("a seek back to the very offset that is being fetched does not take the old answer either", async () => {
  using t = new FetchHarness();
  const old = await t.startAtEnd({ 0: 7 }, { epoch: 1 });
  t.start({ 0: 7 }, { epoch: 2 });
  const sought = await t.next();
  old.answer([{ index: 0, highWatermark: 8, records: records(7, "a") }]);
  await settle();
  assert.deepEqual(t.records, []);
  sought.answer([{ index: 0, highWatermark: 8, records: records(7, "a") }]);
  await settle();
  assert.deepEqual(
    t.records.map(({ epoch }) => epoch),
    [2],
  );
});

test("a seek between two partitions of one answer: nothing from before it is handed over", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 0, 1: 0 }, { epoch: 1 });
  const call = await t.next();
  t.onEvent = () => {
    if (t.records.length === 1) t.start({ 1: 90 }, { epoch: 2 });
  };
  call.answer([
    { index: 0, highWatermark: 100, records: records(0, "a") },
    { index: 1, highWatermark: 100, records: records(0, "b") },
  ]);
  await settle();
  assert.deepEqual(t.messages(0), ["0:a"]);
  assert.deepEqual(t.messages(1), []);
});

test("after a stop in the middle of a fetch nothing comes, and the others are not disturbed", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 0, 1: 0 });
  const call = await t.next();
  t.fetcher.stop([{ topic: "orders", index: 0 }]);
  t.fetcher.stop([{ topic: "orders", index: 7 }]);
  call.answer([
    { index: 0, highWatermark: 1, records: records(0, "a") },
    { index: 1, highWatermark: 1, records: records(0, "b") },
  ]);
  assert.deepEqual((await t.next()).offsets, { 1: 1 });
  await settle();
  assert.deepEqual(t.messages(0), []);
  assert.deepEqual(t.messages(1), ["0:b"]);
});

test("a stop from within an event holds for the rest of the same answer", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 0, 1: 0 });
  t.onEvent = () => t.fetcher.stop([0, 1].map((index) => ({ topic: "orders", index })));
  const call = await t.next();
  call.answer([
    { index: 0, highWatermark: 1, records: records(0, "a") },
    { index: 1, highWatermark: 1, records: records(0, "b") },
  ]);
  await settle();
  assert.equal(t.records.length, 1);
});

test("a partition that is assigned while the broker waits for data is asked for at once", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  const held = await t.startAtEnd({ 0: 0 });
  assert.equal(held.request.maxWaitMs, 500);
  t.start({ 1: 0 });
  const side = await t.next();
  assert.deepEqual(side.offsets, { 1: 0 });
  assert.equal(side.request.maxWaitMs, 0);
  assert.notEqual(side.connection, held.connection);
  side.answer([{ index: 1, highWatermark: 0 }]);
  // Both end together, and one request goes on with both.
  for (let round = 0; round < 10; round += 1) {
    await settle();
    if (t.cluster.unseen === 0) break;
    const next = await t.next();
    assert.deepEqual(next.offsets, { 1: 0 });
    assert.ok(t.clock.monotonicMs() + next.request.maxWaitMs <= 500);
    await t.advance(next.request.maxWaitMs);
    next.answer([{ index: 1, highWatermark: 0 }]);
  }
  await t.advance(500 - t.clock.monotonicMs());
  held.answer([{ index: 0, highWatermark: 0 }]);
  assert.deepEqual((await t.next()).offsets, { 0: 0, 1: 0 });
});

test("a partition goes on when the request that it came beside ends first, and has nothing more to ask for", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  const held = await t.startAtEnd({ 0: 0 });
  t.start({ 1: 0 });
  const side = await t.next();
  assert.deepEqual(side.offsets, { 1: 0 });
  t.fetcher.stop([{ topic: "orders", index: 0 }]);
  held.answer([{ index: 0, highWatermark: 0 }]);
  await settle();
  side.answer([{ index: 1, highWatermark: 0 }]);
  assert.deepEqual((await t.next()).offsets, { 1: 0 });
});

test("room that comes back while the broker waits for data of others is used at once", async () => {
  using t = new FetchHarness([LEADER, LEADER], {
    "queued.max.messages.kbytes": 40,
    "max.partition.fetch.bytes": 8_192,
  });
  t.start({ 0: 0, 1: 0 });
  const first = await t.next();
  const large = recordBatch({ baseOffset: 0, values: ["x".repeat(30_000)] });
  first.answer([
    { index: 0, highWatermark: 50, records: large },
    { index: 1, highWatermark: 0 },
  ]);
  // Sent before the records were counted.
  const second = await t.next();
  second.answer([...second.asks.keys()].map((index) => ({ index, highWatermark: index === 0 ? 50 : 0 })));
  const held = await t.next();
  assert.deepEqual(held.offsets, { 1: 0 });
  t.fetcher.credit({ topic: "orders", index: 0 }, t.records[0]!.bytes);
  const side = await t.next();
  assert.deepEqual(side.offsets, { 0: 1 });
  side.answer([{ index: 0, highWatermark: 50, records: records(1, "b") }]);
  await settle();
  assert.deepEqual(t.messages(0).slice(1), ["1:b"]);
});

test("no second request is made while the first is sure to be answered soon", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 0 });
  (await t.next()).answer([{ index: 0, highWatermark: 50, records: records(0, "a") }]);
  const behind = await t.next();
  t.start({ 1: 0 });
  await settle();
  assert.equal(t.cluster.unseen, 0);
  behind.answer([{ index: 0, highWatermark: 50, records: records(1, "b") }]);
  assert.deepEqual((await t.next()).offsets, { 0: 2, 1: 0 });
});

test("a change of leader in mid-flight: the new leader is asked for the same offset, and what the old one says is dropped", async () => {
  using t = new FetchHarness();
  t.start({ 0: 4 }, { leaderEpoch: 5 });
  const old = await t.next();
  t.cluster.setLeaders([{ nodeId: 2, leaderEpoch: 6 }]);
  const call = await t.next();
  assert.equal(call.connection.nodeId, 2);
  assert.deepEqual(call.offsets, { 0: 4 });
  assert.equal(call.asks.get(0)?.currentLeaderEpoch, 6);
  assert.equal(call.asks.get(0)?.lastFetchedEpoch, 5);
  old.answer([{ index: 0, highWatermark: 9, records: records(4, "old") }]);
  call.answer([{ index: 0, highWatermark: 9, records: records(4, "new") }]);
  await settle();
  assert.deepEqual(t.messages(), ["4:new"]);
});

test("a change of leader while records wait to be handed over: they are, and then the new leader is asked", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 0, 1: 0 });
  const call = await t.next();
  t.onEvent = () => {
    if (t.records.length > 1) return;
    // As if checking the first partition's records had taken long, so that others have their turn.
    t.clock.advance(50);
    t.cluster.setLeaders([LEADER, { nodeId: 2, leaderEpoch: 6 }]);
  };
  call.answer([
    { index: 0, highWatermark: 1, records: records(0, "a") },
    { index: 1, highWatermark: 1, records: records(0, "b") },
  ]);
  let moved = await t.next();
  while (moved.connection.nodeId !== 2) moved = await t.next();
  assert.deepEqual(moved.offsets, { 1: 1 });
  assert.deepEqual(t.messages(1), ["0:b"]);
});

test("a new epoch of the same leader is used at once", async () => {
  using t = new FetchHarness();
  const old = await t.startAtEnd({ 0: 4 });
  t.cluster.setLeaders([{ nodeId: 1, leaderEpoch: 6 }]);
  const call = await t.next();
  assert.equal(call.asks.get(0)?.currentLeaderEpoch, 6);
  old.answer([{ index: 0, errorCode: ErrorCodes.FENCED_LEADER_EPOCH }]);
  call.answer([{ index: 0, highWatermark: 9, records: records(4, "a") }]);
  assert.deepEqual((await t.next()).offsets, { 0: 5 });
  await settle();
  assert.deepEqual(t.messages(), ["4:a"]);
});

test("a broker that says who leads now is believed at once", async () => {
  using t = new FetchHarness();
  t.start({ 0: 4 });
  const call = await t.next();
  call.answer([
    {
      index: 0,
      errorCode: ErrorCodes.NOT_LEADER_OR_FOLLOWER,
      currentLeader: { nodeId: 3, leaderEpoch: 9 },
    },
  ]);
  const next = await t.next();
  assert.equal(next.connection.nodeId, 3);
  assert.equal(next.asks.get(0)?.currentLeaderEpoch, 9);
  assert.deepEqual(t.warnings, []);
});

test("metadata that is behind what the broker has said does not bring the old leader back", async () => {
  using t = new FetchHarness();
  t.start({ 0: 4 }, { leaderEpoch: 7 });
  await settle();
  // Epoch 5 is older than that of the record before the position: the metadata is refreshed first.
  assert.equal(t.cluster.unseen, 1);
  assert.equal(t.cluster.refreshes, 1);
});

test("a position read under a newer leader waits for metadata that knows it", async () => {
  using t = new FetchHarness();
  t.cluster.onRefresh = () => t.cluster.setLeaders([{ nodeId: 2, leaderEpoch: 7 }]);
  t.start({ 0: 4 }, { leaderEpoch: 7 });
  const call = await t.next();
  assert.equal(call.connection.nodeId, 2);
  assert.equal(t.cluster.refreshes, 1);
});

test("a connection that is lost with a request under way: the same offsets again, nothing lost, nothing twice", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 0, 1: 0 });
  const call = await t.next();
  call.answer([
    { index: 0, highWatermark: 9, records: records(0, "a", "b") },
    { index: 1, highWatermark: 9 },
  ]);
  const next = await t.next();
  assert.deepEqual(next.offsets, { 0: 2, 1: 0 });
  next.connection.lose();
  await t.advance(150);
  const again = await t.next();
  assert.notEqual(again.connection, call.connection);
  assert.deepEqual(again.offsets, { 0: 2, 1: 0 });
  again.answer([
    { index: 0, highWatermark: 9, records: records(2, "c") },
    { index: 1, highWatermark: 9 },
  ]);
  await settle();
  assert.deepEqual(t.messages(), ["0:a", "1:b", "2:c"]);
  assert.ok(t.cluster.refreshes >= 1);
});

test("while a broker cannot be reached, the leaders are looked up again and again, but not in a hot loop", async () => {
  using t = new FetchHarness();
  t.start({ 0: 0 });
  const call = await t.next();
  t.cluster.connect = () => new Promise(() => {});
  call.connection.lose();
  for (let ms = 0; ms < 10_000; ms += 50) await t.advance(50);
  const { refreshes } = t.cluster;
  assert.ok(refreshes >= 8 && refreshes <= 16, `${refreshes}`);
  t.cluster.connect = () => Promise.resolve();
  t.cluster.setLeaders([{ nodeId: 2, leaderEpoch: 6 }]);
  assert.equal((await t.next()).connection.nodeId, 2);
  for (let ms = 0; ms < 5_000; ms += 50) await t.advance(50);
  assert.ok(t.cluster.refreshes <= refreshes + 2);
});

test("a broker that does not answer in time leads to fresh metadata while its answer is still waited for", async () => {
  using t = new FetchHarness();
  t.start({ 0: 0 });
  const hung = await t.next();
  await t.advance(3_000);
  assert.equal(t.cluster.refreshes, 0);
  t.cluster.onRefresh = () => t.cluster.setLeaders([{ nodeId: 2, leaderEpoch: 6 }]);
  await t.advance(3_000);
  assert.equal(t.cluster.refreshes, 1);
  const moved = await t.next();
  assert.equal(moved.connection.nodeId, 2);
  hung.answer([{ index: 0, highWatermark: 9, records: records(0, "from the dead") }]);
  moved.answer([{ index: 0, highWatermark: 9, records: records(0, "a") }]);
  await settle();
  assert.deepEqual(t.messages(), ["0:a"]);
});

test("credit for what was handed over before a seek or a stop counts once, then as before", async () => {
  using t = new FetchHarness([LEADER], {
    "queued.max.messages.kbytes": 40,
    "max.partition.fetch.bytes": 8_192,
  });
  const id = { topic: "orders", index: 0 };
  t.start({ 0: 0 }, { epoch: 1 });
  (await t.next()).answer([
    { index: 0, highWatermark: 50, records: recordBatch({ baseOffset: 0, values: ["x".repeat(38_000)] }) },
  ]);
  await settle();
  const { bytes } = t.records[0]!;
  t.fetcher.stop([id]);
  while (t.cluster.unseen > 0) (await t.next()).answer([{ index: 0, highWatermark: 50 }]);
  await settle();
  // Assigned again, while the old buffer still takes up the room.
  t.start({ 0: 20 }, { epoch: 2 });
  await settle();
  assert.equal(t.cluster.unseen, 0);
  t.fetcher.credit(id, bytes);
  const call = await t.next();
  assert.deepEqual(call.offsets, { 0: 20 });
  assert.equal(call.asks.get(0)?.partitionMaxBytes, 8_192);
});

test("seeks while records wait to be handed over do not use up the budget", async () => {
  using t = new FetchHarness([LEADER, LEADER], {
    "queued.max.messages.kbytes": 400,
    "max.partition.fetch.bytes": 81_920,
  });
  const value = "x".repeat(20_000);
  t.start({ 0: 0, 1: 0 });
  for (let epoch = 2; epoch < 20; epoch += 1) {
    const call = await t.next();
    t.onEvent = () => {
      t.onEvent = () => {};
      t.start({ 1: 0 }, { epoch });
    };
    call.answer([
      { index: 0, highWatermark: 99, records: records(call.offsets[0]!, value) },
      { index: 1, highWatermark: 99, records: records(0, value) },
    ]);
    await settle();
    for (const { index, bytes } of t.records.splice(0)) t.fetcher.credit({ topic: "orders", index }, bytes);
    // What was asked for in the name of the old position.
    (await t.next()).answer([{ index: 0, highWatermark: 99 }]);
  }
  const call = await t.next();
  assert.equal(call.asks.get(1)?.partitionMaxBytes, 81_920);
});

test("closing is heeded at every point at which something is waited for", async (t) => {
  const points: Record<string, (h: FetchHarness) => Promise<void>> = {
    "before anything is started": async () => {},
    "while a connection is made": async (h) => {
      h.start({ 0: 0 });
      h.fetcher.close();
    },
    "with a request under way": async (h) => {
      h.start({ 0: 0 });
      const call = await h.next();
      h.fetcher.close();
      call.answer([{ index: 0, highWatermark: 1, records: records(0, "a") }]);
    },
    "with an answer that has just come": async (h) => {
      h.start({ 0: 0 });
      (await h.next()).answer([{ index: 0, highWatermark: 1, records: records(0, "a") }]);
      h.fetcher.close();
    },
    "from within an event": async (h) => {
      h.cluster.setLeaders([LEADER, LEADER]);
      h.start({ 0: 0, 1: 0 });
      h.onEvent = () => h.fetcher.close();
      (await h.next()).answer([
        { index: 0, highWatermark: 1, records: records(0, "a") },
        { index: 1, highWatermark: 1, records: records(0, "b") },
      ]);
      await settle();
      assert.equal(h.records.length, 1);
      h.records.length = 0;
    },
    "while it backs off": async (h) => {
      h.start({ 0: 0 });
      (await h.next()).answer([{ index: 0, errorCode: ErrorCodes.UNKNOWN_SERVER_ERROR }]);
      await settle();
    },
    "while metadata is refreshed": async (h) => {
      h.cluster.setLeaders([undefined]);
      const refreshed = Promise.withResolvers<void>();
      h.cluster.onRefresh = () => refreshed.promise;
      h.start({ 0: 0 });
      await settle();
      h.fetcher.close();
      h.cluster.setLeaders([LEADER]);
      refreshed.resolve();
    },
    "while nothing can be prefetched": async (h) => {
      h.start({ 0: 0 });
      const value = "x".repeat(50_000);
      (await h.next()).answer([
        { index: 0, highWatermark: 9, records: recordBatch({ baseOffset: 0, values: [value] }) },
      ]);
      await settle();
      h.records.length = 0;
    },
  };
  for (const [point, run] of Object.entries(points)) {
    await t.test(point, async () => {
      const h = new FetchHarness([LEADER], { "queued.max.messages.kbytes": 40 });
      await run(h);
      h.fetcher.close();
      const asked = h.cluster.unseen;
      h.start({ 0: 0 });
      h.fetcher.credit({ topic: "orders", index: 0 }, 1);
      h.fetcher.stop([{ topic: "orders", index: 0 }]);
      h.fetcher.close();
      await h.advance(120_000);
      assert.equal(h.cluster.unseen, asked, "a request was sent after the close");
      assert.equal(h.clock.pendingTimers, 0, "a timer is left");
      assert.deepEqual([h.records, h.failed, h.unknownTopics, h.outOfRange], [[], [], [], []]);
      assert.ok(h.cluster.connections.every((connection) => !connection.alive));
    });
  }
});
