import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { SenderHarness, type Call } from "./sender-harness.ts";

/** Requests wait for an answer as long as this, by default. */
const SOCKET_TIMEOUT_MS = 60_000;

/** With two batches of partition 0 on their way to broker 1, and one of partition 1. */
async function underWay(t: SenderHarness): Promise<Call[]> {
  await t.add(["0=a"]);
  await t.call().answer();
  t.events.length = 0;
  await t.add(["0=b", "1=x"]);
  await t.add(["0=c"]);
  return t.calls.splice(0);
}

const moveTo = (t: SenderHarness, nodeId: number): void => {
  t.leaders["t"]![0] = { nodeId, leaderEpoch: 6 };
  t.changed();
};

test("what is on its way to a leader that was replaced is sent to the new one at once, under its numbers", async () => {
  const t = new SenderHarness();
  const [first, second] = await underWay(t);
  assert.deepEqual(first!.content, ["t:0=b", "t:1=x"]);
  moveTo(t, 2);
  await t.advance(0);
  // What is sent again goes one by one.
  const again = t.call();
  assert.equal(again.nodeId, 2);
  assert.deepEqual(again.content, ["t:0=b"]);
  assert.deepEqual(again.identities, first!.identities.slice(0, 1));
  await again.answer({ 0: { errorCode: ErrorCodes.DUPLICATE_SEQUENCE_NUMBER } });
  const next = t.call();
  assert.deepEqual(next.content, ["t:0=c"]);
  assert.deepEqual(next.identities, second!.identities);
  await next.answer({ 0: { baseOffset: 2 } });
  assert.deepEqual(t.events, ["delivered 2@-1", "delivered 4@2"]);
  // What the old leader says at last matters to the partition that it still leads, and to no other.
  await first!.answer({ 0: { errorCode: ErrorCodes.OUT_OF_ORDER_SEQUENCE_NUMBER } });
  await second!.answer({ 0: { errorCode: ErrorCodes.INVALID_RECORD } });
  assert.deepEqual(t.events.slice(2), ["delivered 3@100"]);
  assert.equal(t.calls.length, 0);
  assert.equal(t.retries, 2);
});

test("the old leader's answer does not settle what is on its way to the new one", async () => {
  const t = new SenderHarness();
  const [first, second] = await underWay(t);
  moveTo(t, 2);
  await t.advance(0);
  const again = t.call();
  await first!.answer();
  await second!.fail();
  assert.deepEqual(t.events, ["delivered 3@100"]);
  assert.equal(t.calls.length, 0, "and nothing is sent beside it");
  await again.answer();
  await t.call().answer({ 0: { baseOffset: 5 } });
  assert.deepEqual(t.events.slice(1), ["delivered 2@0", "delivered 4@5"]);
});

test("without idempotence it waits for the answer: the old leader may have it", async () => {
  const t = new SenderHarness({ "enable.idempotence": false });
  await t.add(["0=a"]);
  const call = t.call();
  moveTo(t, 2);
  await t.advance(SOCKET_TIMEOUT_MS / 2);
  assert.equal(t.calls.length, 0);
  await call.answer();
  assert.deepEqual(t.events, ["delivered 1@0"]);
});

test("a request that was still waiting for its connection leaves out what has gone to another leader", async () => {
  const t = new SenderHarness();
  await t.add(["0=a"]);
  await t.call().answer();
  t.connecting = Promise.withResolvers();
  await t.add(["0=b", "1=x"]);
  const connected = t.connecting;
  t.connecting = undefined;
  moveTo(t, 2);
  await t.advance(0);
  assert.deepEqual(t.call().content, ["t:0=b"]);
  connected.resolve();
  await t.advance(0);
  assert.deepEqual(t.call().content, ["t:1=x"]);
});

test("when all of a request has gone to another leader, the old one gets nothing", async () => {
  const t = new SenderHarness();
  await t.add(["0=a"]);
  await t.call().answer();
  t.connecting = Promise.withResolvers();
  await t.add(["0=b"]);
  const connected = t.connecting;
  t.connecting = undefined;
  moveTo(t, 2);
  await t.advance(0);
  const again = t.call();
  connected.resolve();
  await t.advance(0);
  assert.equal(t.calls.length, 0);
  await again.answer();
  assert.deepEqual(t.events.at(-1), "delivered 2@0");
});

test("who leads is asked for while a request goes without an answer, long before it is given up", async () => {
  const t = new SenderHarness();
  const calls = await underWay(t);
  const before = t.refreshes;
  await t.advance(5_000);
  assert.equal(t.refreshes, before + 1);
  await t.advance(5_000);
  assert.equal(t.refreshes, before + 2);
  for (const call of calls) await call.answer();
  await t.advance(5_000);
  await t.advance(60_000);
  assert.equal(t.refreshes, before + 2, "all is answered");
});
