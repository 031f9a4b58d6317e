import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricName } from "../../../src/metrics/names.ts";
import { AccumulatorHarness } from "./accumulator-harness.ts";

test("deliveries are counted, and the longest is told, once a second", () => {
  const t = new AccumulatorHarness({ "linger.ms": 0, "batch.num.messages": 2 });
  t.accumulator.topic("t", 2, []);
  for (const value of ["a", "b", "c", "d"]) void t.produce(value, 0);
  t.clock.advance(300);
  t.deliver(0);
  t.clock.advance(400);
  t.deliver(2);
  assert.deepEqual(t.metrics.calls, [], "not before the second is over");
  t.clock.advance(300);
  assert.equal(t.metrics.count(MetricName.PRODUCER_MESSAGES, { status: "success" }), 4);
  assert.deepEqual(t.metrics.timings(MetricName.PRODUCER_DELIVERY_TIME), [0.7]);
  const before = t.metrics.calls.length;
  t.clock.advance(60_000);
  assert.equal(t.metrics.calls.length, before, "with nothing to tell, nothing is told");
  assert.equal(t.clock.pendingTimers, 0);
});

test("what waits is told every second for as long as it waits, also before its topic is known", () => {
  const t = new AccumulatorHarness({ "linger.ms": 100, "batch.num.messages": 2 });
  void t.produce("a", 0);
  t.clock.advance(1_000);
  assert.equal(t.metrics.last(MetricName.PRODUCER_QUEUE_MESSAGES), 1);
  assert.ok(t.metrics.last(MetricName.PRODUCER_QUEUE_BYTES)! > 0);
  assert.equal(t.metrics.last(MetricName.PRODUCER_BATCHES_IN_FLIGHT), 0);
  t.accumulator.topic("t", 2, []);
  for (const value of ["b", "c"]) void t.produce(value, 0);
  t.clock.advance(5_000);
  assert.equal(t.metrics.last(MetricName.PRODUCER_QUEUE_MESSAGES), 3);
  assert.equal(t.metrics.last(MetricName.PRODUCER_BATCHES_IN_FLIGHT), 2);
  t.deliver(0);
  t.deliver(2);
  t.clock.advance(1_000);
  assert.equal(t.metrics.last(MetricName.PRODUCER_QUEUE_MESSAGES), 0);
  assert.equal(t.metrics.last(MetricName.PRODUCER_QUEUE_BYTES), 0);
  assert.equal(t.metrics.last(MetricName.PRODUCER_BATCHES_IN_FLIGHT), 0);
});

test("what failed, what was refused and what was sent again is counted apart; closing tells the last of it", async () => {
  const t = new AccumulatorHarness({
    "linger.ms": 0,
    "batch.num.messages": 1,
    "message.timeout.ms": 500,
    "queue.buffering.max.messages": 2,
  });
  const late = [t.produce("a", 0), t.produce("b", 0)];
  await t.produce("c", 0);
  t.clock.advance(500);
  await Promise.all(late);
  t.accumulator.topic("t", 2, []);
  await t.produce("no such partition", 7);
  const sent = t.produce("d", 0);
  t.accumulator.retried(3);
  t.accumulator.failed([t.batches[0]!.id], new Error("refused"));
  await sent;
  const lost = t.produce("e", 0);
  t.accumulator.failAll(new Error("closed"));
  await lost;
  assert.equal(t.metrics.count(MetricName.PRODUCER_MESSAGES, { status: "error" }), 5);
  assert.equal(t.metrics.count(MetricName.PRODUCER_MESSAGES, { status: "queue_full" }), 1);
  assert.equal(t.metrics.count(MetricName.PRODUCER_MESSAGES, { status: "success" }), 0);
  assert.deepEqual(t.metrics.timings(MetricName.PRODUCER_DELIVERY_TIME), []);
  assert.equal(t.metrics.count(MetricName.PRODUCER_RETRIES), 3);
  assert.equal(t.metrics.last(MetricName.PRODUCER_QUEUE_MESSAGES), 0);
  assert.equal(t.clock.pendingTimers, 0);
});
