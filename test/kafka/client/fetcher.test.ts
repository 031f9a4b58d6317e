import assert from "node:assert/strict";
import { test } from "node:test";
import { recordBatch, TOPIC_ID } from "./fetch-bytes.ts";
import { FetchHarness, settle } from "./fetch-harness.ts";

const LEADER = { nodeId: 1, leaderEpoch: 5 };
const BOTH = [LEADER, LEADER];

test("a partition is asked for by topic id, with what is known of its leader and of the record before", async () => {
  using t = new FetchHarness([LEADER], {
    "fetch.wait.max.ms": 321,
    "fetch.min.bytes": 7,
    "fetch.max.bytes": 5_000_000,
    "max.partition.fetch.bytes": 70_000,
    "client.rack": "rack-9",
    "socket.timeout.ms": 4_000,
  });
  const call = await t.startAtEnd({ 0: 40 }, { leaderEpoch: 3 });
  assert.deepEqual(call.request, {
    maxWaitMs: 321,
    minBytes: 7,
    maxBytes: 5_000_000,
    isolationLevel: "read_committed",
    sessionId: 0,
    sessionEpoch: -1,
    topics: [
      {
        topicId: TOPIC_ID,
        partitions: [
          {
            partition: 0,
            currentLeaderEpoch: 5,
            fetchOffset: 40,
            lastFetchedEpoch: 3,
            partitionMaxBytes: 70_000,
          },
        ],
      },
    ],
    forgottenTopics: [],
    rackId: "rack-9",
  });
  assert.equal(call.timeoutMs, 4_321);
});

test("records are handed over once, and the next request goes on behind them", async () => {
  using t = new FetchHarness();
  t.start({ 0: 10 }, { epoch: 7 });
  const records = Buffer.concat([
    recordBatch({ baseOffset: 10, values: ["a", "b"], leaderEpoch: 4 }),
    recordBatch({ baseOffset: 12, values: ["c"], leaderEpoch: 5 }),
  ]);
  (await t.next()).answer([{ index: 0, highWatermark: 20, records }]);
  const next = await t.next();
  assert.deepEqual(next.offsets, { 0: 13 });
  assert.equal(next.asks.get(0)?.lastFetchedEpoch, 5);
  await settle();
  assert.deepEqual(t.messages(), ["10:a", "11:b", "12:c"]);
  const [fetched] = t.records;
  assert.equal(fetched?.epoch, 7);
  assert.equal(fetched.fromOffset, 10);
  assert.equal(fetched.nextOffset, 13);
  assert.equal(fetched.leaderEpoch, 5);
  assert.equal(fetched.highWatermark, 20);
  assert.equal(fetched.bytes, fetched.buffer.byteLength);
});

test("the next request is on its way before many records are checked, and a few are handed over before it", async () => {
  using t = new FetchHarness();
  t.start({ 0: 0 });
  let askedBefore: number | undefined;
  t.onEvent = () => (askedBefore = t.cluster.unseen);
  const many = recordBatch({ baseOffset: 0, values: ["x".repeat(50_000)] });
  (await t.next()).answer([{ index: 0, highWatermark: 1, records: many }]);
  await settle();
  assert.equal(askedBefore, 1);
  const few = recordBatch({ baseOffset: 1, values: ["a"] });
  (await t.next()).answer([{ index: 0, highWatermark: 2, records: few }]);
  await settle();
  assert.equal(askedBefore, 0);
});

test("records before the offset are in the buffer but not among the messages", async () => {
  using t = new FetchHarness();
  t.start({ 0: 11 });
  const records = recordBatch({ baseOffset: 10, values: ["a", "b", "c"] });
  (await t.next()).answer([{ index: 0, highWatermark: 13, records }]);
  assert.deepEqual((await t.next()).offsets, { 0: 13 });
  await settle();
  assert.deepEqual(t.messages(), ["11:b", "12:c"]);
});

test("the position moves over control batches and over what compaction has taken, and says so", async () => {
  using t = new FetchHarness();
  t.start({ 0: 10 });
  const control = recordBatch({ baseOffset: 10, values: ["marker"], isControl: true, leaderEpoch: 4 });
  const emptied = recordBatch({ baseOffset: 11, values: [], lastOffset: 19, leaderEpoch: 5 });
  const call = await t.next();
  call.answer([{ index: 0, highWatermark: 30, records: Buffer.concat([control, emptied]) }]);
  assert.deepEqual((await t.next()).offsets, { 0: 20 });
  await settle();
  assert.deepEqual(t.records, []);
  assert.deepEqual(t.progress, [
    { topic: "orders", index: 0, epoch: 1, nextOffset: 20, leaderEpoch: 5, highWatermark: 30 },
  ]);
});

test("a gap between batches is passed over, and a batch whose last records are gone is gone over to its end", async () => {
  using t = new FetchHarness();
  t.start({ 0: 0 });
  const records = Buffer.concat([
    recordBatch({ baseOffset: 5, values: ["a"], lastOffset: 9 }),
    recordBatch({ baseOffset: 50, values: ["b"] }),
  ]);
  (await t.next()).answer([{ index: 0, highWatermark: 51, records }]);
  assert.deepEqual((await t.next()).offsets, { 0: 51 });
  await settle();
  assert.deepEqual(t.messages(), ["5:a", "50:b"]);
});

test("where the end is comes with the first answer, which the broker is not to keep until there is something", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 3, 1: 4 });
  const call = await t.next();
  assert.equal(call.request.maxWaitMs, 0);
  call.answer([
    { index: 0, highWatermark: 3 },
    { index: 1, highWatermark: -1 },
  ]);
  assert.equal((await t.next()).request.maxWaitMs, 500);
});

test("a change of the high watermark is told once, also without records", async () => {
  using t = new FetchHarness();
  t.start({ 0: 3 });
  (await t.next()).answer([{ index: 0, highWatermark: 3 }]);
  (await t.next()).answer([{ index: 0, highWatermark: 3 }]);
  (await t.next()).answer([{ index: 0, highWatermark: 4 }]);
  await t.next();
  assert.deepEqual(
    t.progress.map(({ nextOffset, highWatermark }) => [nextOffset, highWatermark]),
    [
      [3, 3],
      [3, 4],
    ],
  );
});

test("a last batch that is cut off is fetched again as a whole", async () => {
  const first = recordBatch({ baseOffset: 0, values: ["a"] });
  const second = recordBatch({ baseOffset: 1, values: ["b".repeat(100)] });
  for (const cut of [1, 30, 70, second.length - 1]) {
    using u = new FetchHarness();
    u.start({ 0: 0 });
    const records = Buffer.concat([first, second.subarray(0, cut)]);
    (await u.next()).answer([{ index: 0, highWatermark: 2, records }]);
    assert.deepEqual((await u.next()).offsets, { 0: 1 });
    await settle();
    assert.deepEqual(u.messages(), ["0:a"]);
    assert.deepEqual(u.warnings, []);
  }
});

test("a batch that is larger than the limit is asked for with as much as it needs, and then the limit is back", async () => {
  using t = new FetchHarness([LEADER], { "max.partition.fetch.bytes": 100 });
  t.start({ 0: 0 });
  const large = recordBatch({ baseOffset: 0, values: ["x".repeat(1_000)] });
  const call = await t.next();
  assert.equal(call.asks.get(0)?.partitionMaxBytes, 100);
  call.answer([{ index: 0, highWatermark: 2, records: large.subarray(0, 100) }]);
  const again = await t.next();
  assert.deepEqual(again.offsets, { 0: 0 });
  assert.equal(again.asks.get(0)?.partitionMaxBytes, large.length);
  again.answer([{ index: 0, highWatermark: 2, records: large }]);
  await t.next();
  await settle();
  assert.equal(t.messages().length, 1);
  t.fetcher.credit({ topic: "orders", index: 0 }, t.records[0]!.bytes);
  t.cluster.connections[0]!.lose();
  await settle();
  await t.advance(200);
  assert.equal((await t.next()).asks.get(0)?.partitionMaxBytes, 100);
});

test("partitions of several brokers are fetched side by side, each from its leader", async () => {
  using t = new FetchHarness([
    { nodeId: 1, leaderEpoch: 5 },
    { nodeId: 2, leaderEpoch: 8 },
  ]);
  t.start({ 0: 0, 1: 0 });
  const calls = [await t.next(), await t.next()].toSorted(
    (a, b) => a.connection.nodeId - b.connection.nodeId,
  );
  assert.deepEqual(
    calls.map((call) => [call.connection.nodeId, call.offsets]),
    [
      [1, { 0: 0 }],
      [2, { 1: 0 }],
    ],
  );
});

test("who was served goes to the end of the line", async () => {
  using t = new FetchHarness([LEADER, LEADER, LEADER]);
  t.start({ 0: 0, 1: 0, 2: 0 });
  const call = await t.next();
  assert.deepEqual([...call.asks.keys()], [0, 1, 2]);
  const records = recordBatch({ baseOffset: 0, values: ["a"] });
  call.answer([
    { index: 0, highWatermark: 9, records },
    { index: 1, highWatermark: 9 },
    { index: 2, highWatermark: 9 },
  ]);
  assert.deepEqual([...(await t.next()).asks.keys()], [1, 2, 0]);
});

test("a broker that throttles is left alone for as long as it says", async () => {
  using t = new FetchHarness();
  t.start({ 0: 0 });
  (await t.next()).answer([], { throttleTimeMs: 2_000, topics: [] });
  await t.advance(1_999);
  assert.equal(t.cluster.unseen, 0);
  await t.advance(1);
  assert.deepEqual((await t.next()).offsets, { 0: 0 });
  assert.deepEqual(t.warnings, []);
});

test("what is prefetched stays within the budget, and credit lets it go on at once", async () => {
  // 40 kB: half of it is shared out evenly, the rest is lent.
  using t = new FetchHarness([LEADER], {
    "queued.max.messages.kbytes": 40,
    "max.partition.fetch.bytes": 8_192,
  });
  t.start({ 0: 0 });
  let offset = 0;
  let asked = 0;
  for (let call = await t.next(); ; call = await t.next()) {
    asked += 1;
    assert.deepEqual(call.offsets, { 0: offset });
    const ask = call.asks.get(0)!.partitionMaxBytes;
    const queued = t.records.reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(queued + ask <= 40 * 1024, `${queued} + ${ask}`);
    const records = recordBatch({ baseOffset: offset, values: ["x".repeat(ask - 100)] });
    call.answer([{ index: 0, highWatermark: 1_000, records }]);
    offset += 1;
    await settle();
    if (t.cluster.unseen === 0) break;
  }
  assert.ok(asked >= 3);
  await t.advance(60_000);
  assert.equal(t.cluster.unseen, 0);
  for (const { bytes } of t.records) t.fetcher.credit({ topic: "orders", index: 0 }, bytes);
  assert.deepEqual((await t.next()).offsets, { 0: offset });
});

test("a partition whose records nobody consumes does not keep others from being fetched", async () => {
  using t = new FetchHarness(BOTH, { "queued.max.messages.kbytes": 40, "max.partition.fetch.bytes": 8_192 });
  t.start({ 0: 0, 1: 0 });
  const offsets: Record<number, number> = { 0: 0, 1: 0 };
  const consumed = { 0: 0, 1: 0 };
  for (let round = 0; round < 50; round += 1) {
    const call = await t.next();
    call.answer(
      [...call.asks].map(([index, { fetchOffset, partitionMaxBytes }]) => {
        assert.equal(fetchOffset, offsets[index]);
        offsets[index] = fetchOffset + 1;
        const value = "x".repeat(Math.max(1, partitionMaxBytes - 100));
        return {
          index,
          highWatermark: 1_000,
          records: recordBatch({ baseOffset: fetchOffset, values: [value] }),
        };
      }),
    );
    await settle();
    for (const { index, bytes } of t.records.splice(0)) {
      consumed[index as 0 | 1] += 1;
      if (index === 1) t.fetcher.credit({ topic: "orders", index }, bytes);
    }
  }
  assert.ok(consumed[0] < 10, `${consumed[0]}`);
  assert.ok(consumed[1] > 40, `${consumed[1]}`);
});
