import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { TransportError, UnsupportedBrokerError } from "../../../src/kafka/client/transport-error.ts";
import {
  FakeConsumerGroup,
  ownedIn,
  REBALANCE_MS,
  refusedWith,
  requestOf,
  told,
  type Beat,
} from "./fake-consumer-group.ts";
import { indicesOf, settle } from "./fake-group.ts";

const ORDERS = "id-orders";

for (const code of [
  ErrorCodes.UNKNOWN_MEMBER_ID,
  ErrorCodes.FENCED_MEMBER_EPOCH,
  ErrorCodes.GROUP_ID_NOT_FOUND,
]) {
  test(`error ${code} in the middle of a drain: all is lost, and it joins again when the main thread knows`, async () => {
    const group = new FakeConsumerGroup();
    await group.letIn(1, 0, 1);
    (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [1] }));
    const revoke = await group.calls.next<void>("revoke");
    (await group.beatWhenDue()).answer(refusedWith(code));
    const lost = await group.calls.next<void>("lost");
    assert.deepEqual(indicesOf(lost), [0, 1]);
    assert.equal(group.commits(), undefined);
    assert.equal(group.member.state, "lost");
    // Its epoch is none of the coordinator's, but its id is: it would be refused until that session ends.
    const leaves = code === ErrorCodes.FENCED_MEMBER_EPOCH ? 1 : 0;
    assert.equal(group.calls.count("leave"), leaves);
    if (leaves > 0) (await group.calls.next<unknown>("leave")).answer(told(-1));
    revoke.answer();
    await group.staysSilent(60_000);
    assert.equal(group.calls.count("heartbeat") + group.calls.count("assigned"), 0);
    lost.answer();
    const join = await group.beat();
    assert.equal(requestOf(join).memberEpoch, 0);
    assert.deepEqual(ownedIn(join), {});
    assert.deepEqual(requestOf(join).subscribedTopicNames, ["orders"]);
    assert.deepEqual(group.fatal, []);
  });
}

test("a member that is put out as soon as it asks does not ask in a circle", async () => {
  const group = new FakeConsumerGroup();
  (await group.beat()).answer(refusedWith(ErrorCodes.FENCED_MEMBER_EPOCH));
  (await group.calls.next<unknown>("leave")).answer(told(-1));
  await settle();
  assert.equal(group.calls.count("heartbeat"), 0);
  group.clock.advance(1_000);
  assert.equal(requestOf(await group.beat()).memberEpoch, 0);
  assert.equal(group.calls.count("lost"), 0);
});

test("a drain that outlasts the group's patience loses everything, and leaves", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0, 1);
  (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [1] }));
  await group.calls.next<void>("revoke");
  await settle();
  group.clock.advance(REBALANCE_MS);
  const leave = await group.calls.next<unknown>("leave");
  assert.equal(requestOf(leave as Beat).memberEpoch, -1);
  assert.deepEqual(indicesOf(await group.calls.next("lost")), [0, 1]);
  assert.equal(group.commits(), undefined);
});

test("a hand-over that breaks ends the membership aloud", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  (await group.beatWhenDue()).answer(told(1, {}));
  (await group.calls.next<void>("revoke")).fail(new Error("broken"));
  (await group.calls.next<void>("lost")).answer();
  await settle();
  assert.match(group.fatal[0]?.message ?? "", /group g: broken/);
});

test("a heartbeat that was not answered is sent again in full, under the old epoch, to whoever coordinates now", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(3, 0);
  (await group.beatWhenDue()).fail(new TransportError("no answer"));
  await settle();
  assert.equal(group.forgotten, 1);
  group.clock.advance(1_000);
  const again = await group.beat();
  assert.equal(requestOf(again).memberEpoch, 3);
  assert.equal(requestOf(again).rebalanceTimeoutMs, REBALANCE_MS);
  assert.deepEqual(requestOf(again).subscribedTopicNames, ["orders"]);
  assert.deepEqual(ownedIn(again), { [ORDERS]: [0] });
  again.answer(told(4));
  assert.equal(requestOf(await group.beatWhenDue()).memberEpoch, 4);
});

test("a join that was not answered is sent again as it was", async () => {
  const group = new FakeConsumerGroup();
  (await group.beat()).fail(new TransportError("no answer"));
  await settle();
  group.clock.advance(1_000);
  const again = await group.beat();
  assert.equal(requestOf(again).memberEpoch, 0);
  assert.deepEqual(ownedIn(again), {});
  assert.equal(group.commits(), undefined);
});

for (const [name, code, forgotten] of [
  ["NOT_COORDINATOR", ErrorCodes.NOT_COORDINATOR, 1],
  ["COORDINATOR_NOT_AVAILABLE", ErrorCodes.COORDINATOR_NOT_AVAILABLE, 1],
  ["COORDINATOR_LOAD_IN_PROGRESS", ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS, 0],
] as const) {
  test(`${name} costs nothing: the same again, soon`, async () => {
    const group = new FakeConsumerGroup();
    await group.letIn(1, 0);
    (await group.beatWhenDue()).answer(refusedWith(code));
    await settle();
    assert.equal(group.forgotten, forgotten);
    assert.equal(group.commits()?.state, "ready");
    group.clock.advance(1_000);
    (await group.beat()).answer(told(1));
    await settle();
    assert.equal(group.calls.count("lost") + group.calls.count("revoke"), 0);
  });
}

test("commits wait while a heartbeat is under way, and go on under the epoch that it brings", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  assert.equal(group.commits()?.state, "ready");
  const beat = await group.beatWhenDue();
  const held = group.commits();
  assert.ok(held?.state === "held");
  beat.answer(told(2));
  await held.changed;
  const now = group.commits();
  assert.ok(now?.state === "ready");
  assert.equal(now.session.generationId, 2);

  const unanswered = await group.beatWhenDue();
  assert.equal(group.commits()?.state, "held");
  unanswered.fail(new TransportError("no answer"));
  await settle();
  assert.equal(group.commits()?.state, "ready", "a commit may get through where a heartbeat did not");
});

for (const [code, hint] of [
  [ErrorCodes.UNSUPPORTED_VERSION, /Kafka 4\.0.*"group\.protocol" to "classic"/],
  [ErrorCodes.UNSUPPORTED_ASSIGNOR, /"group\.remote\.assignor".*group\.consumer\.assignors/],
  [ErrorCodes.GROUP_ID_NOT_FOUND, /classic protocol.*group\.consumer\.migration\.policy/],
  [ErrorCodes.GROUP_AUTHORIZATION_FAILED, /READ on the group/],
  [ErrorCodes.TOPIC_AUTHORIZATION_FAILED, /DESCRIBE and READ/],
  [ErrorCodes.GROUP_MAX_SIZE_REACHED, /group\.consumer\.max\.size/],
  [ErrorCodes.FENCED_INSTANCE_ID, /group\.instance\.id/],
  [ErrorCodes.INVALID_REQUEST, /as the broker says/],
] as const) {
  test(`error ${code} is for good, and says what to do`, async () => {
    const group = new FakeConsumerGroup();
    (await group.beat()).answer({ ...refusedWith(code), errorMessage: "as the broker says" });
    await settle();
    assert.equal(group.fatal.length, 1);
    assert.match(group.fatal[0]?.message ?? "", hint);
    await group.staysSilent(120_000);
    assert.equal(group.calls.count("heartbeat") + group.calls.count("lost"), 0);
    assert.equal(group.member.state, "stopped");
    await group.member.stop("the consumer closes", 1_000);
    assert.equal(group.calls.count("leave"), 0);
  });
}

test("brokers that do not have the request at all are told of with a way out", async () => {
  const group = new FakeConsumerGroup();
  (await group.beat()).fail(new UnsupportedBrokerError("broker 1 lacks ConsumerGroupHeartbeat"));
  await settle();
  assert.match(group.fatal[0]?.message ?? "", /KIP-848.*"group\.protocol" to "classic".*broker 1 lacks/);
});

test("what is for good in the middle of a membership also loses what was held", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  (await group.beatWhenDue()).answer(refusedWith(ErrorCodes.FENCED_INSTANCE_ID));
  const lost = await group.calls.next<void>("lost");
  assert.deepEqual(indicesOf(lost), [0]);
  assert.equal(group.fatal.length, 1);
  lost.answer();
  await settle();
  assert.equal(group.member.state, "stopped");
});

test("a main thread that does not poll: it leaves and loses everything, and joins when that is known", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  await group.beatWhenDue();
  group.member.expel("the main thread has not polled");
  const leave = await group.calls.next<unknown>("leave");
  assert.equal(requestOf(leave as Beat).memberEpoch, -1);
  leave.answer(told(-1));
  const lost = await group.calls.next<void>("lost");
  assert.equal(lost.detail["reason"], "the main thread has not polled");
  await group.staysSilent(60_000);
  assert.equal(group.calls.count("heartbeat"), 0);
  lost.answer();
  assert.equal(requestOf(await group.beat()).memberEpoch, 0);
});

test("a pattern that matches nothing yet: it does not join before something does, and then at once", async () => {
  const group = new FakeConsumerGroup({ names: [] });
  await group.staysSilent(600_000);
  assert.equal(group.calls.count("heartbeat"), 0);
  group.names = ["orders"];
  group.member.rejoin();
  assert.deepEqual(requestOf(await group.beat()).subscribedTopicNames, ["orders"]);

  const unwanted = new FakeConsumerGroup({ names: [] });
  await settle();
  await unwanted.member.stop("the consumer closes", 1_000);
  assert.equal(unwanted.calls.count("leave"), 0);
});

test("a member whose topics are all gone says so, and stays", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  group.names = [];
  group.member.rejoin();
  assert.deepEqual(requestOf(await group.beat()).subscribedTopicNames, []);
});

test("at each point a stop ends it at once, and leaves if the coordinator may know of it", async () => {
  for (const point of [
    "joining",
    "stable",
    "beating",
    "draining",
    "backing off",
    "looking up",
    "lost",
  ] as const) {
    const group = new FakeConsumerGroup();
    if (point === "joining") await group.beat();
    else {
      await group.letIn(1, 0);
      const beat = point === "stable" ? undefined : await group.beatWhenDue();
      if (point === "draining") beat?.answer(told(1, {}));
      if (point === "backing off") beat?.fail(new TransportError("no answer"));
      if (point === "looking up") beat?.answer(told(1, { [ORDERS]: [0], "id-new": [0] }));
      if (point === "lost") {
        beat?.answer(refusedWith(ErrorCodes.UNKNOWN_MEMBER_ID));
        (await group.calls.next<void>("lost")).answer();
      }
    }
    await settle();
    const stopped = group.member.stop("the consumer closes", 1_000);
    const leave = await group.calls.next<unknown>("leave");
    assert.equal(requestOf(leave as Beat).memberEpoch, -1, point);
    leave.answer(told(-1));
    await stopped;
    assert.equal(group.member.state, "stopped", point);
    assert.equal(group.commits(), undefined, point);
    await settle();
    assert.equal(group.clock.pendingTimers, 0, `${point}: no timer is left`);
  }
});

test("a coordinator that has moved when a member leaves is found, so that the others need not wait", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  const stopped = group.member.stop("the consumer closes", 1_000);
  (await group.calls.next<unknown>("leave")).answer(refusedWith(ErrorCodes.NOT_COORDINATOR));
  (await group.calls.next<unknown>("leave")).answer(told(-1));
  await stopped;
  assert.equal(group.forgotten, 1);
});

test("a static member leaves for a while only, also when its main thread does not poll", async () => {
  const closing = new FakeConsumerGroup({ groupInstanceId: "i-1" });
  await closing.letIn(1, 0);
  const stopped = closing.member.stop("the consumer closes", 1_000);
  const leave = await closing.calls.next<unknown>("leave");
  assert.equal(requestOf(leave as Beat).memberEpoch, -2);
  assert.equal(requestOf(leave as Beat).instanceId, "i-1");
  leave.answer(told(-2));
  await stopped;

  const silent = new FakeConsumerGroup({ groupInstanceId: "i-1" });
  await silent.letIn(1, 0);
  silent.member.expel("the main thread has not polled");
  const away = await silent.calls.next<unknown>("leave");
  assert.equal(requestOf(away as Beat).memberEpoch, -2);
});

test("an instance id that another has still is waited for, but not for ever", async () => {
  const group = new FakeConsumerGroup({ groupInstanceId: "i-1" });
  let asked = 0;
  while (group.fatal.length === 0) {
    (await group.beat()).answer(refusedWith(ErrorCodes.UNRELEASED_INSTANCE_ID));
    asked++;
    await settle();
    group.clock.advance(1_000);
    await settle();
    assert.ok(asked < 200);
  }
  assert.ok(asked > 50, `it asked ${asked} times`);
  assert.match(group.fatal[0]?.message ?? "", /UNRELEASED_INSTANCE_ID.*group\.instance\.id/);
  assert.equal(group.calls.count("leave"), 0, "it was never in: it has nothing to release");
});

test("an instance id that is released in time is taken", async () => {
  const group = new FakeConsumerGroup({ groupInstanceId: "i-1" });
  (await group.beat()).answer(refusedWith(ErrorCodes.UNRELEASED_INSTANCE_ID));
  await settle();
  group.clock.advance(1_000);
  await group.letIn(7, 0);
  assert.deepEqual(group.fatal, []);
  assert.equal(group.member.state, "stable");
});

test("a static member whose join was not answered releases its own instance id", async () => {
  const group = new FakeConsumerGroup({ groupInstanceId: "i-1" });
  (await group.beat()).fail(new TransportError("no answer"));
  await settle();
  group.clock.advance(1_000);
  (await group.beat()).answer(refusedWith(ErrorCodes.UNRELEASED_INSTANCE_ID));
  const release = await group.calls.next<unknown>("leave");
  assert.equal(requestOf(release as Beat).memberEpoch, -2);
  release.answer(told(-2));
  await settle();
  group.clock.advance(1_000);
  await group.letIn(2, 0);
  assert.equal(group.member.state, "stable");
});

test("a static member that was fenced, and could not leave, releases its instance id when it is refused for it", async () => {
  const group = new FakeConsumerGroup({ groupInstanceId: "i-1" });
  await group.letIn(2, 0);
  (await group.beatWhenDue()).answer(refusedWith(ErrorCodes.FENCED_MEMBER_EPOCH));
  (await group.calls.next<unknown>("leave")).fail(new TransportError("no answer"));
  (await group.calls.next<void>("lost")).answer();
  (await group.beat()).answer(refusedWith(ErrorCodes.UNRELEASED_INSTANCE_ID));
  (await group.calls.next<unknown>("leave")).answer(told(-2));
  await settle();
  group.clock.advance(1_000);
  await group.letIn(5, 0);
  assert.equal(group.member.state, "stable");
});
