import assert from "node:assert/strict";
import { test } from "node:test";
import { ArroyoError, ErrorCode } from "../../../src/errors.ts";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { decodeAssignment, encodeSubscription } from "../../../src/kafka/client/consumer-protocol.ts";
import type { JoinAnswer, SyncAnswer } from "../../../src/kafka/client/group-requests.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { FakeGroup, joined, partitionsOf, refused, settle } from "./fake-group.ts";

test("it joins under the id that the broker gives it (KIP-394)", async () => {
  const group = new FakeGroup();
  const first = await group.calls.next<JoinAnswer>("join");
  assert.equal(first.detail["memberId"], "");
  first.answer(refused(ErrorCodes.MEMBER_ID_REQUIRED, "m-1"));
  const second = await group.calls.next<JoinAnswer>("join");
  assert.equal(second.detail["memberId"], "m-1");
  assert.deepEqual(group.memberIds, ["m-1"]);
});

test("its leader assigns all partitions of all members", async () => {
  const group = new FakeGroup();
  const metadata = encodeSubscription(["orders"]);
  (await group.calls.next<JoinAnswer>("join")).answer({
    ...joined("m-1", 1),
    leader: "m-1",
    members: [
      { memberId: "m-1", groupInstanceId: null, metadata },
      { memberId: "m-2", groupInstanceId: null, metadata },
    ],
  });
  const sync = await group.calls.next<SyncAnswer>("sync");
  assert.deepEqual(
    sync.detail["assignments"],
    new Map([
      ["m-1", new Map([["orders", [0]]])],
      ["m-2", new Map([["orders", [1]]])],
    ]),
  );
  assert.deepEqual(decodeAssignment(Buffer.alloc(0)), new Map());
});

test("a rebalance is drained before it joins again, under heartbeats", async () => {
  const group = new FakeGroup();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.NONE);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  const revoke = await group.calls.next<void>("revoke");
  // Counted from the last heartbeat that found the group at rest: it was sent 3 s ago.
  assert.equal((revoke.detail["drainMs"] as number) + (revoke.detail["commitMs"] as number), 57_000);
  assert.equal(revoke.detail["commitMs"], 3_000);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  assert.equal(group.calls.count("join"), 0);
  revoke.answer();
  const again = await group.calls.next<JoinAnswer>("join");
  assert.equal(again.detail["memberId"], "m-1");
  assert.equal(group.calls.count("lost"), 0);
});

test("a drain that outlasts the group's patience is lost, and the others do not wait for it", async () => {
  const group = new FakeGroup();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.calls.next("revoke");
  group.clock.advance(57_000);
  const leave = await group.calls.next<void>("leave");
  assert.equal(leave.detail["memberId"], "m-1");
  const lost = await group.calls.next<void>("lost");
  assert.match(String(lost.detail["reason"]), /drain took longer/);
  leave.answer();
  lost.answer();
  const again = await group.calls.next<JoinAnswer>("join");
  assert.equal(again.detail["memberId"], "");
});

test("a member that was thrown out in the middle of its drain is lost at once", async () => {
  const group = new FakeGroup();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  const revoke = await group.calls.next<void>("revoke");
  await group.answerHeartbeat(ErrorCodes.UNKNOWN_MEMBER_ID);
  const lost = await group.calls.next<void>("lost");
  assert.match(String(lost.detail["reason"]), /UNKNOWN_MEMBER_ID/);
  // The broker does not know it: there is nothing to leave.
  assert.equal(group.calls.count("leave"), 0);
  revoke.answer();
  await settle();
  assert.equal(group.calls.count("join"), 0, "it waits until the main thread knows of the loss");
  lost.answer();
  assert.equal((await group.calls.next<JoinAnswer>("join")).detail["memberId"], "");
});

test("a main thread that has stopped polling: the member leaves, and joins again when it is back", async () => {
  const group = new FakeGroup();
  await group.letIn("m-1", 1);
  group.member.expel("the main thread has not polled");
  const leave = await group.calls.next<void>("leave");
  assert.equal(leave.detail["memberId"], "m-1");
  assert.equal(leave.detail["reason"], "the main thread has not polled");
  leave.answer();
  const lost = await group.calls.next<void>("lost");
  await settle();
  assert.equal(group.calls.count("join"), 0);
  lost.answer();
  await group.calls.next("join");
});

test("a generation that is over keeps the member id", async () => {
  const group = new FakeGroup();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.ILLEGAL_GENERATION);
  (await group.calls.next<void>("lost")).answer();
  assert.equal((await group.calls.next<JoinAnswer>("join")).detail["memberId"], "m-1");
});

test("a coordinator that has moved is looked up anew, and the membership goes on", async () => {
  const group = new FakeGroup();
  const session = await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.NOT_COORDINATOR);
  assert.equal(group.forgotten, 1);
  group.clock.advance(1_000);
  (await group.calls.next<number>("heartbeat")).answer(ErrorCodes.NONE);
  await settle();
  assert.equal(session.gone.isSet, false);
  assert.equal(group.calls.count("lost"), 0);
});

test("a heartbeat that nobody answers is sent again after a pause, to whoever coordinates the group by then", async () => {
  const group = new FakeGroup();
  const session = await group.letIn("m-1", 1);
  await settle();
  group.clock.advance(3_000);
  (await group.calls.next<number>("heartbeat")).fail(new TransportError("connection lost"));
  await settle();
  // Nothing else may ask the coordinator on a quiet topic: a broker that is gone would be asked until we are thrown out.
  assert.equal(group.forgotten, 1);
  group.clock.advance(200);
  (await group.calls.next<number>("heartbeat")).answer(ErrorCodes.NONE);
  await settle();
  assert.equal(session.gone.isSet, false);
});

test("stopping in the middle of a join leaves by the id that the broker gave", async () => {
  const group = new FakeGroup();
  (await group.calls.next<JoinAnswer>("join")).answer(refused(ErrorCodes.MEMBER_ID_REQUIRED, "m-1"));
  await group.calls.next("join");
  const stopped = group.member.stop("the consumer closes", 1_000);
  const leave = await group.calls.next<void>("leave");
  assert.equal(leave.detail["memberId"], "m-1");
  leave.answer();
  await stopped;
});

test("stopping before the broker has named the member has nobody to leave", async () => {
  const group = new FakeGroup();
  await group.calls.next("join");
  await group.member.stop("the consumer closes", 1_000);
  assert.equal(group.calls.count("leave"), 0);
});

test("stopping in the middle of a drain leaves and is not a loss", async () => {
  const group = new FakeGroup();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.calls.next("revoke");
  const stopped = group.member.stop("the consumer closes", 1_000);
  (await group.calls.next<void>("leave")).answer();
  await stopped;
  assert.equal(group.calls.count("lost"), 0);
});

test("a rebalance between JoinGroup and SyncGroup joins again at once", async () => {
  const group = new FakeGroup();
  (await group.calls.next<JoinAnswer>("join")).answer(joined("m-1", 1));
  (await group.calls.next<SyncAnswer>("sync")).answer({
    errorCode: ErrorCodes.REBALANCE_IN_PROGRESS,
    assignment: Buffer.alloc(0),
  });
  const again = await group.calls.next<JoinAnswer>("join");
  assert.equal(again.detail["memberId"], "m-1");
  again.answer(joined("m-1", 2));
  (await group.calls.next<SyncAnswer>("sync")).answer({ errorCode: 0, assignment: Buffer.alloc(0) });
  assert.deepEqual(partitionsOf(await group.calls.next("assigned")), []);
});

test("what can never work is told once, with the way out", async () => {
  const group = new FakeGroup();
  (await group.calls.next<JoinAnswer>("join")).answer(refused(ErrorCodes.INVALID_SESSION_TIMEOUT));
  await settle();
  assert.equal(group.fatal.length, 1);
  assert.match(group.fatal[0]?.message ?? "", /session\.timeout\.ms/);
  group.clock.advance(60_000);
  await settle();
  assert.equal(group.calls.count("join"), 0);
});

test("what no other try can help is told, instead of being tried in silence for ever", async () => {
  const group = new FakeGroup();
  const cause = new ArroyoError(ErrorCode.CONSUMER, 'Group "g" cannot be used: GROUP_AUTHORIZATION_FAILED.');
  (await group.calls.next<JoinAnswer>("join")).fail(cause);
  await settle();
  assert.equal(group.fatal.length, 1);
  assert.match(group.fatal[0]?.message ?? "", /GROUP_AUTHORIZATION_FAILED/);
  group.clock.advance(60_000);
  await settle();
  assert.equal(group.calls.count("join"), 0);
});

test("a heartbeat that can never be answered ends the stay, and joining again tells why", async () => {
  const group = new FakeGroup();
  await group.letIn("m-1", 1);
  await settle();
  group.clock.advance(3_000);
  const refusal = new ArroyoError(ErrorCode.AUTHENTICATION, "broker 1 refused to authenticate this client");
  (await group.calls.next<number>("heartbeat")).fail(refusal);
  const lost = await group.calls.next<void>("lost");
  assert.match(String(lost.detail["reason"]), /refused to authenticate/);
});

test("topics that change while the member is joining make it join again, with what they are then", async () => {
  const group = new FakeGroup();
  const join = await group.calls.next<JoinAnswer>("join");
  group.member.rejoin("topic orders has more partitions");
  join.answer(joined("m-1", 1));
  (await group.calls.next<SyncAnswer>("sync")).answer({ errorCode: 0, assignment: Buffer.alloc(0) });
  await group.calls.next("assigned");
  (await group.calls.next<void>("revoke")).answer();
  const again = await group.calls.next<JoinAnswer>("join");
  assert.equal(again.detail["reason"], "topic orders has more partitions");
  again.answer(joined("m-1", 2));
  (await group.calls.next<SyncAnswer>("sync")).answer({ errorCode: 0, assignment: Buffer.alloc(0) });
  await group.calls.next("assigned");
  await settle();
  assert.equal(group.calls.count("revoke"), 0, "once is enough");
});

test("many rebalances leave nothing behind", async () => {
  const group = new FakeGroup();
  const listeners = countListeners();
  try {
    for (let generation = 1; generation <= 20; generation++) {
      await group.letIn("m-1", generation);
      await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
      (await group.calls.next<void>("revoke")).answer();
      await settle();
    }
    // What is pending now: the JoinGroup of the next generation.
    assert.ok(listeners.open <= 3, `${listeners.open} listeners are left`);
  } finally {
    listeners.restore();
  }
});

/** Counts the listeners for `abort` that are added and not removed, and have not been called. */
function countListeners(): { readonly open: number; restore(): void } {
  const { addEventListener, removeEventListener } = AbortSignal.prototype;
  const open = new Map<unknown, Set<unknown>>();
  AbortSignal.prototype.addEventListener = function (this: AbortSignal, ...args: unknown[]): void {
    let ofSignal = open.get(this);
    if (ofSignal === undefined) open.set(this, (ofSignal = new Set()));
    ofSignal.add(args[1]);
    Reflect.apply(addEventListener, this, args);
  };
  AbortSignal.prototype.removeEventListener = function (this: AbortSignal, ...args: unknown[]): void {
    open.get(this)?.delete(args[1]);
    Reflect.apply(removeEventListener, this, args);
  };
  return {
    get open(): number {
      const live = [...open].filter(([signal]) => !(signal as AbortSignal).aborted);
      return live.reduce((total, [, listeners]) => total + listeners.size, 0);
    },
    restore: () => Object.assign(AbortSignal.prototype, { addEventListener, removeEventListener }),
  };
}
