import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadlineError, ProducerError } from "../../../src/errors.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { Topic } from "../../../src/message/topic.ts";
import { MetricName } from "../../../src/metrics/names.ts";
import { SwitchHarness, turns } from "./switch-harness.ts";

const CLOSED = "The producer is closed: make a new one.";
const SUPERSEDED = "Other settings came before these were in force.";

test("the new producer proves itself while the old one works, and takes over when that has delivered all", async () => {
  const t = new SwitchHarness();
  const first = t.produce("1");
  const { result } = await t.change("b");
  assert.deepEqual(t.producer("b").probedTopics, ["t"], "it is asked for the topics in use");
  const second = t.produce("2");
  assert.deepEqual(t.log, ["a got 1", "a got 2"]);
  await t.connect("b");
  const third = t.produce("3");
  const fourth = t.produce("4");
  assert.equal(t.switch.inFlight, 4);
  await t.producer("a").deliver(1);
  assert.equal(t.switch.generation, 1);
  await t.producer("a").deliver();
  assert.equal(await result, "changed");
  assert.equal(t.switch.generation, 2);
  const fifth = t.produce("5");
  await t.producer("b").deliver();
  assert.deepEqual(
    await Promise.all([first, second, third, fourth, fifth]),
    [1, 2, 3, 4, 5].map((i) => `${i} delivered`),
  );
  assert.deepEqual(t.log, [
    "a got 1",
    "a got 2",
    "a delivered 1",
    "a delivered 2",
    "b got 3",
    "b got 4",
    "a closed",
    "b got 5",
    "b delivered 3",
    "b delivered 4",
    "b delivered 5",
  ]);
  assert.deepEqual(t.errors, []);
  assert.equal(t.metrics.count(MetricName.PRODUCER_RELOADS, { status: "success" }), 1);
});

test("what is sent without promises goes to the producer in force, and while messages are held back, with promises behind them", async () => {
  const t = new SwitchHarness();
  const enqueue = (value: string) => t.switch.enqueue(Topic.of("t"), new KafkaPayload(null, value), () => {});
  assert.deepEqual(enqueue("1"), { state: "sent", error: undefined });
  const { result } = await t.change("b");
  await t.connect("b");
  assert.equal(enqueue("2"), undefined, "it would overtake what is held back");
  await t.producer("a").deliver();
  assert.equal(await result, "changed");
  enqueue("3");
  assert.deepEqual(t.log, ["a got 1", "a delivered 1", "a closed", "b got 3"]);
  await t.producer("b").deliver();
  await t.switch.close(0);
  assert.equal(enqueue("4"), undefined, "produce says that it is closed");
});

test("settings that do not work leave the old ones in force, and are closed", async () => {
  const t = new SwitchHarness();
  const { result } = await t.change("b");
  t.producer("b").connected.reject(new DeadlineError("not reached"));
  assert.equal(await result, "not reached");
  await turns();
  assert.ok(t.producer("b").isClosed);
  assert.deepEqual(t.errors, [
    "The producer keeps the settings that it has, since the new ones do not work.",
  ]);
  assert.equal(t.metrics.count(MetricName.PRODUCER_RELOADS, { status: "error" }), 1);
  const delivery = t.produce("1");
  await t.producer("a").deliver();
  assert.equal(await delivery, "1 delivered");
  assert.equal(t.switch.generation, 1);
  const again = await t.change("c");
  await t.connect("c");
  assert.equal(await again.result, "changed");
});

test("settings that are in force already change nothing", async () => {
  const t = new SwitchHarness();
  assert.equal(await (await t.change("a")).result, "changed");
  assert.equal(t.producers.size, 1);
  assert.equal(t.switch.generation, 1);
});

test("while the old producer drains, its messages and those that wait are bounded together", async () => {
  const t = new SwitchHarness();
  const old = [t.produce("1"), t.produce("2")];
  await t.change("b", { "queue.buffering.max.messages": 4 });
  await t.connect("b");
  const held = [t.produce("3"), t.produce("4")];
  assert.equal(await t.produce("5"), "queue full");
  await t.producer("a").deliver(1);
  held.push(t.produce("6"));
  assert.equal(await t.produce("7"), "queue full");
  await t.producer("a").deliver();
  await t.producer("b").deliver();
  assert.deepEqual(await Promise.all([...old, ...held]), [
    "1 delivered",
    "2 delivered",
    "3 delivered",
    "4 delivered",
    "6 delivered",
  ]);
});

test("what waits is bounded in bytes", async () => {
  const t = new SwitchHarness();
  void t.produce("1");
  await t.change("b", { "queue.buffering.max.kbytes": 1 });
  await t.connect("b");
  void t.produce("x".repeat(2_000));
  assert.equal(await t.produce("y"), "queue full");
});

test("what finds the queue full is not overtaken in the same turn, whenever the switch is", async () => {
  const t = new SwitchHarness();
  t.producer("a").capacity = 1;
  void t.produce("1");
  await t.change("b");
  t.producer("b").connected.resolve();
  // The microtasks of this turn, in which the probe ends, find the old queue full.
  for (let i = 0; i < 20; i++) {
    assert.equal(await t.produce("2"), "queue full");
  }
  await turns();
  void t.produce("2");
  await t.producer("a").deliver();
  assert.deepEqual(t.log, ["a got 1", "a delivered 1", "b got 2", "a closed"]);
});

test("what the old producer has not delivered by the deadline fails, before anything that follows is sent", async () => {
  const t = new SwitchHarness({ drainTimeoutMs: 2_000 });
  const late = t.produce("1");
  const { result } = await t.change("b");
  await t.connect("b");
  const held = t.produce("2");
  await t.advance(1_999);
  assert.equal(t.switch.generation, 1);
  await t.advance(1);
  assert.equal(await late, "a was closed");
  assert.equal(await result, "changed");
  await t.producer("b").deliver();
  assert.equal(await held, "2 delivered");
  assert.deepEqual(t.log, ["a got 1", "a closed", "b got 2", "b delivered 2"]);
  assert.equal(t.errors.length, 1);
});

test("without a deadline of its own, the old producer has as long as its messages have", async () => {
  const t = new SwitchHarness();
  const late = t.produce("1");
  await t.change("b");
  await t.connect("b");
  await t.advance(299_999);
  assert.equal(t.switch.generation, 1);
  await t.advance(1);
  assert.equal(await late, "a was closed");
  assert.equal(t.switch.generation, 2);
});

test("settings that come while others prove themselves replace them", async () => {
  const t = new SwitchHarness();
  const b = await t.change("b");
  const c = await t.change("c");
  assert.equal(await b.result, SUPERSEDED);
  assert.ok(t.producer("b").isClosed);
  await t.connect("b");
  assert.equal(t.switch.generation, 1, "it is too late for them");
  await t.connect("c");
  assert.equal(await c.result, "changed");
  void t.produce("1");
  assert.deepEqual(t.log, ["b closed", "a closed", "c got 1"]);
  assert.deepEqual(t.errors, []);
});

test("settings that come during a drain follow it; of several, only the last", async () => {
  const t = new SwitchHarness();
  void t.produce("1");
  const b = await t.change("b");
  await t.connect("b");
  void t.produce("2");
  const c = await t.change("c");
  const d = await t.change("d");
  assert.equal(await c.result, SUPERSEDED);
  await t.producer("a").deliver();
  assert.equal(await b.result, "changed");
  await t.connect("d");
  void t.produce("3");
  await t.producer("b").deliver();
  assert.equal(await d.result, "changed");
  await t.producer("d").deliver();
  assert.deepEqual(
    t.log.filter((line) => line.includes("got")),
    ["a got 1", "b got 2", "d got 3"],
  );
  assert.deepEqual([...t.producers.keys()], ["a", "b", "d"]);
});

test("going back to the settings in force, while others prove themselves, keeps the producer", async () => {
  const t = new SwitchHarness();
  const b = await t.change("b");
  const a = await t.change("a");
  assert.equal(await b.result, SUPERSEDED);
  assert.equal(await a.result, "changed");
  assert.equal(t.switch.generation, 1);
  assert.ok(!t.producer("a").isClosed);
});

test("a change waits for a random part of the jitter", async () => {
  const t = new SwitchHarness({ jitterMs: 10_000 });
  const { result } = await t.change("b");
  assert.deepEqual([...t.producers.keys()], ["a"]);
  await t.advance(10_000);
  await t.connect("b");
  assert.equal(await result, "changed");
});

test("a flush covers what waits, and what comes later does not hold it up for good", async () => {
  const t = new SwitchHarness();
  void t.produce("1");
  await t.change("b");
  await t.connect("b");
  void t.produce("2");
  let isFlushed = false;
  const flushed = t.switch.flush(Infinity).then(() => (isFlushed = true));
  await t.producer("a").deliver();
  assert.ok(!isFlushed, "2 is on its way");
  void t.produce("3");
  await t.producer("b").deliver(1);
  await flushed;
  assert.equal(t.switch.inFlight, 1);
});

test("a flush of nothing but what the old producer has does not wait for the new one", async () => {
  const t = new SwitchHarness();
  void t.produce("1");
  await t.change("b");
  await t.connect("b");
  const flushed = t.switch.flush(Infinity);
  void t.produce("2");
  await t.producer("a").deliver();
  await flushed;
});

test("a flush has one time for the drain and for what follows it", async () => {
  const t = new SwitchHarness();
  void t.produce("1");
  await t.change("b");
  await t.connect("b");
  void t.produce("2");
  const early = assert.rejects(t.switch.flush(1_000), { message: /^2 messages are still on their way/ });
  const late = assert.rejects(t.switch.flush(3_000), DeadlineError);
  await t.advance(1_000);
  await early;
  await t.producer("a").deliver();
  await t.advance(1_999);
  assert.equal(t.clock.pendingTimers, 1);
  await t.advance(1);
  await late;
});

test("closed while settings prove themselves: they are dropped, and what there is is delivered", async () => {
  const t = new SwitchHarness();
  const delivery = t.produce("1");
  const { result } = await t.change("b");
  const closing = t.switch.close(5_000);
  assert.equal(await result, CLOSED);
  await t.producer("a").deliver();
  await closing;
  assert.equal(await delivery, "1 delivered");
  assert.ok(t.producer("a").isClosed && t.producer("b").isClosed);
  assert.equal(await t.produce("2"), CLOSED);
  assert.equal(await (await t.change("c")).result, CLOSED);
  assert.equal(t.producers.size, 2);
});

test("closed while a change waits for its jitter: no producer is made", async () => {
  const t = new SwitchHarness({ jitterMs: 10_000 });
  const { result } = await t.change("b");
  await t.switch.close(0);
  assert.equal(await result, CLOSED);
  assert.deepEqual([...t.producers.keys()], ["a"]);
  assert.equal(t.clock.pendingTimers, 0);
});

test("closed during a drain: all of both is delivered, and a change that waits is dropped", async () => {
  const t = new SwitchHarness();
  const first = t.produce("1");
  const { result } = await t.change("b");
  await t.connect("b");
  const second = t.produce("2");
  const waiting = await t.change("c");
  const closing = t.switch.close(5_000);
  assert.equal(await waiting.result, CLOSED);
  await t.producer("a").deliver();
  assert.equal(await result, "changed");
  await t.producer("b").deliver();
  await closing;
  assert.deepEqual(await Promise.all([first, second]), ["1 delivered", "2 delivered"]);
  assert.deepEqual([...t.producers.keys()], ["a", "b"]);
  assert.ok(t.producer("b").isClosed);
});

test("closed during a drain that takes too long: everything settles, in time", async () => {
  const t = new SwitchHarness();
  const first = t.produce("1");
  const { result } = await t.change("b");
  await t.connect("b");
  const second = t.produce("2");
  const closing = t.switch.close(5_000);
  await t.advance(5_000);
  await closing;
  assert.equal(await first, "a was closed");
  assert.equal(await second, "The producer was closed before the message was sent.");
  assert.equal(await result, CLOSED);
  assert.ok(t.producer("a").isClosed && t.producer("b").isClosed);
  await turns();
  assert.deepEqual(
    t.log.filter((line) => line.startsWith("b got")),
    [],
  );
  assert.equal(t.switch.inFlight, 0);
});

test("an old producer that is broken does not keep the new one from taking over", async () => {
  const t = new SwitchHarness();
  const { result } = await t.change("b");
  t.producer("a").flush = () => Promise.reject(new ProducerError("broken"));
  t.producer("a").close = () => Promise.reject(new ProducerError("broken, too"));
  await t.connect("b");
  assert.equal(await result, "changed");
  assert.ok(t.errors.includes("A producer could not be closed."));
  const delivery = t.produce("1");
  await t.producer("b").deliver();
  assert.equal(await delivery, "1 delivered");
});
