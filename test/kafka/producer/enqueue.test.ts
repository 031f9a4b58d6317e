import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { BatchSettled, SentBatch } from "../../../src/backend/producer.ts";
import { ProducerError } from "../../../src/errors.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { AccumulatorHarness } from "./accumulator-harness.ts";

interface Enqueuing {
  readonly t: AccumulatorHarness;
  /** What was told of batches, in order. */
  readonly told: SentBatch[];
  enqueue(value: string): SentBatch | "full" | undefined;
}

/** A producer of a topic with one partition, whose batches go out after 5 ms. */
function enqueuing(settings: ConstructorParameters<typeof AccumulatorHarness>[0] = {}): Enqueuing {
  const t = new AccumulatorHarness({ "linger.ms": 5, ...settings });
  t.accumulator.topic("t", 1, []);
  const told: SentBatch[] = [];
  const onSettled: BatchSettled = (batch) => told.push(batch);
  const enqueue: Enqueuing["enqueue"] = (value) =>
    t.accumulator.enqueue("t", new KafkaPayload(null, value), onSettled);
  return { t, told, enqueue };
}

test("messages that go out together have one batch, of which it is told once that it is delivered", () => {
  const { t, told, enqueue } = enqueuing();
  const first = enqueue("a") as SentBatch;
  assert.equal(enqueue("b"), first);
  t.clock.advance(5);
  const second = enqueue("c") as SentBatch;
  assert.notEqual(second, first);
  t.clock.advance(5);
  assert.deepEqual(t.sent, ["t:0=a,b", "t:0=c"]);
  assert.equal(t.accumulator.inFlight, 3);
  t.deliver(100);
  assert.deepEqual(told, [first]);
  assert.deepEqual([first.state, second.state], ["delivered", "sent"]);
  t.deliver(102);
  assert.deepEqual(told, [first, second]);
  assert.equal(t.accumulator.inFlight, 0);
});

test("promises in the same batch learn where their own message is", async () => {
  const { t, enqueue } = enqueuing();
  const before = [t.produce("a", 0), t.produce("b", 0)];
  enqueue("c");
  const after = [t.produce("d", 0)];
  enqueue("e");
  after.push(t.produce("f", 0));
  t.clock.advance(5);
  assert.deepEqual(t.sent, ["t:0=a,b,c,d,e,f"]);
  t.deliver(10);
  assert.deepEqual(await Promise.all([...before, ...after]), ["t:0@10", "t:0@11", "t:0@13", "t:0@15"]);
});

test("a batch that fails says why, and nobody has to wait for a promise", async () => {
  const { t, told, enqueue } = enqueuing();
  const batch = enqueue("a") as SentBatch;
  t.clock.advance(5);
  const error = new ProducerError("not authorized");
  t.accumulator.failAll(error);
  assert.deepEqual(told, [batch]);
  assert.deepEqual([batch.state, batch.error], ["failed", error]);
  assert.equal(t.accumulator.inFlight, 0);
  // A rejection that nobody has asked for would end the process here.
  await turn();
});

test("each who listens is told of the batch, once", () => {
  const { t, told, enqueue } = enqueuing();
  const others: SentBatch[] = [];
  const other: BatchSettled = (batch) => others.push(batch);
  enqueue("a");
  t.accumulator.enqueue("t", new KafkaPayload(null, "b"), other);
  enqueue("c");
  t.clock.advance(5);
  t.deliver(0);
  assert.equal(told.length, 1);
  assert.deepEqual(others, told);
});

test("what is too much is refused; what cannot be sent so is left to produce", async () => {
  const { t, enqueue } = enqueuing({ "queue.buffering.max.messages": 1, "message.max.bytes": 1_000 });
  assert.equal(enqueue("x".repeat(2_000)), undefined);
  assert.equal(
    t.accumulator.enqueue("unknown", new KafkaPayload(null, "a"), () => {}),
    undefined,
  );
  assert.equal(t.accumulator.inFlight, 0);
  assert.match(await t.produce("x".repeat(2_000), 0), /more than "message.max.bytes" \(1000\) allows/);
  assert.notEqual(enqueue("a"), "full");
  assert.equal(enqueue("b"), "full");
  t.clock.advance(5);
  assert.deepEqual(t.sent, ["t:0=a"]);
});
