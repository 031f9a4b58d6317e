import { test } from "node:test";
import assert from "node:assert/strict";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { SenderHarness } from "./sender-harness.ts";

const outOfOrder = { 0: { errorCode: ErrorCodes.OUT_OF_ORDER_SEQUENCE_NUMBER } };
const tooLarge = { 0: { errorCode: ErrorCodes.MESSAGE_TOO_LARGE } };

/** A sender whose partition 0 is known to the broker: one batch of one message is delivered. */
async function begun(timeoutMs?: number): Promise<SenderHarness> {
  const t = new SenderHarness();
  await t.add(["0=first"], timeoutMs);
  await t.call().answer();
  t.events.length = 0;
  return t;
}

test("batches are numbered by their messages, for each partition, under the id that the brokers gave", async () => {
  const t = new SenderHarness();
  t.producerIds = [{ producerId: 2n ** 40n, producerEpoch: 3 }];
  await t.add(["0=a,b,c", "1=x", "2=y"]);
  const [first, second] = t.calls.splice(0);
  assert.deepEqual(first!.identities, ["0: 1099511627776/3+0", "1: 1099511627776/3+0"]);
  assert.deepEqual(second!.identities, ["2: 1099511627776/3+0"]);
  await first!.answer();
  await t.add(["0=d", "1=z"]);
  assert.deepEqual(t.call().identities, ["0: 1099511627776/3+3", "1: 1099511627776/3+1"]);
  assert.equal(t.idRequests, 1);
});

test("without idempotence no id is asked for", async () => {
  const t = new SenderHarness({ "enable.idempotence": false });
  await t.add(["0=a"]);
  assert.deepEqual(t.call().identities, ["0: -1/-1+-1"]);
  assert.equal(t.idRequests, 0);
});

test("the first batch goes alone, as the broker does not check it; then five are in flight", async () => {
  const t = new SenderHarness();
  await t.add(["0=a", "0=b", "0=c", "0=d", "0=e", "0=f", "0=g"]);
  await t.call().answer();
  assert.deepEqual(
    t.calls.map(({ content }) => content.join()),
    ["t:0=b", "t:0=c", "t:0=d", "t:0=e", "t:0=f"],
  );
  await t.calls.shift()!.answer();
  assert.deepEqual(t.calls.at(-1)!.content, ["t:0=g"]);
});

test("after the number 2^31 - 1 comes 0", async () => {
  const t = new SenderHarness();
  await t.add(["0=a"], undefined, { recordCount: 2 ** 31 - 3 });
  await t.call().answer();
  await t.add(["0=b,c,d,e,f"]);
  const call = t.call();
  assert.deepEqual(call.identities, ["0: 7/0+2147483645"]);
  await call.answer();
  await t.add(["0=g"]);
  assert.deepEqual(t.call().identities, ["0: 7/0+2"]);
});

test("when one of several in flight fails, they are sent again in their order, with their numbers", async () => {
  const t = await begun();
  await t.add(["0=a,b", "0=c", "0=d"]);
  const [a, c, d] = t.calls.splice(0);
  await a!.answer({ 0: { errorCode: ErrorCodes.NOT_ENOUGH_REPLICAS } });
  await c!.answer(outOfOrder);
  await d!.answer(outOfOrder);
  await t.add(["0=e"]);
  assert.equal(t.calls.length, 0);
  await t.advance(150);
  const sent: unknown[] = [];
  for (let i = 0; i < 4; i++) {
    const call = t.call();
    sent.push([call.content.join(), call.identities.join()]);
    await call.answer({ 0: { baseOffset: 10 + i } });
  }
  assert.deepEqual(sent, [
    ["t:0=a,b", "0: 7/0+1"],
    ["t:0=c", "0: 7/0+3"],
    ["t:0=d", "0: 7/0+4"],
    ["t:0=e", "0: 7/0+5"],
  ]);
  assert.deepEqual(t.events, ["delivered 2@10", "delivered 3@11", "delivered 4@12", "delivered 5@13"]);
});

test("a connection that is cut after the broker wrote: the batch is sent again and counts as delivered", async () => {
  const t = await begun();
  await t.add(["0=a", "0=b"]);
  for (const call of t.calls.splice(0)) await call.fail();
  await t.advance(150);
  const again = t.call();
  assert.deepEqual(again.identities, ["0: 7/0+1"]);
  await again.answer({ 0: { baseOffset: 1 } });
  await t.call().answer({ 0: { errorCode: ErrorCodes.DUPLICATE_SEQUENCE_NUMBER, baseOffset: -1 } });
  assert.deepEqual(t.events, ["delivered 2@1", "delivered 3@-1"], "the broker need not remember where");
});

test("a partition that moves keeps its numbers", async () => {
  const t = await begun();
  await t.add(["0=a", "0=b"]);
  const moved = {
    errorCode: ErrorCodes.NOT_LEADER_OR_FOLLOWER,
    currentLeader: { leaderId: 2, leaderEpoch: 6 },
  };
  for (const call of t.calls.splice(0)) await call.answer({ 0: moved });
  const first = t.call();
  assert.deepEqual([first.nodeId, first.identities], [2, ["0: 7/0+1"]]);
  await first.answer();
  const second = t.call();
  assert.deepEqual([second.nodeId, second.identities], [2, ["0: 7/0+2"]]);
});

test("a batch that expires in flight: what is in flight is waited for, then the next epoch begins at 0", async () => {
  const t = await begun();
  await t.add(["0=a"], 1_000);
  const expired = t.call();
  await t.advance(1_000);
  assert.match(t.events[0]!, /^failed 2: .*The broker has not answered yet\.$/);
  await expired.fail();
  await t.add(["0=b"]);
  assert.deepEqual(t.call().identities, ["0: 7/1+0"]);
});

test("a batch that expires in flight and arrives all the same leaves no gap", async () => {
  const t = await begun();
  await t.add(["0=a"], 1_000);
  const expired = t.call();
  await t.advance(1_000);
  await expired.answer();
  await t.add(["0=b"]);
  assert.deepEqual(t.call().identities, ["0: 7/0+2"]);
});

test("a batch that expired keeps its place while what was sent behind it has not", async () => {
  const t = await begun();
  await t.add(["0=a"], 1_000);
  await t.add(["0=b", "0=c"], 2_000);
  const calls = t.calls.splice(0);
  await t.advance(1_000);
  for (const call of calls) await call.fail();
  await t.add(["0=d"]);
  await t.advance(150);
  const a = t.call();
  assert.deepEqual(a.identities, ["0: 7/0+1"]);
  await a.answer();
  const b = t.call();
  assert.deepEqual([b.content, b.identities], [["t:0=b"], ["0: 7/0+2"]]);
  await t.advance(1_000);
  await b.fail();
  await t.advance(150);
  const d = t.call();
  assert.deepEqual([d.content, d.identities], [["t:0=d"], ["0: 7/1+0"]], "all of them have expired");
  await d.answer();
  assert.deepEqual(
    t.events.map((told) => told.slice(0, 11)),
    ["failed 2: M", "failed 3: M", "failed 4: M", "delivered 5"],
  );
});

test("a broker that has forgotten all but the last batch is asked for that one, and nothing is there twice", async () => {
  const t = await begun();
  await t.add(["0=a", "0=b", "0=c", "0=d"]);
  for (const call of t.calls.splice(0)) await call.fail();
  await t.advance(150);
  await t.call().answer(outOfOrder);
  const d = t.call();
  assert.deepEqual(d.content, ["t:0=d"]);
  await d.answer(outOfOrder);
  const c = t.call();
  assert.deepEqual(c.content, ["t:0=c"]);
  await c.answer({ 0: { baseOffset: 30 } });
  assert.deepEqual(t.events, ["delivered 2@-1", "delivered 3@-1", "delivered 4@30"]);
  const again = t.call();
  assert.deepEqual([again.content, again.identities], [["t:0=d"], ["0: 7/0+4"]]);
});

test("behind a batch that is refused, those in flight get new numbers", async () => {
  const t = await begun();
  await t.add(["0=a", "0=b", "0=c"]);
  const [a, b, c] = t.calls.splice(0);
  await a!.answer(tooLarge);
  await b!.answer(outOfOrder);
  await c!.answer(outOfOrder);
  const again = t.call();
  assert.deepEqual([again.content, again.identities], [["t:0=b"], ["0: 7/1+0"]]);
  await again.answer();
  assert.deepEqual(t.call().identities, ["0: 7/1+1"]);
});

test("one batch that is refused begins a new epoch, once all before it are settled", async () => {
  const t = await begun();
  await t.add(["0=a", "0=b"]);
  const [a, b] = t.calls.splice(0);
  await b!.answer(tooLarge);
  await t.add(["0=c"]);
  assert.equal(t.calls.length, 0);
  await a!.answer();
  assert.deepEqual(t.call().identities, ["0: 7/1+0"]);
});

test("a broker that knows nothing of the producer any more gets the batch under the next epoch", async () => {
  const t = await begun();
  await t.add(["0=a"]);
  await t.call().answer({ 0: { errorCode: ErrorCodes.UNKNOWN_PRODUCER_ID } });
  const again = t.call();
  assert.deepEqual(again.identities, ["0: 7/1+0"]);
  await again.answer();
  assert.deepEqual(t.events, ["delivered 2@0"]);
});

test("after the last epoch comes another id", async () => {
  const t = new SenderHarness();
  t.producerIds = [{ producerId: 7n, producerEpoch: 32_767 }, { producerId: 8n }];
  await t.add(["0=a"]);
  await t.call().answer(tooLarge);
  await t.add(["0=b", "1=x"]);
  const call = t.call();
  assert.deepEqual(call.identities, ["0: 8/0+0", "1: 8/0+0"]);
});

for (const code of ["INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"] as const) {
  test(`${code}: the batch fails, and what comes next has another id`, async () => {
    const t = await begun();
    t.producerIds = [{ producerId: 8n }];
    await t.add(["0=a"]);
    const a = t.call();
    await t.add(["0=b", "1=x"]);
    const b = t.calls.splice(0);
    await a.answer({ 0: { errorCode: ErrorCodes[code] } });
    for (const call of b) await call.answer({ 0: { errorCode: ErrorCodes[code] } });
    assert.match(
      t.events[0]!,
      new RegExp(`^failed 2: .* ${code}: another producer writes with this producer's id`),
    );
    await t.add(["0=c"]);
    assert.deepEqual(t.call().identities, ["0: 8/0+0"]);
    assert.equal(t.idRequests, 2);
  });
}

test("a topic that was gone and is back begins a new epoch", async () => {
  const t = await begun();
  await t.add(["0=a", "0=b"]);
  const calls = t.calls.splice(0);
  t.sender.failTopic("t", new Error("gone"));
  await calls[0]!.answer({ 0: { errorCode: ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION } });
  await t.add(["0=c"]);
  assert.equal(t.calls.length, 0, "one is still on its way");
  await calls[1]!.answer({ 0: { errorCode: ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION } });
  assert.deepEqual(t.call().identities, ["0: 7/1+0"]);
});

test("a principal that may not have an id is told what to do", async () => {
  const t = new SenderHarness();
  t.producerIds = [{ errorCode: ErrorCodes.CLUSTER_AUTHORIZATION_FAILED }];
  await t.add(["0=a"]);
  assert.match(
    t.events.join(),
    /^fatal: .*CLUSTER_AUTHORIZATION_FAILED.*IDEMPOTENT_WRITE.*"enable.idempotence" to false\.$/,
  );
});

test("an id is asked for until the brokers give one, and batches that time out say why", async () => {
  const t = new SenderHarness();
  t.producerIds = [
    { errorCode: ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS },
    new TransportError("Lost."),
    { errorCode: ErrorCodes.NONE, producerId: 9n },
  ];
  await t.add(["0=a"], 100);
  await t.add(["0=b"], 10_000);
  await t.advance(100);
  assert.match(
    t.events[0]!,
    /^failed 1: .*: The brokers have not given this producer an id yet.*IN_PROGRESS/,
  );
  while (t.calls.length === 0) await t.advance(100);
  assert.deepEqual(t.call().identities, ["0: 9/0+0"]);
  assert.equal(t.idRequests, 3);
});

test("who wants to know whether there is an id is told when there is one, or that there will be none", async () => {
  const t = new SenderHarness();
  t.producerIds = [{ errorCode: ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS }, { producerId: 9n }];
  let isReady = false;
  const ready = t.sender.prepare().then(() => (isReady = true));
  await t.advance(0);
  assert.ok(!isReady);
  await t.advance(1_000);
  await ready;
  await t.sender.prepare();
  assert.equal(t.idRequests, 2);

  const refused = new SenderHarness();
  refused.producerIds = [{ errorCode: ErrorCodes.CLUSTER_AUTHORIZATION_FAILED }];
  await assert.rejects(refused.sender.prepare(), /IDEMPOTENT_WRITE/);
  await new SenderHarness({ "enable.idempotence": false }).sender.prepare();
});
