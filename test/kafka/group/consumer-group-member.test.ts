import assert from "node:assert/strict";
import { test } from "node:test";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { FakeConsumerGroup, ownedIn, REBALANCE_MS, requestOf, told } from "./fake-consumer-group.ts";
import { indicesOf, settle } from "./fake-group.ts";

const ORDERS = "id-orders";

test("it joins with everything there is to say, and says afterwards only what has changed", async () => {
  const group = new FakeConsumerGroup();
  const join = await group.beat();
  assert.deepEqual(requestOf(join), {
    groupId: "g",
    memberId: group.member.memberId,
    memberEpoch: 0,
    instanceId: null,
    rackId: "rack",
    rebalanceTimeoutMs: REBALANCE_MS,
    subscribedTopicNames: ["orders"],
    serverAssignor: "range",
    topicPartitions: [],
  });
  assert.equal(group.commits(), undefined);
  join.answer(told(1, { [ORDERS]: [0, 1] }));
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [0, 1]);
  const acknowledges = await group.beat();
  assert.deepEqual(requestOf(acknowledges), {
    ...requestOf(join),
    memberEpoch: 1,
    rackId: null,
    rebalanceTimeoutMs: -1,
    subscribedTopicNames: null,
    serverAssignor: null,
    topicPartitions: [{ topicId: ORDERS, partitions: [0, 1] }],
  });
  acknowledges.answer(told(1));
  const nothingNew = await group.beatWhenDue();
  assert.equal(ownedIn(nothingNew), null);
  nothingNew.answer(told(1));
  await settle();
  group.names = ["bills", "orders"];
  group.member.rejoin();
  const changed = await group.beat();
  assert.deepEqual(requestOf(changed).subscribedTopicNames, ["bills", "orders"]);
  assert.equal(ownedIn(changed), null);
});

test("a change that comes while a heartbeat is under way goes out with the next one, at once", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  const beat = await group.beatWhenDue();
  group.names = ["bills", "orders"];
  group.member.rejoin();
  beat.answer(told(1));
  assert.deepEqual(requestOf(await group.beat()).subscribedTopicNames, ["bills", "orders"]);
});

test("what goes is drained and committed before the coordinator hears of it, under heartbeats; only then comes what is new", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0, 1);
  (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [1, 2] }));
  const revoke = await group.calls.next<void>("revoke");
  assert.deepEqual(indicesOf(revoke), [0]);
  assert.equal(group.member.state, "revoking");
  const meanwhile = await group.beatWhenDue();
  assert.equal(ownedIn(meanwhile), null, "it has it still");
  meanwhile.answer(told(1));
  await settle();
  assert.equal(group.calls.count("assigned"), 0);
  revoke.answer();
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [2]);
  assert.deepEqual(ownedIn(await group.beat()), { [ORDERS]: [1, 2] });
  assert.equal(group.member.state, "stable");
});

test("the time to drain counts from the heartbeat that brought the order", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  const beat = await group.beatWhenDue();
  group.clock.advance(2_000);
  beat.answer(told(1, {}));
  const { drainMs, commitMs } = (await group.calls.next<void>("revoke")).detail;
  assert.equal(Number(drainMs) + Number(commitMs), REBALANCE_MS - 2_000);
  assert.equal(commitMs, 3_000);
});

test("the time to drain counts from a heartbeat whose answer was lost: the order may have been in that", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  const beat = await group.beatWhenDue();
  group.clock.advance(10_000);
  beat.fail(new TransportError("no answer"));
  await settle();
  group.clock.advance(1_000);
  (await group.beat()).answer(told(1, {}));
  const { drainMs, commitMs } = (await group.calls.next<void>("revoke")).detail;
  assert.equal(Number(drainMs) + Number(commitMs), REBALANCE_MS - 11_000);
});

test("a coordinator that was away for long does not leave a drain without time", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  let beat = await group.beatWhenDue();
  for (let second = 0; second < 90; second++) {
    beat.fail(new TransportError("refused"));
    await settle();
    group.clock.advance(1_000);
    beat = await group.beat();
  }
  beat.answer(told(1, {}));
  const { drainMs, commitMs } = (await group.calls.next<void>("revoke")).detail;
  assert.equal(Number(drainMs) + Number(commitMs), REBALANCE_MS / 2);
});

test("a newer target in the middle of a drain counts once the drain is done", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0, 1, 2);
  (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [1, 2] }));
  const first = await group.calls.next<void>("revoke");
  (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [2, 3] }));
  await settle();
  assert.equal(group.calls.count("revoke") + group.calls.count("assigned"), 0);
  first.answer();
  const second = await group.calls.next<void>("revoke");
  assert.deepEqual(indicesOf(second), [1]);
  assert.deepEqual(ownedIn(await group.beat()), { [ORDERS]: [1, 2] }, "the first is free already");
  second.answer();
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [3]);
});

test("a partition that comes back in the middle of its drain is given anew when it is done", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0, 1);
  (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [1] }));
  const revoke = await group.calls.next<void>("revoke");
  (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [0, 1] }));
  await settle();
  revoke.answer();
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [0]);
});

test("the same target again, in an answer to a heartbeat that was sent again in full, changes nothing", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0, 1);
  (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [1] }));
  const revoke = await group.calls.next<void>("revoke");
  (await group.beatWhenDue()).fail(new TransportError("no answer"));
  await settle();
  group.clock.advance(1_000);
  (await group.beat()).answer(told(1, { [ORDERS]: [1] }));
  await settle();
  revoke.answer();
  (await group.beat()).answer(told(2));
  await settle();
  assert.equal(group.calls.count("revoke") + group.calls.count("assigned"), 0);
});

test("a topic whose name is not known is looked up, and holds up no other", async () => {
  const group = new FakeConsumerGroup();
  (await group.beat()).answer(told(1, { [ORDERS]: [0], "id-new": [5] }));
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [0]);
  (await group.beat()).answer(told(1));
  (await group.calls.next<void>("refresh")).answer();
  await settle();
  group.clock.advance(250);
  const again = await group.calls.next<void>("refresh");
  group.topics.set("id-new", "new");
  again.answer();
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [5]);
  assert.deepEqual(ownedIn(await group.beat()), { [ORDERS]: [0], "id-new": [5] });
});

test("a look-up that cannot be had, and a newer target meanwhile, stop nothing", async () => {
  const group = new FakeConsumerGroup();
  (await group.beat()).answer(told(1, { "id-new": [5] }));
  (await group.calls.next<void>("refresh")).fail(new TransportError("no broker answers"));
  await settle();
  group.clock.advance(250);
  await group.calls.next<void>("refresh");
  (await group.beatWhenDue()).answer(told(1, { [ORDERS]: [1] }));
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [1]);
});

test("of a topic that was made again nothing is committed: it is lost, and then given under its new id", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  group.topics.delete(ORDERS);
  group.topics.set("id-again", "orders");
  (await group.beatWhenDue()).answer(told(2, { "id-again": [0] }));
  const lost = await group.calls.next<void>("lost");
  assert.deepEqual(indicesOf(lost), [0]);
  assert.match(String(lost.detail["reason"]), /made again/);
  await settle();
  assert.equal(group.calls.count("revoke") + group.calls.count("assigned"), 0);
  lost.answer();
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [0]);
  assert.deepEqual(ownedIn(await group.beat()), { "id-again": [0] });
  assert.equal(group.member.state, "stable");
});

test("a topic that was made again and is not known yet is looked up before its old self is handed over", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  group.topics.delete(ORDERS);
  (await group.beatWhenDue()).answer(told(2, { "id-again": [0] }));
  const refresh = await group.calls.next<void>("refresh");
  assert.equal(group.calls.count("revoke"), 0);
  group.topics.set("id-again", "orders");
  refresh.answer();
  (await group.calls.next<void>("lost")).answer();
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [0]);
});

test("a hand-over waits for no metadata that cannot be had", async () => {
  const group = new FakeConsumerGroup();
  await group.letIn(1, 0);
  (await group.beatWhenDue()).answer(told(1, { "id-new": [0] }));
  await group.calls.next<void>("refresh");
  await settle();
  group.clock.advance(3_000);
  assert.deepEqual(indicesOf(await group.calls.next("revoke")), [0]);
});
