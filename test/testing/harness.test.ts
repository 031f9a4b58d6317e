import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CommitOffsets,
  InvalidMessage,
  KafkaPayload,
  Partition,
  Reduce,
  RunTask,
  RunTaskConcurrently,
  pipeline,
  type BrokerMessage,
  type Message,
  type ProcessingStrategyFactory,
} from "../../src/index.ts";
import { harness } from "../../src/testing/index.ts";

const pass: ProcessingStrategyFactory<KafkaPayload> = {
  createWithPartitions: (commit) =>
    new RunTask((message: Message<KafkaPayload>) => message.payload, new CommitOffsets(commit)),
};

test("what was sent is handled, written and committed", async () => {
  await using t = await harness(
    ({ producer }) =>
      pipeline()
        .map((payload) => new KafkaPayload(payload.key, payload.text().toUpperCase()))
        .produce(producer, "shouted")
        .commit(),
    { topics: { words: 2 } },
  );
  t.send(new KafkaPayload("k", "hello"), { partition: 1 });
  t.send(new KafkaPayload("k", "world"), { partition: 1 });
  await t.settle();
  assert.deepEqual(
    t.output("shouted").map((payload) => payload.text()),
    ["HELLO", "WORLD"],
  );
  assert.deepEqual(t.committed, { "words:1": 2 });
});

test("time goes on only when it is turned: a batch is due after its time", async () => {
  const sums: number[] = [];
  await using t = await harness({
    createWithPartitions: (commit) =>
      new Reduce(
        {
          maxBatchSize: 100,
          maxBatchTimeMs: 5_000,
          initialValue: () => 0,
          accumulator: (sum: number, message: Message<KafkaPayload>) => sum + Number(message.payload.text()),
        },
        new RunTask((message: Message<number>) => void sums.push(message.payload), new CommitOffsets(commit)),
      ),
  });
  t.send(new KafkaPayload(null, "1"));
  t.send(new KafkaPayload(null, "2"));
  await t.advance(4_999);
  assert.deepEqual(sums, []);
  assert.deepEqual(t.committed, {});
  await t.advance(1);
  assert.deepEqual(sums, [3]);
  assert.deepEqual(t.committed, { "input:0": 2 });
});

test("settle names the strategy that still holds messages", async () => {
  await using t = await harness({
    createWithPartitions: (commit) =>
      new RunTaskConcurrently(
        () => new Promise<number>(() => {}),
        { concurrency: 2 },
        new CommitOffsets(commit),
      ),
  });
  t.allowHeld();
  t.send(new KafkaPayload(null, "1"));
  await assert.rejects(t.settle(), /RunTaskConcurrently still holds messages/);
});

test("a message that the first strategy finds invalid is done, whatever came before it", async () => {
  await using t = await harness(
    pipeline()
      .map((payload, message) => {
        if (payload.text() === "bad") throw InvalidMessage.from(message, { reason: "it is bad" });
      })
      .commit(),
  );
  t.send(new KafkaPayload(null, "good"));
  await t.settle();
  t.send(new KafkaPayload(null, "bad"));
  await t.settle();
  assert.deepEqual(t.committed, { "input:0": 2 });
  assert.equal(t.deadLetters[0]?.reason, "it is bad");
});

test("work that is still held at the end fails the test", async () => {
  const t = await harness({
    createWithPartitions: (commit) =>
      new RunTaskConcurrently(
        () => new Promise<number>(() => {}),
        { concurrency: 2 },
        new CommitOffsets(commit),
      ),
  });
  t.send(new KafkaPayload(null, "1"));
  await t.advance(0);
  await assert.rejects(t[Symbol.asyncDispose](), /RunTaskConcurrently still holds messages.*allowHeld/);
});

test("back-pressure from the tail loses nothing", async () => {
  const handled: string[] = [];
  await using t = await harness({
    createWithPartitions: (commit) =>
      new RunTask(
        (message: Message<KafkaPayload>) => void handled.push(message.payload.text()),
        new CommitOffsets(commit),
      ),
  });
  t.rejectNext(3);
  t.send(new KafkaPayload(null, "a"));
  t.send(new KafkaPayload(null, "b"));
  await t.advance(1_000);
  assert.deepEqual(handled, ["a", "b"]);
  assert.deepEqual(t.committed, { "input:0": 2 });
});

test("a revocation drains and commits before it resolves; the other partition goes on", async () => {
  await using t = await harness(pass, { topics: { orders: 2 } });
  t.send(new KafkaPayload(null, "a"), { partition: 0 });
  t.send(new KafkaPayload(null, "b"), { partition: 1 });
  await t.advance(0);
  await t.revoke(Partition.of("orders", 1));
  assert.deepEqual(t.committed, { "orders:0": 1, "orders:1": 1 });
  t.send(new KafkaPayload(null, "c"), { partition: 1 });
  t.send(new KafkaPayload(null, "d"), { partition: 0 });
  await t.settle();
  assert.deepEqual(t.committed, { "orders:0": 2, "orders:1": 1 });
  await t.assign(Partition.of("orders", 1));
  await t.settle();
  assert.deepEqual(t.committed, { "orders:0": 2, "orders:1": 2 });
});

test("after a crash what was not committed comes again", async () => {
  const handled: string[] = [];
  const gate = { open: false };
  await using t = await harness({
    createWithPartitions: (commit) =>
      new RunTaskConcurrently(
        async (message: Message<KafkaPayload>) => {
          handled.push(message.payload.text());
          if (!gate.open && message.payload.text() === "b") await new Promise(() => {});
        },
        { concurrency: 4 },
        new CommitOffsets(commit),
      ),
  });
  for (const value of ["a", "b", "c"]) t.send(new KafkaPayload(null, value));
  await t.advance(0);
  assert.deepEqual(t.committed, { "input:0": 1 });
  gate.open = true;
  await t.restart();
  await t.settle();
  assert.deepEqual(handled, ["a", "b", "c", "b", "c"]);
  assert.deepEqual(t.committed, { "input:0": 3 });
});

test("a lost partition commits nothing any more", async () => {
  const finish = Promise.withResolvers<void>();
  await using t = await harness({
    createWithPartitions: (commit) =>
      new RunTaskConcurrently(() => finish.promise, { concurrency: 4 }, new CommitOffsets(commit)),
  });
  t.send(new KafkaPayload(null, "a"));
  await t.advance(0);
  await t.lose(Partition.of("input", 0));
  finish.resolve();
  await t.advance(5_000);
  assert.deepEqual(t.committed, {});
});

test("failures are the test's to see: of a handler, of a delivery, of a commit", async () => {
  {
    await using t = await harness({
      createWithPartitions: (commit) =>
        new RunTask((message: BrokerMessage<KafkaPayload> | Message<KafkaPayload>) => {
          throw new Error(`cannot handle ${message.payload.text()}`);
        }, new CommitOffsets(commit)),
    });
    t.send(new KafkaPayload(null, "a"));
    assert.match(String(await t.failure()), /cannot handle a/);
  }
  {
    await using t = await harness(({ producer }) => pipeline().produce(producer, "out").commit());
    t.failProduce(new Error("no disk"));
    t.send(new KafkaPayload(null, "a"));
    assert.match(String(await t.failure()), /no disk/);
  }
  {
    await using t = await harness(pass);
    t.failCommit(new Error("no coordinator"));
    t.send(new KafkaPayload(null, "a"));
    assert.match(String(await t.failure()), /no coordinator/);
  }
  const t = await harness(pass);
  t.failCommit(new Error("nobody looked"));
  t.send(new KafkaPayload(null, "a"));
  await assert.rejects(t.settle(), /nobody looked/);
  await t[Symbol.asyncDispose]();
});

test("metrics of the run are at hand", async () => {
  await using t = await harness(pass);
  t.send(new KafkaPayload(null, "a"));
  await t.settle();
  await t.advance(2_000);
  assert.ok(t.metrics.count("arroyo.consumer.run.count") > 0);
});
