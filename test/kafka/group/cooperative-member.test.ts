import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeSubscription, encodeAssignment } from "../../../src/kafka/client/consumer-protocol.ts";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import type { JoinAnswer, OfferedProtocol, SyncAnswer } from "../../../src/kafka/client/group-requests.ts";
import type { CommitSession } from "../../../src/kafka/client/membership.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { FakeGroup, indicesOf, joined, refused, settle, type Call } from "./fake-group.ts";

function cooperative(groupInstanceId: string | null = null): FakeGroup {
  return new FakeGroup({ strategies: ["cooperative-sticky"], groupInstanceId });
}

/** What a JoinGroup claims of the topic, and since which generation. */
function claimOf(join: Call<JoinAnswer>): {
  readonly owned: readonly number[];
  readonly generationId: number;
} {
  const [offered] = join.detail["protocols"] as readonly OfferedProtocol[];
  assert.ok(offered);
  const { owned, generationId } = decodeSubscription(offered.metadata);
  return { owned: owned.get("orders") ?? [], generationId };
}

/** In a function, so that the compiler does not take it for what it was. */
function currentOf(group: FakeGroup): CommitSession | undefined {
  return group.member.commitSession;
}

function given(...indices: number[]): SyncAnswer {
  return { errorCode: 0, assignment: encodeAssignment(new Map([["orders", indices]])) };
}

test("it keeps what it has while it joins again, and claims it; a rebalance that changes nothing touches nothing", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  const join = await group.calls.next<JoinAnswer>("join");
  assert.deepEqual(claimOf(join), { owned: [0, 1], generationId: 1 });
  assert.equal(group.member.state, "joining");
  join.answer({ ...joined("m-1", 2), protocolName: "cooperative-sticky" });
  (await group.calls.next<SyncAnswer>("sync")).answer(given(0, 1));
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), []);
  await settle();
  assert.equal(group.calls.count("revoke"), 0);
  assert.equal(group.calls.count("join"), 0);
  assert.equal(group.member.state, "stable");
});

test("what goes to others is drained after the generation has begun, under heartbeats, and only then it joins again", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.letIn("m-1", 2, [1, 2]).then(() => settle());
  const revoke = await group.calls.next<void>("revoke");
  assert.deepEqual(indicesOf(revoke), [0]);
  assert.equal(group.member.state, "revoking");
  await group.answerHeartbeat(ErrorCodes.NONE);
  assert.equal(group.calls.count("join"), 0);
  revoke.answer();
  const again = await group.calls.next<JoinAnswer>("join");
  assert.deepEqual(claimOf(again), { owned: [1, 2], generationId: 2 });
});

test("what is new is announced at once, before anything is drained", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1, [0]);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  (await group.calls.next<JoinAnswer>("join")).answer({
    ...joined("m-1", 2),
    protocolName: "cooperative-sticky",
  });
  (await group.calls.next<SyncAnswer>("sync")).answer(given(1));
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [1]);
  assert.deepEqual(indicesOf(await group.calls.next("revoke")), [0]);
});

test("a rebalance that comes in the middle of a drain waits for it, and counts the time from before it", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.letIn("m-1", 2, [0]);
  const revoke = await group.calls.next<void>("revoke");
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  assert.equal(group.calls.count("join"), 0);
  revoke.answer();
  await group.calls.next<JoinAnswer>("join");
  await settle();
  assert.equal(group.calls.count("join"), 0, "one join answers both");
});

test("a drain that outlasts the group's patience loses everything, and leaves", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.letIn("m-1", 2, [0]);
  await group.calls.next("revoke");
  await settle();
  group.clock.advance(60_000);
  (await group.calls.next<void>("leave")).answer();
  const lost = await group.calls.next<void>("lost");
  assert.deepEqual(indicesOf(lost), [0, 1]);
  assert.equal(group.member.commitSession, undefined);
});

for (const [name, request] of [
  ["JoinGroup", "join"],
  ["SyncGroup", "sync"],
] as const) {
  test(`a ${name} that is answered with UNKNOWN_MEMBER_ID makes everything lost, and nothing is committed`, async () => {
    const group = cooperative();
    await group.letIn("m-1", 1);
    await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
    const join = await group.calls.next<JoinAnswer>("join");
    if (request === "join") join.answer(refused(ErrorCodes.UNKNOWN_MEMBER_ID));
    else {
      join.answer({ ...joined("m-1", 2), protocolName: "cooperative-sticky" });
      const sync = await group.calls.next<SyncAnswer>("sync");
      sync.answer({ errorCode: ErrorCodes.UNKNOWN_MEMBER_ID, assignment: Buffer.alloc(0) });
    }
    const lost = await group.calls.next<void>("lost");
    assert.deepEqual(indicesOf(lost), [0, 1]);
    assert.equal(group.member.commitSession, undefined);
    await settle();
    group.clock.advance(60_000);
    await settle();
    assert.equal(group.calls.count("join"), 0, "it waits until the main thread knows");
    lost.answer();
    const again = await group.calls.next<JoinAnswer>("join");
    assert.equal(again.detail["memberId"], "");
    assert.deepEqual(claimOf(again), { owned: [], generationId: -1 });
  });
}

test("a SyncGroup for a generation that is over loses everything and keeps the member id", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  (await group.calls.next<JoinAnswer>("join")).answer({
    ...joined("m-1", 2),
    protocolName: "cooperative-sticky",
  });
  (await group.calls.next<SyncAnswer>("sync")).answer({
    errorCode: ErrorCodes.ILLEGAL_GENERATION,
    assignment: Buffer.alloc(0),
  });
  const lost = await group.calls.next<void>("lost");
  assert.deepEqual(indicesOf(lost), [0, 1]);
  lost.answer();
  assert.equal((await group.calls.next<JoinAnswer>("join")).detail["memberId"], "m-1");
});

test("a rebalance between JoinGroup and SyncGroup keeps what it has, and claims it by the generation that gave it", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  (await group.calls.next<JoinAnswer>("join")).answer({
    ...joined("m-1", 2),
    protocolName: "cooperative-sticky",
  });
  (await group.calls.next<SyncAnswer>("sync")).answer({
    errorCode: ErrorCodes.REBALANCE_IN_PROGRESS,
    assignment: Buffer.alloc(0),
  });
  const again = await group.calls.next<JoinAnswer>("join");
  assert.deepEqual(claimOf(again), { owned: [0, 1], generationId: 1 });
  // The coordinator takes commits under the generation that it began.
  const now = group.member.commitSession;
  assert.ok(now?.state === "passing");
  assert.equal(now.session.generationId, 2);
  assert.equal(group.calls.count("lost"), 0);
});

test("a coordinator that moves in the middle of a rebalance costs nothing", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  (await group.calls.next<JoinAnswer>("join")).answer(refused(ErrorCodes.NOT_COORDINATOR));
  await settle();
  assert.equal(group.forgotten, 1);
  group.clock.advance(1_000);
  (await group.calls.next<JoinAnswer>("join")).fail(new TransportError("broker 1 was lost"));
  await settle();
  group.clock.advance(1_000);
  await group.letIn("m-1", 2);
  assert.equal(group.calls.count("lost") + group.calls.count("revoke"), 0);
});

test("commits pass while a rebalance gathers, are held between the requests, and go on in the next generation", async () => {
  const group = cooperative();
  const first = await group.letIn("m-1", 1);
  const stable = group.member.commitSession;
  assert.ok(stable?.state === "ready");
  assert.equal(stable.session, first);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  const join = await group.calls.next<JoinAnswer>("join");
  const passing = group.member.commitSession;
  assert.ok(passing?.state === "passing");
  assert.equal(passing.session, first);
  join.answer({ ...joined("m-1", 2), protocolName: "cooperative-sticky" });
  await passing.changed;
  const held: CommitSession | undefined = currentOf(group);
  assert.ok(held?.state === "held");
  (await group.calls.next<SyncAnswer>("sync")).answer(given(0, 1));
  await group.calls.next("assigned");
  await held.changed;
  const ready = currentOf(group);
  assert.equal(ready?.state === "ready" && ready.session.generationId, 2);
});

test("a main thread that stops polling in the middle of a join: it leaves, and everything is lost", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.calls.next<JoinAnswer>("join");
  group.member.expel("the main thread has not polled");
  const leave = await group.calls.next<void>("leave");
  assert.equal(leave.detail["memberId"], "m-1");
  leave.answer();
  const lost = await group.calls.next<void>("lost");
  assert.deepEqual(indicesOf(lost), [0, 1]);
  lost.answer();
  assert.deepEqual(claimOf(await group.calls.next("join")), { owned: [], generationId: -1 });
});

test("stopping in the middle of a join leaves, and is not a loss", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.calls.next<JoinAnswer>("join");
  const stopped = group.member.stop("the consumer closes", 1_000);
  (await group.calls.next<void>("leave")).answer();
  await stopped;
  assert.equal(group.calls.count("lost"), 0);
  assert.equal(group.member.commitSession, undefined);
});

test("thrown out in the middle of a drain: what stays is lost as well", async () => {
  const group = cooperative();
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  await group.letIn("m-1", 2, [0]);
  const revoke = await group.calls.next<void>("revoke");
  await group.answerHeartbeat(ErrorCodes.UNKNOWN_MEMBER_ID);
  const lost = await group.calls.next<void>("lost");
  assert.deepEqual(indicesOf(lost), [0, 1]);
  revoke.answer();
  lost.answer();
  assert.equal((await group.calls.next<JoinAnswer>("join")).detail["memberId"], "");
});

test("a list with an eager assignor gives everything back before each join, whatever the group speaks", async () => {
  const group = new FakeGroup({ strategies: ["cooperative-sticky", "range"] });
  await group.letIn("m-1", 1);
  await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
  const revoke = await group.calls.next<void>("revoke");
  assert.deepEqual(indicesOf(revoke), [0, 1]);
  assert.equal(group.calls.count("join"), 0);
  revoke.answer();
  assert.deepEqual(claimOf(await group.calls.next("join")), { owned: [], generationId: -1 });
});

test("a static member stays in the group when it closes, and when its main thread stops polling", async () => {
  const closing = cooperative("i-1");
  await closing.letIn("m-1", 1);
  await closing.member.stop("the consumer closes", 1_000);
  assert.equal(closing.calls.count("leave"), 0);

  const silent = cooperative("i-1");
  await silent.letIn("m-1", 1);
  silent.member.expel("the main thread has not polled");
  const lost = await silent.calls.next<void>("lost");
  assert.deepEqual(indicesOf(lost), [0, 1]);
  await settle();
  silent.clock.advance(30_000);
  await settle();
  assert.equal(silent.calls.count("leave") + silent.calls.count("heartbeat"), 0);
  lost.answer();
  await silent.calls.next("join");
});

for (const [where, errorCode] of [
  ["a heartbeat", ErrorCodes.FENCED_INSTANCE_ID],
  ["a JoinGroup", ErrorCodes.FENCED_INSTANCE_ID],
] as const) {
  test(`a static member whose place was taken is told by ${where}, for good`, async () => {
    const group = cooperative("i-1");
    await group.letIn("m-1", 1);
    if (where === "a heartbeat") await group.answerHeartbeat(errorCode);
    else {
      await group.answerHeartbeat(ErrorCodes.REBALANCE_IN_PROGRESS);
      (await group.calls.next<JoinAnswer>("join")).answer(refused(errorCode));
    }
    (await group.calls.next<void>("lost")).answer();
    await settle();
    assert.equal(group.fatal.length, 1);
    assert.match(group.fatal[0]?.message ?? "", /FENCED_INSTANCE_ID.*group\.instance\.id/);
    assert.equal(group.calls.count("join") + group.calls.count("leave"), 0);
    assert.equal(group.member.state, "stopped");
  });
}

test("a static leader that comes back under its old assignment (KIP-814) assigns nothing", async () => {
  const group = cooperative("i-1");
  (await group.calls.next<JoinAnswer>("join")).answer({
    ...joined("m-1", 5),
    protocolName: "cooperative-sticky",
    leader: "m-1",
    skipAssignment: true,
  });
  const sync = await group.calls.next<SyncAnswer>("sync");
  assert.deepEqual(sync.detail["assignments"], new Map());
  sync.answer(given(0));
  assert.deepEqual(indicesOf(await group.calls.next("assigned")), [0]);
});

test("a group that refuses a member for long is said once, and so is its end", async () => {
  const lines: string[] = [];
  const group = new FakeGroup({
    logger: {
      debug: () => {},
      info: (_fields, message) => lines.push(`info ${message}`),
      warn: (_fields, message) => lines.push(`warn ${message}`),
      error: () => {},
    },
  });
  for (let second = 0; second < 60; second++) {
    (await group.calls.next<JoinAnswer>("join")).answer(refused(ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS));
    await settle();
    group.clock.advance(1_500);
  }
  assert.deepEqual(lines, [
    "warn The group has not let this member in for a while; it is tried again until it works.",
  ]);
  await group.letIn("m-1", 1);
  assert.equal(lines[1], "info The group has let this member in after all.");
});
