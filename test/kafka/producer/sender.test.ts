import { test } from "node:test";
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import type { ProduceRequest } from "../../../src/kafka/client/produce-apis.ts";
import { AuthenticationError, TransportError } from "../../../src/kafka/client/transport-error.ts";
import { SenderHarness } from "./sender-harness.ts";

test("the batches of all partitions of a leader go in one request, with what the settings say", async () => {
  const t = new SenderHarness({ acks: 1, "request.timeout.ms": 7_000, "socket.timeout.ms": 9_000 });
  await t.add(["0=a,b", "1=c", "2=d"]);
  const [first, second] = t.calls;
  assert.deepEqual([first!.nodeId, first!.content], [1, ["t:0=a,b", "t:1=c"]]);
  assert.deepEqual([second!.nodeId, second!.content], [2, ["t:2=d"]]);
  assert.equal(first!.request.acks, 1);
  assert.equal(first!.request.timeoutMs, 7_000);
  assert.equal(first!.timeoutMs, 12_000, "the broker itself may wait for its replicas");
  await first!.answer({ 0: { baseOffset: 40 }, 1: { baseOffset: 7, logAppendTimeMs: 1_234 } });
  await second!.answer();
  assert.deepEqual(t.events, ["delivered 1@40", "delivered 2@7 at 1234", "delivered 3@200"]);
});

test("without idempotence the batches of a partition go one after another", async () => {
  const t = new SenderHarness({ "enable.idempotence": false });
  await t.add(["0=a", "0=b", "1=x"]);
  await t.add(["0=c"]);
  const first = t.call();
  assert.deepEqual(first.content, ["t:0=a", "t:1=x"]);
  await t.add(["1=y"]);
  assert.equal(t.calls.length, 0);
  await first.answer();
  const second = t.call();
  assert.deepEqual(second.content, ["t:0=b", "t:1=y"]);
  await second.answer();
  assert.deepEqual(t.call().content, ["t:0=c"]);
});

test("a batch that fails for a passing reason is sent again, as it was, before those behind it", async () => {
  const t = new SenderHarness({ "compression.type": "lz4" });
  await t.add([`0=${"a".repeat(500)}`, "0=b", "1=x"]);
  const first = t.call();
  const bytes = Buffer.from(first.request.topics[0]!.partitions[0]!.records);
  assert.ok(bytes.length < 500, "compressed");
  await first.answer({ 0: { errorCode: ErrorCodes.NOT_ENOUGH_REPLICAS } });
  assert.deepEqual(t.events, ["delivered 3@100"]);
  assert.equal(t.calls.length, 0, "not at once");
  await t.advance(150);
  const again = t.call();
  assert.ok(bytes.equals(again.request.topics[0]!.partitions[0]!.records));
  await again.answer();
  assert.deepEqual(t.call().content, ["t:0=b"]);
  assert.equal(t.refreshes, 0);
});

test("the waits between tries grow, and begin anew once one has worked", async () => {
  const t = new SenderHarness({ "retry.backoff.ms": 100, "retry.backoff.max.ms": 1_000 });
  await t.add(["0=a", "0=b"]);
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    await t.call().answer({ 0: { errorCode: ErrorCodes.NOT_ENOUGH_REPLICAS } });
    const before = t.clock.monotonicMs();
    while (t.calls.length === 0) await t.advance(1);
    waits.push(t.clock.monotonicMs() - before);
  }
  for (const [i, plain] of [100, 200, 400, 800, 1_000, 1_000].entries()) {
    assert.ok(waits[i]! >= plain * 0.8 && waits[i]! <= Math.min(1_000, plain * 1.2) + 1, `${waits}`);
  }
  assert.equal(t.warnings.length, 1, "somebody is told, once");
  await t.call().answer();
  await t.call().answer({ 0: { errorCode: ErrorCodes.NOT_ENOUGH_REPLICAS } });
  await t.advance(121);
  assert.deepEqual(t.call().content, ["t:0=b"]);
});

test("a new leader that the broker names is tried at once", async () => {
  const t = new SenderHarness();
  await t.add(["0=a"]);
  const moved = {
    errorCode: ErrorCodes.NOT_LEADER_OR_FOLLOWER,
    currentLeader: { leaderId: 2, leaderEpoch: 6 },
  };
  await t.call().answer({ 0: moved });
  const again = t.call();
  assert.equal(again.nodeId, 2);
  assert.deepEqual(again.content, ["t:0=a"]);
  await again.answer();
  assert.deepEqual(t.events, ["delivered 1@0"]);
});

test("when the leader has moved without a word where to, the metadata is asked for, and the new leader is tried", async () => {
  const t = new SenderHarness();
  await t.add(["0=a"]);
  const stale = {
    errorCode: ErrorCodes.NOT_LEADER_OR_FOLLOWER,
    currentLeader: { leaderId: 1, leaderEpoch: 4 },
  };
  await t.call().answer({ 0: stale });
  assert.equal(t.refreshes, 1);
  assert.equal(t.calls.length, 0);
  t.leaders["t"]![0] = { nodeId: 2, leaderEpoch: 6 };
  await t.advance(150);
  assert.equal(t.call().nodeId, 2);
});

test("a lost connection, and one that cannot be made, are tried again", async () => {
  const t = new SenderHarness();
  await t.add(["0=a", "1=b"]);
  await t.call().fail();
  assert.equal(t.refreshes, 1);
  t.connectError = new TransportError("refused");
  await t.advance(150);
  assert.equal(t.calls.length, 0);
  t.connectError = undefined;
  await t.advance(300);
  const contents = t.calls.flatMap(({ content }) => content);
  assert.equal(t.retries, 4);
  assert.deepEqual(contents.toSorted(), ["t:0=a", "t:1=b"]);
  assert.deepEqual(t.events, []);
});

test("a batch that the answer leaves out is sent again", async () => {
  const t = new SenderHarness();
  await t.add(["0=a", "1=b"]);
  await t.call().answer({ 0: "left out" });
  assert.deepEqual(t.events, ["delivered 2@100"]);
  await t.advance(150);
  assert.deepEqual(t.call().content, ["t:0=a"]);
});

test("a batch that is refused fails with what to do about it, and those behind it go on", async () => {
  const t = new SenderHarness();
  await t.add(["0=a", "0=b"]);
  await t.call().answer({ 0: { errorCode: ErrorCodes.MESSAGE_TOO_LARGE } });
  assert.match(
    t.events[0]!,
    /^failed 1: The broker refused a batch for t:0 with MESSAGE_TOO_LARGE: .*"max.message.bytes"/,
  );
  const next = t.call();
  assert.deepEqual(next.content, ["t:0=b"]);
  const recordErrors = [{ batchIndex: 0, message: "Compacted topic cannot accept message without key" }];
  await next.answer({
    0: { errorCode: ErrorCodes.INVALID_RECORD, errorMessage: "One or more", recordErrors },
  });
  assert.match(
    t.events[1]!,
    /^failed 2: .* INVALID_RECORD: .*\(Compacted topic cannot accept message without key\)\.$/,
  );
  await t.add(["0=c"]);
  await t.call().answer({ 0: { errorCode: ErrorCodes.UNKNOWN_SERVER_ERROR } });
  assert.match(t.events[2]!, /^failed 3: .* with UNKNOWN_SERVER_ERROR\.$/);
});

test("a batch that could not be delivered in time fails, and says what was in the way", async () => {
  const t = new SenderHarness({ "message.timeout.ms": 1_000 });
  t.connectError = new TransportError("broker 1 cannot be connected to");
  await t.add(["0=a"], 1_000);
  await t.add(["0=b"], 1_001);
  await t.advance(999);
  assert.deepEqual(t.events, []);
  await t.advance(1);
  assert.deepEqual(t.events, [
    'failed 1: Messages for t:0 were not delivered within "message.timeout.ms" (1000 ms): broker 1 cannot be connected to',
  ]);
  await t.advance(1);
  assert.equal(t.events.length, 2);
  t.connectError = undefined;
  await t.advance(10_000);
  assert.equal(t.calls.length, 0, "nothing of it is sent any more");
});

test("a batch whose time runs out in flight fails, but none overtakes it", async () => {
  const t = new SenderHarness();
  await t.add(["0=a"], 1_000);
  const first = t.call();
  await t.add(["0=b"], 60_000);
  await t.advance(1_000);
  assert.match(t.events[0]!, /^failed 1: .*The broker has not answered yet\.$/);
  assert.equal(t.calls.length, 0, "the first one may still arrive");
  await first.answer();
  assert.deepEqual(t.call().content, ["t:0=b"]);
  assert.equal(t.events.length, 1, "what is settled stays settled");
});

test("after so many retries a batch fails", async () => {
  const t = new SenderHarness({ retries: 1 });
  await t.add(["0=a"]);
  await t.call().fail();
  await t.advance(150);
  await t.call().fail(new TransportError("Lost once more."));
  assert.deepEqual(t.events, [
    'failed 1: Messages for t:0 were not delivered in 2 tries ("retries"): Lost once more.',
  ]);
  await t.advance(10_000);
  assert.equal(t.calls.length, 0);
});

test("without a leader a batch waits for one", async () => {
  const t = new SenderHarness();
  t.leaders["t"]![0] = undefined;
  await t.add(["0=a", "1=b"]);
  assert.deepEqual(t.call().content, ["t:1=b"]);
  assert.equal(t.refreshes, 1);
  t.changed();
  await turn();
  assert.equal(t.calls.length, 0, "still none");
  t.leaders["t"]![0] = { nodeId: 2, leaderEpoch: 7 };
  t.changed();
  await turn();
  assert.equal(t.call().nodeId, 2);
});

test("a partition that never gets a leader fails its batches in time", async () => {
  const t = new SenderHarness();
  t.leaders["t"]![0] = undefined;
  await t.add(["0=a"], 500);
  await t.advance(500);
  assert.match(t.events[0]!, /^failed 1: .*: The partition has no leader\.$/);
});

test("requests are limited in size and in number", async () => {
  const t = new SenderHarness({ "max.in.flight.requests.per.connection": 2 });
  t.leaders["t"] = Array.from({ length: 8 }, () => ({ nodeId: 1, leaderEpoch: 1 }));
  const large = "x".repeat(1_500_000);
  await t.add(Array.from({ length: 8 }, (_, index) => `${index}=${large}`));
  assert.deepEqual(
    t.calls.map(({ content }) => content.length),
    [3, 3],
  );
  await t.calls.shift()!.answer();
  assert.deepEqual(
    t.calls.map(({ content }) => content.length),
    [3, 2],
  );
});

test("a broker that refuses the credentials is tried again, since they may be on their way there", async () => {
  const t = new SenderHarness();
  t.connectError = new AuthenticationError("refused");
  await t.add(["0=a"], 10_000);
  await t.advance(150);
  t.connectError = undefined;
  await t.advance(300);
  await t.call().answer();
  assert.deepEqual(t.events, ["delivered 1@0"]);
});

test("the batches of a topic that is gone fail, also one in flight", async () => {
  const t = new SenderHarness();
  await t.add(["0=a", "0=b", "2=c"]);
  const [first] = t.calls.splice(0);
  t.sender.failTopic("t", new Error("gone"));
  assert.deepEqual(t.events.toSorted(), ["failed 1: gone", "failed 2: gone", "failed 3: gone"]);
  await first!.answer();
  await t.advance(1_000);
  assert.equal(t.calls.length, 0);
  assert.equal(t.events.length, 3);
});

test("a closed sender does nothing any more", async () => {
  const t = new SenderHarness();
  await t.add(["0=a", "0=b", "2=c"]);
  const [first, second] = t.calls.splice(0);
  await second!.fail();
  t.sender.close();
  await first!.answer();
  assert.equal(t.clock.pendingTimers, 0);
  t.changed();
  await t.advance(100_000);
  assert.deepEqual(t.events, []);
  assert.equal(t.calls.length, 0);
});

test("the memory of a batch is given back once the broker has it, unless a copy of it may still be on its way", async () => {
  const t = new SenderHarness();
  const sizes = (call: { request: ProduceRequest }): number[] =>
    call.request.topics[0]!.partitions.map(({ records }) => records.buffer.byteLength);
  await t.add(["0=a", "1=x"]);
  const first = t.call();
  assert.ok(sizes(first).every((size) => size > 0));
  await first.answer({ 1: { errorCode: ErrorCodes.NOT_ENOUGH_REPLICAS } });
  assert.deepEqual(
    sizes(first).map((size) => size > 0),
    [false, true],
  );
  await t.advance(1_000);
  const second = t.call();
  await second.answer();
  assert.deepEqual(t.events, ["delivered 1@0", "delivered 2@100"]);
  assert.ok(sizes(second)[0]! > 0, "it was sent twice");
});

test("what was compressed gives its memory back when it is sent", async () => {
  const t = new SenderHarness({ "compression.type": "zstd" });
  const written: ArrayBuffer[] = [];
  const add = t.sender.add.bind(t.sender);
  t.sender.add = (batches) => {
    written.push(...batches.map(({ buffer }) => buffer));
    add(batches);
  };
  await t.add([`0=${"a".repeat(5_000)}`, "1=x"]);
  const call = t.call();
  assert.deepEqual(call.content, [`t:0=${"a".repeat(5_000)}`, "t:1=x"]);
  assert.deepEqual(
    written.map(({ byteLength }) => byteLength > 0),
    [false, true],
    "the second one would only have become larger",
  );
});
