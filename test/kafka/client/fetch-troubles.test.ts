import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import {
  AuthenticationError,
  UnsupportedBrokerError,
  ResponseTooLargeError,
} from "../../../src/kafka/client/transport-error.ts";
import { deserializeError } from "../../../src/kafka/client/serialized-error.ts";
import { GOLDEN } from "../records/golden.ts";
import { fetchResponseBody, recordBatch, TOPIC_ID } from "./fetch-bytes.ts";
import { FetchHarness, settle } from "./fetch-harness.ts";

const LEADER = { nodeId: 1, leaderEpoch: 5 };
const OTHER_TOPIC_ID = "11111111-2222-4333-8444-555555555555";

/** A value that makes an answer large enough for the next request to be sent before it is checked. */
const LARGE = "x".repeat(50_000);

const records = (baseOffset: number, ...values: string[]): Buffer => recordBatch({ baseOffset, values });

/** The batch with one bit of its last record flipped. */
function damaged(batch: Buffer): Buffer {
  const bytes = Buffer.from(batch);
  bytes[bytes.length - 3]! ^= 4;
  return bytes;
}

test("damaged records are fetched again over a new connection, and nobody notices", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 5, 1: 5 });
  const call = await t.next();
  call.answer([
    { index: 0, highWatermark: 6, records: damaged(records(5, LARGE)) },
    { index: 1, highWatermark: 6, records: records(5, "b") },
  ]);
  // It was sent before the records were checked; the connection is gone with it.
  const taken = await t.next();
  await settle();
  assert.equal(taken.connection.alive, false);
  const other = await t.next();
  assert.deepEqual(other.offsets, { 1: 6 });
  other.answer([{ index: 1, highWatermark: 7 }]);
  (await t.next()).answer([{ index: 1, highWatermark: 7, records: records(6, "c") }]);
  await t.advance(150);
  let again = await t.next();
  if (again.offsets[0] === undefined) again = await t.next();
  assert.equal(again.offsets[0], 5);
  assert.notEqual(again.connection, call.connection);
  again.answer([{ index: 0, highWatermark: 6, records: records(5, LARGE) }]);
  await settle();
  assert.deepEqual(t.messages(0), [`5:${LARGE}`]);
  assert.deepEqual(t.messages(1), ["5:b", "6:c"]);
  assert.deepEqual(t.failed, []);
  assert.equal(t.warnings.length, 1);
});

test("records that are damaged three times in a row fail the partition, with its topic, partition and offset", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 }, { epoch: 3 });
  const connections = new Set();
  for (let round = 0; round < 3; round += 1) {
    await t.advance(500);
    let call = await t.next();
    // What was asked for before the damage was seen.
    while (!call.connection.alive) call = await t.next();
    connections.add(call.connection);
    assert.deepEqual(call.offsets, { 0: 5 });
    call.answer([{ index: 0, highWatermark: 6, records: damaged(records(5, "a")) }]);
    await settle();
    assert.equal(t.failed.length, round === 2 ? 1 : 0);
  }
  assert.equal(connections.size, 3);
  const [failure] = t.failed;
  assert.deepEqual([failure?.topic, failure?.index, failure?.epoch, failure?.offset], ["orders", 0, 3, 5]);
  const error = deserializeError(failure!.error, "consumer") as Error & { code: string; cause: Error };
  assert.equal(error.code, "ARROYO_CORRUPT_BATCH");
  assert.match(
    error.message,
    /orders\[0\] cannot be fetched from offset 5 on: .* cannot be read, 3 times in a row/,
  );
  assert.match(error.cause.message, /CRC/);
  assert.deepEqual(t.records, []);
  await t.advance(60_000);
  while (t.cluster.unseen > 0) assert.equal((await t.next()).connection.alive, false);
});

test("what comes before damaged records is handed over, and the failure names the first that cannot be read", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 });
  const good = records(5, "a", LARGE);
  const bad = damaged(records(7, "c"));
  (await t.next()).answer([{ index: 0, highWatermark: 8, records: Buffer.concat([good, bad]) }]);
  // It asked for offset 8, on the word of a header that turned out wrong.
  const wrong = await t.next();
  assert.deepEqual(wrong.offsets, { 0: 8 });
  await settle();
  assert.deepEqual(t.messages(), ["5:a", `6:${LARGE}`]);
  wrong.answer([{ index: 0, errorCode: ErrorCodes.OFFSET_OUT_OF_RANGE }]);
  for (let round = 0; round < 3; round += 1) {
    await t.advance(500);
    let call = await t.next();
    while (!call.connection.alive) call = await t.next();
    assert.deepEqual(call.offsets, { 0: 7 });
    call.answer([{ index: 0, highWatermark: 8, records: bad }]);
    await settle();
  }
  assert.equal(t.failed[0]?.offset, 7);
  assert.deepEqual(t.messages(), ["5:a", `6:${LARGE}`]);
});

test("damage in between that goes away starts the count anew", async () => {
  using t = new FetchHarness();
  t.start({ 0: 0 });
  for (let offset = 0; offset < 4; offset += 1) {
    for (const isDamaged of [true, true, false]) {
      await t.advance(500);
      let call = await t.next();
      while (!call.connection.alive || call.offsets[0] !== offset) call = await t.next();
      const batch = records(offset, "a");
      call.answer([{ index: 0, highWatermark: 9, records: isDamaged ? damaged(batch) : batch }]);
      await settle();
    }
  }
  assert.deepEqual(t.failed, []);
  assert.deepEqual(t.messages(), ["0:a", "1:a", "2:a", "3:a"]);
});

test("an answer that cannot be read is like damaged records for everything in it", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 5, 1: 6 });
  const body = fetchResponseBody({
    topics: [{ topicId: TOPIC_ID, partitions: [{ index: 0 }, { index: 1 }] }],
  });
  for (let round = 0; round < 3; round += 1) {
    await t.advance(500);
    const call = await t.next();
    call.answerWith(body.subarray(0, 60));
    await settle();
    assert.equal(call.connection.alive, false);
  }
  assert.deepEqual(
    t.failed.map(({ index, offset, error }) => [index, offset, error.code]),
    [
      [0, 5, "ARROYO_CORRUPT_BATCH"],
      [1, 6, "ARROYO_CORRUPT_BATCH"],
    ],
  );
});

test("an answer that does not reach beyond the offset is no progress, and not repeated for ever", async () => {
  using t = new FetchHarness();
  t.start({ 0: 50 });
  for (let round = 0; round < 3; round += 1) {
    await t.advance(500);
    (await t.next()).answer([{ index: 0, highWatermark: 60, records: records(3, "old") }]);
    await settle();
  }
  assert.equal(t.failed.length, 1);
  assert.deepEqual(t.records, []);
});

test("a batch that says it is longer than anything allowed is damage, not a reason to ask for that much", async () => {
  using t = new FetchHarness();
  t.start({ 0: 0 });
  const batch = records(0, "a");
  batch.writeInt32BE(2_000_000_000, 8);
  for (let round = 0; round < 3; round += 1) {
    await t.advance(500);
    const call = await t.next();
    assert.equal(call.asks.get(0)?.partitionMaxBytes, 1_048_576);
    call.answer([{ index: 0, highWatermark: 1, records: batch }]);
    await settle();
  }
  assert.equal(t.failed[0]?.error.code, "ARROYO_CORRUPT_BATCH");
});

test("whatever is done to the bytes of answers, fetching goes on or fails with an error, and never hangs or spins", async () => {
  let state = 11_242_026;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % below;
  };
  const body = fetchResponseBody({
    topics: [
      {
        topicId: TOPIC_ID,
        partitions: [
          { index: 0, highWatermark: 9, records: Buffer.concat([records(5, "a", "b"), records(7, "c")]) },
        ],
      },
    ],
  });
  const ends = { messages: 0, failed: 0, retried: 0 };
  for (let round = 0; round < 1_000; round += 1) {
    using t = new FetchHarness();
    t.start({ 0: 5 });
    const bytes = Buffer.from(body);
    for (let change = random(3); change >= 0; change -= 1) bytes[random(bytes.length)]! ^= 1 << random(8);
    (await t.next()).answerWith(bytes);
    await t.advance(1_500);
    assert.ok(t.cluster.unseen <= 2, `${t.cluster.unseen} requests`);
    assert.ok(!t.logs.some(({ level }) => level === "error"), JSON.stringify(t.logs));
    if (t.records.length > 0) ends.messages += 1;
    else if (t.failed.length + t.outOfRange.length > 0) ends.failed += 1;
    else ends.retried += 1;
    const asked = t.cluster.unseen > 0;
    assert.ok(
      asked || t.failed.length + t.outOfRange.length > 0 || t.clock.pendingTimers > 0,
      "a silent stall",
    );
  }
  assert.ok(ends.messages > 100 && ends.retried > 100, JSON.stringify(ends));
});

for (const name of [
  "NOT_LEADER_OR_FOLLOWER",
  "FENCED_LEADER_EPOCH",
  "UNKNOWN_LEADER_EPOCH",
  "LEADER_NOT_AVAILABLE",
  "REPLICA_NOT_AVAILABLE",
  "KAFKA_STORAGE_ERROR",
  "OFFSET_NOT_AVAILABLE",
  "UNKNOWN_TOPIC_ID",
  "INCONSISTENT_TOPIC_ID",
  "UNKNOWN_TOPIC_OR_PARTITION",
  "UNKNOWN_SERVER_ERROR",
] as const) {
  test(`${name} holds up its partition only, which goes on where it was`, async () => {
    using t = new FetchHarness([LEADER, LEADER]);
    t.start({ 0: 5, 1: 5 });
    const call = await t.next();
    call.answer([
      { index: 0, errorCode: ErrorCodes[name] },
      { index: 1, highWatermark: 6, records: records(5, "b") },
    ]);
    const next = await t.next();
    assert.deepEqual(next.offsets, { 1: 6 });
    await settle();
    assert.equal(t.cluster.unseen, 0);
    assert.equal(t.cluster.refreshes, 1);
    await t.advance(150);
    const again = await t.next();
    assert.deepEqual(again.offsets, { 0: 5 });
    again.answer([{ index: 0, highWatermark: 6, records: records(5, "a") }]);
    await settle();
    assert.deepEqual(t.messages(0), ["5:a"]);
    assert.deepEqual(t.messages(1), ["5:b"]);
    assert.deepEqual([t.failed, t.outOfRange, t.unknownTopics], [[], [], []]);
  });
}

test("a partition without a leader is waited for, however long it takes, and said once in the log", async () => {
  using t = new FetchHarness([undefined]);
  t.start({ 0: 5 });
  await t.advance(4_000);
  assert.deepEqual(t.warnings, []);
  for (let minute = 0; minute < 10; minute += 1) await t.advance(60_000);
  assert.equal(t.warnings.length, 1);
  assert.ok(t.cluster.refreshes > 4);
  t.cluster.setLeaders([LEADER]);
  const call = await t.next();
  assert.deepEqual(call.offsets, { 0: 5 });
  call.answer([{ index: 0, highWatermark: 5 }]);
  await settle();
  assert.equal(t.logs.filter(({ level }) => level === "info").length, 1);
  assert.deepEqual([t.failed, t.unknownTopics], [[], []]);
});

test("metadata is not asked for in a hot loop while something is missing", async () => {
  using t = new FetchHarness([undefined, undefined, undefined]);
  t.start({ 0: 0, 1: 0, 2: 0 });
  for (let ms = 0; ms < 10_000; ms += 10) await t.advance(10);
  assert.ok(t.cluster.refreshes >= 8 && t.cluster.refreshes <= 16, `${t.cluster.refreshes}`);
});

test("a new topic that the broker does not know yet is given time, then it is unknown", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 }, { epoch: 4 });
  for (;;) {
    await settle();
    if (t.cluster.unseen > 0) (await t.next()).answer([{ index: 0, errorCode: ErrorCodes.UNKNOWN_TOPIC_ID }]);
    await t.advance(100);
    if (t.unknownTopics.length > 0) break;
    assert.ok(t.clock.monotonicMs() < 60_000);
  }
  assert.ok(t.clock.monotonicMs() >= 30_000, `${t.clock.monotonicMs()}`);
  assert.deepEqual(t.unknownTopics, [{ topic: "orders", index: 0, epoch: 4 }]);
  await t.advance(60_000);
  assert.equal(t.cluster.unseen, 0);
});

test("a topic that nobody has heard of is unknown after the same time, and not before", async () => {
  using t = new FetchHarness();
  t.cluster.topics.clear();
  t.start({ 0: 0 });
  for (let ms = 0; ms < 29_000; ms += 500) await t.advance(500);
  assert.deepEqual(t.unknownTopics, []);
  for (let ms = 0; ms < 3_000; ms += 500) await t.advance(500);
  assert.equal(t.unknownTopics.length, 1);
});

test("a topic that turns up within that time is fetched", async () => {
  using t = new FetchHarness();
  t.cluster.setTopicError(ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);
  t.start({ 0: 0 });
  await t.advance(10_000);
  t.cluster.onRefresh = () => t.cluster.setLeaders([LEADER]);
  await t.advance(2_000);
  assert.deepEqual((await t.next()).offsets, { 0: 0 });
});

test("a topic that was deleted and made again is out of range: its old offsets mean nothing", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 });
  const call = await t.next();
  t.cluster.setLeaders([LEADER], OTHER_TOPIC_ID);
  call.answer([{ index: 0, errorCode: ErrorCodes.UNKNOWN_TOPIC_ID }]);
  await t.advance(1_000);
  assert.deepEqual(t.outOfRange, [{ topic: "orders", index: 0, epoch: 1, offset: 5, isOtherTopic: true }]);
  assert.equal(t.cluster.unseen, 0);
  t.start({ 0: 0 }, { epoch: 2 });
  assert.equal((await t.next()).request.topics[0]?.topicId, OTHER_TOPIC_ID);
});

test("a position of a topic that was made again before it was first fetched is never asked for", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 }, { topicId: OTHER_TOPIC_ID });
  await settle();
  assert.deepEqual(t.outOfRange, [{ topic: "orders", index: 0, epoch: 1, offset: 5, isOtherTopic: true }]);
  assert.equal(t.cluster.unseen, 0);
});

test("an offset out of range is believed when the leader says it again with fresh metadata", async () => {
  using t = new FetchHarness();
  t.start({ 0: 99 }, { epoch: 6 });
  (await t.next()).answer([{ index: 0, errorCode: ErrorCodes.OFFSET_OUT_OF_RANGE }]);
  await settle();
  assert.deepEqual(t.outOfRange, []);
  assert.equal(t.cluster.refreshes, 1);
  await t.advance(150);
  (await t.next()).answer([{ index: 0, errorCode: ErrorCodes.OFFSET_OUT_OF_RANGE }]);
  await settle();
  assert.deepEqual(t.outOfRange, [
    { topic: "orders", index: 0, epoch: 6, offset: 99, divergedAt: undefined },
  ]);
  await t.advance(10_000);
  assert.equal(t.cluster.unseen, 0);
});

test("an offset out of range is not believed while the metadata cannot be refreshed", async () => {
  using t = new FetchHarness();
  const refreshed = Promise.withResolvers<void>();
  t.cluster.onRefresh = () => refreshed.promise;
  t.start({ 0: 99 });
  for (let tries = 0; tries < 5; tries += 1) {
    (await t.next()).answer([{ index: 0, errorCode: ErrorCodes.OFFSET_OUT_OF_RANGE }]);
    await t.advance(1_200);
    assert.deepEqual(t.outOfRange, []);
  }
  t.cluster.setLeaders([{ nodeId: 2, leaderEpoch: 6 }]);
  refreshed.resolve();
  let call = await t.next();
  while (call.connection.nodeId !== 2) call = await t.next();
  call.answer([{ index: 0, highWatermark: 100, records: records(99, "a") }]);
  await settle();
  assert.deepEqual(t.messages(), ["99:a"]);
});

test("a broker that answers no request is told of once, and once more when it does", async () => {
  using t = new FetchHarness();
  t.start({ 0: 0 });
  for (let tries = 0; tries < 6; tries += 1) {
    (await t.next()).connection.lose();
    await t.advance(1_200);
  }
  assert.equal(t.warnings.length, 1);
  (await t.next()).answer([{ index: 0, highWatermark: 0 }]);
  await settle();
  assert.equal(t.logs.filter(({ level }) => level === "info").length, 1);
});

test("an offset out of range at an old leader is asked of the new one", async () => {
  using t = new FetchHarness();
  t.start({ 0: 99 });
  t.cluster.onRefresh = () => t.cluster.setLeaders([{ nodeId: 2, leaderEpoch: 6 }]);
  (await t.next()).answer([{ index: 0, errorCode: ErrorCodes.OFFSET_OUT_OF_RANGE }]);
  const moved = await t.next();
  assert.equal(moved.connection.nodeId, 2);
  moved.answer([{ index: 0, highWatermark: 100, records: records(99, "a") }]);
  await settle();
  assert.deepEqual(t.messages(), ["99:a"]);
  assert.deepEqual(t.outOfRange, []);
});

test("a log that was cut beneath the position is out of range, with where the two part", async () => {
  using t = new FetchHarness();
  t.start({ 0: 99 }, { leaderEpoch: 4 });
  (await t.next()).answer([{ index: 0, highWatermark: 90, divergingEpoch: { epoch: 3, endOffset: 80 } }]);
  await settle();
  assert.deepEqual(t.outOfRange, [{ topic: "orders", index: 0, epoch: 1, offset: 99, divergedAt: 80 }]);
  assert.equal(t.warnings.length, 1);
});

test("a log that was cut is gone back in to where ours was written under another epoch than the leader's", async () => {
  using t = new FetchHarness();
  t.start({ 0: 60 }, { leaderEpoch: 3 });
  (await t.next()).answer([
    {
      index: 0,
      highWatermark: 100,
      records: Buffer.concat([
        recordBatch({ baseOffset: 60, values: Array<string>(10).fill("x"), leaderEpoch: 3 }),
        recordBatch({ baseOffset: 70, values: Array<string>(30).fill("y"), leaderEpoch: 5 }),
      ]),
    },
  ]);
  const call = await t.next();
  assert.equal(call.asks.get(0)?.lastFetchedEpoch, 5);
  // Of epoch 3 the leader has more than we read: what we have from 70 on was written by another leader.
  call.answer([{ index: 0, highWatermark: 90, divergingEpoch: { epoch: 3, endOffset: 80 } }]);
  await settle();
  assert.deepEqual(t.outOfRange, [{ topic: "orders", index: 0, epoch: 1, offset: 100, divergedAt: 70 }]);
});

test("a missing authorization fails the partition at once, and says which right it needs", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 0, 1: 0 });
  (await t.next()).answer([
    { index: 0, errorCode: ErrorCodes.TOPIC_AUTHORIZATION_FAILED },
    { index: 1, highWatermark: 0 },
  ]);
  assert.deepEqual((await t.next()).offsets, { 1: 0 });
  assert.match(t.failed[0]!.error.message, /orders\[0\].*TOPIC_AUTHORIZATION_FAILED.*right to READ/);
});

test("the same from the metadata", async () => {
  using t = new FetchHarness();
  t.cluster.setTopicError(ErrorCodes.TOPIC_AUTHORIZATION_FAILED);
  t.start({ 0: 0 });
  assert.match(t.failed[0]!.error.message, /TOPIC_AUTHORIZATION_FAILED/);
  await t.advance(5_000);
  assert.equal(t.cluster.refreshes, 0);
});

test("an error that nobody knows is retried for a minute, logged once, and then fails the partition", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 });
  let tries = 0;
  for (; t.failed.length === 0; tries += 1) {
    assert.ok(t.clock.monotonicMs() < 90_000);
    (await t.next()).answer([{ index: 0, errorCode: 12_345 }]);
    while (t.cluster.unseen === 0 && t.failed.length === 0) await t.advance(100);
  }
  assert.ok(t.clock.monotonicMs() >= 60_000);
  assert.ok(tries < 100, `${tries}`);
  assert.equal(t.warnings.length, 1);
  assert.match(t.failed[0]!.error.message, /ERROR_12345/);
});

test("a partition that the broker leaves out of its answers is not asked for in a hot loop, and fails in the end", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 });
  let tries = 0;
  for (; t.failed.length === 0; tries += 1) {
    (await t.next()).answer([]);
    while (t.cluster.unseen === 0 && t.failed.length === 0) await t.advance(100);
  }
  assert.ok(tries < 100, `${tries}`);
  assert.equal(t.warnings.length, 1);
});

test("an error of the whole answer holds up all of its partitions", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 5, 1: 5 });
  (await t.next()).answer([], { errorCode: ErrorCodes.UNKNOWN_SERVER_ERROR, topics: [] });
  await settle();
  assert.equal(t.cluster.unseen, 0);
  await t.advance(150);
  const seen = new Set(Object.keys((await t.next()).offsets));
  if (seen.size < 2) for (const index of Object.keys((await t.next()).offsets)) seen.add(index);
  assert.deepEqual([...seen].toSorted(), ["0", "1"]);
});

test("a broker that is too old fails its partitions at once", async () => {
  using t = new FetchHarness();
  t.cluster.connectError = new UnsupportedBrokerError("Broker 1 has Fetch up to version 11 only.");
  t.start({ 0: 5 });
  await settle();
  const [failure] = t.failed;
  assert.equal(failure?.error.code, "ARROYO_UNSUPPORTED_BROKER");
  assert.match(failure.error.cause!.message, /up to version 11/);
});

test("of partitions whose answer is too large to be received, the one to blame fails and says what to raise", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 5, 1: 7 });
  const tooLarge = new ResponseTooLargeError("broker 1 sent 200000000 as the length of an answer.");
  (await t.next()).fail(tooLarge);
  // Each alone, and with as little as can be; what is well goes on.
  for (let tries = 0; tries < 20 && t.failed.length === 0; tries += 1) {
    await t.advance(2_000);
    const call = await t.next();
    assert.equal(call.asks.size, 1);
    const [[index, ask] = [-1, undefined]] = call.asks;
    assert.equal(ask?.partitionMaxBytes, 1);
    if (index === 0) call.fail(tooLarge);
    else call.answer([{ index: 1, highWatermark: 8, records: records(7, "well") }]);
    await settle();
    if (index === 1) break;
  }
  assert.deepEqual(t.messages(1), ["7:well"]);
  for (let tries = 0; tries < 20 && t.failed.length === 0; tries += 1) {
    await t.advance(2_000);
    while (t.cluster.unseen > 0) {
      const call = await t.next();
      if (call.asks.has(0)) call.fail(tooLarge);
      else call.answer([{ index: 1, highWatermark: 8 }]);
    }
  }
  assert.equal(t.failed.length, 1);
  assert.equal(t.failed[0]?.index, 0);
  assert.match(
    t.failed[0]?.error.message ?? "",
    /"receive\.message\.max\.bytes" \(100000000\), which has to be raised/,
  );
});

test("a length that was damaged on the way fails nothing", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 });
  for (let tries = 0; tries < 2; tries += 1) {
    (await t.next()).fail(new ResponseTooLargeError("broker 1 sent 1999999999 as the length of an answer."));
    await t.advance(2_000);
  }
  (await t.next()).answer([{ index: 0, highWatermark: 6, records: records(5, "well") }]);
  await settle();
  assert.deepEqual(t.messages(), ["5:well"]);
  assert.equal((await t.next()).asks.get(0)?.partitionMaxBytes, 1_048_576);
  assert.deepEqual(t.failed, []);
});

test("credentials that are refused three times in a row fail the partitions", async () => {
  using t = new FetchHarness();
  t.cluster.connectError = new AuthenticationError("Broker 1 refused to authenticate this client.");
  t.start({ 0: 5 });
  await settle();
  assert.equal(t.failed.length, 0);
  for (let ms = 0; ms < 2_000; ms += 100) await t.advance(100);
  assert.equal(t.failed[0]?.error.code, "ARROYO_AUTHENTICATION");
});

test("a replica nearby that is lost is left for the leader", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 });
  (await t.next()).answer([{ index: 0, highWatermark: 9, preferredReadReplica: 3 }]);
  (await t.next()).connection.lose();
  const leader = await t.next();
  assert.equal(leader.connection.nodeId, 1);
  assert.deepEqual(leader.offsets, { 0: 5 });
});

test("the leader is asked again when its word about a replica has run out", async () => {
  using t = new FetchHarness([LEADER], { "topic.metadata.refresh.interval.ms": 10_000 });
  t.start({ 0: 5 });
  (await t.next()).answer([{ index: 0, highWatermark: 5, preferredReadReplica: 3 }]);
  (await t.next()).answer([{ index: 0, highWatermark: 5 }]);
  const near = await t.next();
  await t.advance(10_000);
  near.answer([{ index: 0, highWatermark: 5 }]);
  assert.equal((await t.next()).connection.nodeId, 1);
});

test("a replica nearby that the leader names is read from, and left again when it does not have the offset", async () => {
  using t = new FetchHarness();
  t.start({ 0: 5 });
  (await t.next()).answer([{ index: 0, highWatermark: 9, preferredReadReplica: 3 }]);
  const near = await t.next();
  assert.equal(near.connection.nodeId, 3);
  assert.deepEqual(near.offsets, { 0: 5 });
  near.answer([{ index: 0, highWatermark: 9, records: records(5, "a") }]);
  (await t.next()).answer([{ index: 0, errorCode: ErrorCodes.OFFSET_OUT_OF_RANGE }]);
  const leader = await t.next();
  assert.equal(leader.connection.nodeId, 1);
  assert.deepEqual(leader.offsets, { 0: 6 });
  leader.answer([{ index: 0, errorCode: ErrorCodes.OFFSET_OUT_OF_RANGE }]);
  await t.advance(300);
  (await t.next()).answer([{ index: 0, errorCode: ErrorCodes.OFFSET_OUT_OF_RANGE }]);
  await settle();
  assert.equal(t.outOfRange.length, 1);
});

test("a batch of an old message format fails its partition with an error that says so, and no other", async () => {
  using t = new FetchHarness([LEADER, LEADER]);
  t.start({ 0: 100, 1: 5 });
  const bad = Buffer.from(GOLDEN.magic1, "hex");
  (await t.next()).answer([{ index: 1, records: records(5, "well") }]);
  let answered = 0;
  for (let tries = 0; tries < 10 && t.failed.length === 0; tries += 1) {
    await t.advance(2_000);
    while (t.cluster.unseen > 0) {
      const call = await t.next();
      if (call.connection.alive && call.asks.has(0)) answered += 1;
      call.answer(call.asks.has(0) ? [{ index: 0, highWatermark: 200, records: bad }] : []);
    }
  }
  assert.match(
    t.failed[0]?.error.message ?? "",
    /it has message format version 1, which brokers wrote before Kafka 0\.11 and this client does not read/,
  );
  assert.equal(t.failed[0]?.error.code, "ARROYO_CORRUPT_BATCH");
  assert.equal(answered, 3);
  assert.deepEqual(t.messages(1), ["5:well"]);
  assert.equal(t.failed.length, 1);
});
