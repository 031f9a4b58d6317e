import { test } from "node:test";
import assert from "node:assert/strict";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import type { TopicMetadata } from "../../../src/kafka/client/metadata.ts";
import { ProducerTopics } from "../../../src/kafka/client/producer-topics.ts";
import { AuthenticationError, ClosedError } from "../../../src/kafka/client/transport-error.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";

/** Follows topics of a cluster that is the test. */
class Harness {
  readonly clock = new MockClock();
  /** By how much timers go off before their time, as Node's do. */
  earlyMs = 0;
  readonly known = new Map<string, TopicMetadata>();
  readonly interest: string[] = [];
  readonly events: string[] = [];
  refreshError: Error | undefined;
  changed: () => void = () => {};
  readonly topics = new ProducerTopics({
    clock: {
      monotonicMs: () => this.clock.monotonicMs(),
      nowMs: () => this.clock.nowMs(),
      setTimeout: (callback, delayMs) =>
        this.clock.setTimeout(callback, delayMs > this.earlyMs ? delayMs - this.earlyMs : delayMs),
    },
    graceMs: 1_000,
    cluster: {
      setTopics: (names) => {
        if (names !== "all") this.interest.push(...names);
      },
      refresh: () =>
        this.refreshError === undefined ? Promise.resolve() : Promise.reject(this.refreshError),
      topic: (name) => this.known.get(name),
      onChange: (listener) => {
        this.changed = listener;
        return () => (this.changed = () => {});
      },
    },
    events: {
      topic: (name, partitions, leaderless) =>
        this.events.push(`${name}: ${partitions} [${leaderless.join()}]`),
      failed: (name, error) => this.events.push(`${name}: ${error.message}`),
    },
  });

  /** What the brokers say from now on. */
  say(name: string, leaders: readonly number[], errorCode: number = ErrorCodes.NONE): void {
    const partitions = leaders.map((leader, index) => ({ index, leader, leaderEpoch: 1, errorCode: 0 }));
    this.known.set(name, { name, topicId: "id", errorCode, isInternal: false, partitions });
    this.changed();
  }
}

test("a topic is told as soon as it is known, and again only when it has changed", async () => {
  const t = new Harness();
  t.say("t", [1, -1, 2]);
  await t.topics.want("t");
  assert.deepEqual(t.interest, ["t"]);
  t.changed();
  t.say("t", [2, -1, 1]);
  t.say("t", [2, 1, 1, -1]);
  t.say("other", [1]);
  assert.deepEqual(t.events, ["t: 3 [1]", "t: 4 [3]"]);
  await t.topics.want("t");
  assert.equal(t.events.length, 3, "who asks again is told again");
});

test("a topic that does not exist fails when its time is over, also if the timer goes off a little early", async () => {
  const t = new Harness();
  t.earlyMs = 1;
  t.say("t", [], ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);
  await t.topics.want("t");
  t.clock.advance(999);
  assert.deepEqual(t.events, []);
  t.clock.advance(1);
  assert.equal(t.events.length, 1);
  assert.match(t.events[0]!, /does not exist/);
});

test("a topic that is made a moment later is told then", async () => {
  const t = new Harness();
  t.say("t", [], ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);
  await t.topics.want("t");
  t.clock.advance(500);
  t.say("t", [], ErrorCodes.LEADER_NOT_AVAILABLE);
  t.clock.advance(400);
  t.say("t", [1]);
  t.clock.advance(5_000);
  assert.deepEqual(t.events, ["t: 1 []"]);
});

test("a topic that stays unknown is an error that says what to do; who asks later is told at once", async () => {
  const t = new Harness();
  t.say("t", [], ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);
  await t.topics.want("t");
  t.clock.advance(999);
  assert.deepEqual(t.events, []);
  t.clock.advance(1);
  t.changed();
  assert.equal(t.events.length, 1);
  assert.match(t.events[0]!, /^t: Topic t does not exist: .* 1000 ms\. Create it/);
  await t.topics.want("t");
  assert.equal(t.events.length, 2);
  t.say("t", [1, 1]);
  assert.equal(t.events[2], "t: 2 []", "and when it is made after all, it is told");
});

test("a topic that is deleted while it is in use is an error after the grace", async () => {
  const t = new Harness();
  t.say("t", [1]);
  await t.topics.want("t");
  t.say("t", [1], ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);
  t.clock.advance(1_000);
  assert.match(t.events[1]!, /does not exist/);
});

test("what no waiting helps against is an error at once", async () => {
  const t = new Harness();
  t.say("secret", [], ErrorCodes.TOPIC_AUTHORIZATION_FAILED);
  await t.topics.want("secret");
  assert.match(t.events[0]!, /TOPIC_AUTHORIZATION_FAILED, the principal needs the right to WRITE/);
  t.refreshError = new AuthenticationError("The broker refused to authenticate this client");
  await t.topics.want("t");
  assert.equal(t.events[1], "t: The broker refused to authenticate this client");
});

test("closed, nothing is told any more", async () => {
  const t = new Harness();
  t.say("t", [], ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION);
  await t.topics.want("t");
  t.refreshError = new ClosedError();
  const asked = t.topics.want("other");
  t.topics.close();
  await asked;
  t.say("t", [1]);
  t.clock.advance(5_000);
  assert.deepEqual(t.events, []);
  assert.equal(t.clock.pendingTimers, 0);
});
