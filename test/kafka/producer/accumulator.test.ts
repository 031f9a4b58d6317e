import { test } from "node:test";
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { ErrorCode, ProducerError } from "../../../src/errors.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { AccumulatorHarness, partition } from "./accumulator-harness.ts";

/** Whether a promise is settled once everything that can happen has happened. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.finally(() => (settled = true)).catch(() => {});
  await turn();
  return settled;
}

test("messages linger, then go out together, and each learns where it is", async () => {
  const t = new AccumulatorHarness({ "linger.ms": 5 });
  t.accumulator.topic("t", 2, []);
  const deliveries = [t.produce("a", 0), t.produce("b", 1), t.produce("c", 0)];
  t.clock.advance(3);
  deliveries.push(t.produce("d", 1));
  assert.deepEqual(t.sent, []);
  t.clock.advance(2);
  assert.deepEqual(t.sent, ["t:0=a,c", "t:1=b,d"]);
  t.deliver(100);
  t.deliver(7);
  assert.deepEqual(await Promise.all(deliveries), ["t:0@100", "t:1@7", "t:0@101", "t:1@8"]);
  assert.equal(t.accumulator.inFlight, 0);
});

test("a delivery says the partition, the offset and the message's own timestamp, or the broker's", async () => {
  const t = new AccumulatorHarness({ "linger.ms": 5 });
  t.accumulator.topic("t", 1, []);
  const [first, second] = [0, 2].map((ms) => {
    t.clock.advance(ms);
    return t.accumulator.produce("t", 0, new KafkaPayload("k", "v"));
  });
  t.clock.advance(5);
  t.deliver(10);
  const began = t.clock.nowMs() - 7;
  assert.deepEqual(await first, { partition: partition(0), offset: 10, timestampMs: began });
  assert.deepEqual(await second, { partition: partition(0), offset: 11, timestampMs: began + 2 });

  const third = t.accumulator.produce("t", 0, new KafkaPayload("k", "v"));
  t.clock.advance(5);
  t.deliver(12, 1_234);
  assert.deepEqual(await third, { partition: partition(0), offset: 12, timestampMs: 1_234 });
});

test("a batch that is full by size or number does not linger", () => {
  const t = new AccumulatorHarness({ "linger.ms": 1_000, "batch.size": 1_000 });
  t.accumulator.topic("t", 1, []);
  for (const letter of ["a", "b", "c"]) void t.produce(letter.repeat(400), 0);
  assert.equal(t.batches.length, 1, "the third has no room any more");
  assert.ok(t.batches[0]!.length <= 1_000);
  void t.produce("d".repeat(5_000), 0);
  assert.deepEqual(
    t.batches.map(({ recordCount }) => recordCount),
    [2, 1, 1],
    "larger than a batch: goes alone, at once",
  );

  const few = new AccumulatorHarness({ "linger.ms": 1_000, "batch.num.messages": 3 });
  few.accumulator.topic("t", 1, []);
  for (const letter of "abcdefg") void few.produce(letter, 0);
  assert.deepEqual(few.sent, ["t:0=a,b,c", "t:0=d,e,f"]);
});

test("without lingering, what is produced in one turn of the event loop goes together", async () => {
  const t = new AccumulatorHarness({ "linger.ms": 0 });
  t.accumulator.topic("t", 1, []);
  void t.produce("a", 0);
  await Promise.resolve();
  void t.produce("b", 0);
  assert.deepEqual(t.sent, []);
  await turn();
  assert.deepEqual(t.sent, ["t:0=a,b"]);
});

test("a batch that is not full goes on filling while two others are on their way", () => {
  const t = new AccumulatorHarness({ "linger.ms": 5, "batch.size": 1_000 });
  t.accumulator.topic("t", 2, []);
  for (const value of ["a", "b", "c"]) {
    void t.produce(value, 0);
    t.clock.advance(5);
  }
  void t.produce("d", 0);
  void t.produce("other", 1);
  t.clock.advance(50);
  assert.deepEqual(t.sent, ["t:0=a", "t:0=b", "t:1=other"]);
  t.deliver(1);
  assert.deepEqual(t.sent, ["t:0=b", "t:1=other", "t:0=c,d"], "and goes as soon as one is back");
  void t.produce("e".repeat(900), 0);
  void t.produce("f".repeat(900), 0);
  assert.equal(t.batches.length, 4, "a full one goes at once");
});

test("messages for a topic that is not known yet wait, in order, and are placed when it is", async () => {
  const t = new AccumulatorHarness({ "linger.ms": 5 });
  const deliveries = [t.produce("a", 1), t.produce("b", 1), t.produce("c", 9)];
  assert.deepEqual(t.asked, ["t"], "asked once");
  t.clock.advance(100);
  assert.equal(t.accumulator.inFlight, 3);
  t.accumulator.topic("t", 2, []);
  deliveries.push(t.produce("d", 1));
  assert.match(await deliveries[2]!, /t has 2 partitions, so none with index 9/);
  t.clock.advance(5);
  assert.deepEqual(t.sent, ["t:1=a,b,d"]);
  t.deliver(0);
  assert.deepEqual(await deliveries[1], "t:1@1");
  assert.equal(t.accumulator.inFlight, 0);
});

test("messages that wait for their topic keep the timestamp at which they were produced", async () => {
  const t = new AccumulatorHarness();
  const now = t.clock.nowMs();
  const delivery = t.accumulator.produce("t", 0, new KafkaPayload(null, "v"));
  t.clock.advance(1_000);
  t.accumulator.topic("t", 1, []);
  t.clock.advance(5);
  assert.equal(t.batches[0]!.timeoutMs, 300_000 - 1_005, "and the deadline of then");
  t.deliver(0);
  assert.equal((await delivery).timestampMs, now);
});

test("with no broker to ask, messages fail after message.timeout.ms, each at its time", async () => {
  const t = new AccumulatorHarness({ "message.timeout.ms": 1_000 });
  const first = t.produce("a");
  t.clock.advance(400);
  const second = t.produce("b");
  t.clock.advance(599);
  assert.equal(await isSettled(first), false);
  t.clock.advance(1);
  assert.match(await first, /not delivered within "message.timeout.ms" \(1000 ms\): no broker has said/);
  assert.equal(await isSettled(second), false);
  t.clock.advance(400);
  assert.match(await second, /not delivered within/);
  assert.equal(t.accumulator.inFlight, 0);
  const third = t.produce("c", 0);
  t.accumulator.topic("t", 1, []);
  t.clock.advance(5);
  t.deliver(3);
  assert.equal(await third, "t:0@3");
});

test("a topic that cannot be used fails its messages, and is asked for again by the next", async () => {
  const t = new AccumulatorHarness();
  const waiting = t.produce("a");
  t.accumulator.topicFailed("t", new ProducerError("no such topic"));
  assert.equal(await waiting, "no such topic");

  const again = t.produce("b", 0);
  assert.deepEqual(t.asked, ["t", "t"]);
  t.accumulator.topic("t", 1, []);
  const open = t.produce("c", 0);
  t.accumulator.topicFailed("t", new ProducerError("deleted"));
  assert.deepEqual(await Promise.all([again, open]), ["deleted", "deleted"], "also those in an open batch");
  t.clock.advance(1_000);
  assert.deepEqual(t.sent, []);
  assert.equal(t.accumulator.inFlight, 0);
});

test("the batches that failed fail their messages, the others go on", async () => {
  const t = new AccumulatorHarness({ "linger.ms": 5 });
  t.accumulator.topic("t", 2, []);
  const deliveries = [t.produce("a", 0), t.produce("b", 0), t.produce("c", 1)];
  t.clock.advance(5);
  const [bad] = t.batches;
  t.accumulator.failed([bad!.id], new ProducerError("too large"));
  t.accumulator.failed([bad!.id, 99], new ProducerError("comes twice, or was never sent"));
  t.batches.shift();
  t.deliver(5);
  assert.deepEqual(await Promise.all(deliveries), ["too large", "too large", "t:1@5"]);
  assert.equal(t.accumulator.inFlight, 0);
});

test("a full queue refuses new messages by number and by bytes, until deliveries come back", async () => {
  for (const settings of [{ "queue.buffering.max.messages": 2 }, { "queue.buffering.max.kbytes": 1 }]) {
    const t = new AccumulatorHarness(settings);
    t.accumulator.topic("t", 1, []);
    const value = new KafkaPayload(null, "x".repeat(600));
    const taken = [t.accumulator.produce("t", 0, value), t.accumulator.produce("t", 0, value)];
    await assert.rejects(t.accumulator.produce("t", 0, value), {
      code: ErrorCode.PRODUCER_QUEUE_FULL,
      message: /queue is full: 2 messages with \d+ bytes are in flight/,
    });
    t.clock.advance(5);
    t.deliver(0);
    await Promise.all(taken);
    assert.ok(t.accumulator.produce("t", 0, value) instanceof Promise);
    assert.equal(t.accumulator.inFlight, 1);
  }
});

test("messages that wait for their topic count for the queue as well", async () => {
  const t = new AccumulatorHarness({ "queue.buffering.max.messages": 1 });
  void t.produce("a");
  assert.match(await t.produce("b"), /queue is full/);
});

test("a message that no batch may hold is refused, and disturbs no other", async () => {
  const t = new AccumulatorHarness({ "message.max.bytes": 1_000, "batch.size": 1_000 });
  t.accumulator.topic("t", 1, []);
  const first = t.produce("a", 0);
  assert.match(
    await t.produce("x".repeat(1_000), 0),
    /A message for t:0 makes a batch of \d+ bytes, more than "message.max.bytes" \(1000\) allows/,
  );
  void t.produce("b", 0);
  t.clock.advance(5);
  assert.deepEqual(t.sent, ["t:0=a,b"]);
  t.deliver(0);
  assert.equal(await first, "t:0@0");
  assert.equal(t.accumulator.inFlight, 0);
});

test("flush sends what lingers, and waits for what was produced before it, not after", async () => {
  const t = new AccumulatorHarness({ "linger.ms": 1_000 });
  t.accumulator.topic("t", 1, []);
  void t.produce("a", 0);
  void t.produce("b", 0);
  const flushed = t.accumulator.flush();
  void t.produce("later", 0);
  assert.deepEqual(t.sent, ["t:0=a,b"]);
  assert.equal(await isSettled(flushed), false);
  t.deliver(0);
  assert.equal(await isSettled(flushed), true);

  const second = t.accumulator.flush();
  const third = t.accumulator.flush();
  assert.deepEqual(t.sent, ["t:0=later"]);
  assert.equal(await isSettled(second), false);
  t.accumulator.failed([t.batches[0]!.id], new ProducerError("failed"));
  assert.equal(await isSettled(Promise.all([second, third])), true, "a failure settles it too");
  assert.equal(await isSettled(t.accumulator.flush()), true, "nothing is in flight");
});

test("what a flush waits for goes out as soon as its topic is known, apart from what came later", async () => {
  const t = new AccumulatorHarness({ "linger.ms": 1_000 });
  void t.produce("before", 0);
  const flushed = t.accumulator.flush();
  void t.produce("later", 0);
  t.accumulator.topic("t", 1, []);
  assert.deepEqual(t.sent, ["t:0=before"]);
  assert.equal(await isSettled(flushed), false);
  t.deliver(0);
  assert.equal(await isSettled(flushed), true);
  t.clock.advance(1_000);
  assert.deepEqual(t.sent, ["t:0=later"]);
});

test("a flush also sends what was held back for others to come back", () => {
  const t = new AccumulatorHarness({ "linger.ms": 5 });
  t.accumulator.topic("t", 1, []);
  for (const value of ["a", "b", "c"]) {
    void t.produce(value, 0);
    t.clock.advance(5);
  }
  assert.equal(t.batches.length, 2);
  void t.accumulator.flush();
  assert.deepEqual(t.sent, ["t:0=a", "t:0=b", "t:0=c"]);
  t.deliver(0);
  assert.equal(t.batches.length, 2, "and sends nothing twice");
});

test("when all fail, those that wait, those in open batches and those on their way fail", async () => {
  const t = new AccumulatorHarness({ "linger.ms": 5 });
  t.accumulator.topic("t", 1, []);
  const deliveries = [t.produce("on its way", 0)];
  t.clock.advance(5);
  deliveries.push(t.produce("waits", 0, "other"));
  const settled = t.accumulator.flush();
  deliveries.push(t.produce("open", 0));
  t.accumulator.failAll(new ProducerError("closed"));
  assert.deepEqual(await Promise.all(deliveries), ["closed", "closed", "closed"]);
  await settled;
  assert.equal(t.accumulator.inFlight, 0);
  assert.equal(t.clock.pendingTimers, 0);
});

test("messages without a key share a partition, and keep away from one without a leader", () => {
  const t = new AccumulatorHarness({ "linger.ms": 5, "sticky.partitioning.linger.ms": 100 });
  t.accumulator.topic("t", 3, [0, 2]);
  for (let i = 0; i < 20; i++) void t.produce(`${i}`);
  t.clock.advance(5);
  assert.deepEqual(
    t.batches.map(({ index, recordCount }) => [index, recordCount]),
    [[1, 20]],
  );
  t.accumulator.topic("t", 4, [0, 1, 2]);
  void t.produce("x");
  t.clock.advance(5);
  assert.equal(t.batches[1]!.index, 3, "the topic has grown");
});
