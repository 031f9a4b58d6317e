import assert from "node:assert/strict";
import { addOffsetsToTxnV3, endTxnV3, txnOffsetCommitV3 } from "@platformatic/kafka";
import { libraryApi } from "./library-api.ts";
import type { Api } from "../../../src/kafka/client/api.ts";
import { InitProducerId } from "../../../src/kafka/client/apis.ts";
import { fetchCommitted } from "../../../src/kafka/client/offset-store.ts";
import { KafkaConsumer } from "../../../src/kafka/consumer.ts";
import { silentLogger } from "../../../src/logger.ts";
import { Partition } from "../../../src/message/partition.ts";
import { Topic } from "../../../src/message/topic.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { RealFetch, testProducer, type Compression } from "./real-fetch.ts";

type TestProducer = ReturnType<typeof testProducer>;
type Transaction = Awaited<ReturnType<TestProducer["beginTransaction"]>>;

/** Producers of a test, closed at its end. */
class Writers implements AsyncDisposable {
  readonly #kafka: KafkaTest;
  readonly #topic: string;
  readonly #compression: Compression;
  readonly #producers: TestProducer[] = [];

  constructor(kafka: KafkaTest, topic: string, compression: Compression = "none") {
    this.#kafka = kafka;
    this.#topic = topic;
    this.#compression = compression;
  }

  make(transactional = true): TestProducer {
    const { bootstrapServers } = this.#kafka;
    const producer = testProducer(bootstrapServers, transactional ? this.#kafka.name("tx") : undefined);
    this.#producers.push(producer);
    return producer;
  }

  async write(by: TestProducer | Transaction, ...values: readonly string[]): Promise<void> {
    await by.send({
      compression: this.#compression,
      messages: values.map((value) => ({ topic: this.#topic, partition: 0, value })),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const producer of this.#producers) await producer.close();
  }
}

const values = (fetch: RealFetch): string[] =>
  fetch.messages(0).map((message) => message.slice(message.indexOf(":") + 1));

for (const compression of ["none", "lz4"] as const) {
  kafkaTest(
    `of transactions that cross, only the committed ones are read, in one answer or in many (${compression})`,
    async (kafka) => {
      const topic = await kafka.createTopic();
      await using writers = new Writers(kafka, topic, compression);
      const [one, two, plain] = [writers.make(), writers.make(), writers.make(false)];
      const first = await one.beginTransaction();
      await writers.write(first, "a-gone-1", "a-gone-2");
      const other = await two.beginTransaction();
      await writers.write(other, "b-kept-1");
      await writers.write(plain, "plain-1");
      await writers.write(first, "a-gone-3");
      await first.abort();
      const second = await one.beginTransaction();
      await writers.write(second, "a-gone-4");
      await writers.write(other, "b-kept-2");
      await second.abort();
      const third = await one.beginTransaction();
      await writers.write(third, "a-kept-1");
      await writers.write(plain, "plain-2");
      await other.commit();
      await writers.write(third, "a-kept-2");
      await third.commit();
      const last = await two.beginTransaction();
      await writers.write(last, "b-gone-1");
      await last.abort();

      // Eleven records, and a marker for each of five transactions.
      const end = 16;
      const kept = ["b-kept-1", "plain-1", "b-kept-2", "a-kept-1", "plain-2", "a-kept-2"];
      // One batch an answer: markers come in later answers than what they end.
      for (const bytes of [1_048_576, 1]) {
        await using fetch = new RealFetch(kafka.bootstrapServers, { "max.partition.fetch.bytes": bytes });
        await fetch.startAll(topic);
        await fetch.until("the last marker", () => fetch.positions.get(0) === end);
        assert.deepEqual(values(fetch), kept, `${bytes} bytes an answer`);
      }
      // From the middle of a transaction that was aborted.
      await using middle = new RealFetch(kafka.bootstrapServers);
      const [partition] = await middle.know(topic);
      middle.fetcher.start([{ ...partition!, offset: 1, leaderEpoch: -1, epoch: 1 }]);
      await middle.until("the last marker", () => middle.positions.get(0) === end);
      assert.deepEqual(values(middle), kept);
      await using everything = new RealFetch(kafka.bootstrapServers, {
        "isolation.level": "read_uncommitted",
      });
      await everything.startAll(topic);
      await everything.until("the last marker", () => everything.positions.get(0) === end);
      assert.equal(values(everything).length, kept.length + 5);
    },
  );
}

kafkaTest("what an open transaction has begun is the end, until it is committed", async (kafka) => {
  const topic = await kafka.createTopic();
  await using writers = new Writers(kafka, topic);
  const [producer, plain] = [writers.make(), writers.make(false)];
  await writers.write(plain, "before");
  const transaction = await producer.beginTransaction();
  await writers.write(transaction, "in");
  await writers.write(plain, "after");
  await using fetch = new RealFetch(kafka.bootstrapServers);
  await using all = new RealFetch(kafka.bootstrapServers, { "isolation.level": "read_uncommitted" });
  const partitions = await fetch.know(topic);
  await all.know(topic);
  assert.equal((await fetch.reset(partitions)).get(`${topic}:0`)?.offset, 1);
  assert.equal((await all.reset(partitions)).get(`${topic}:0`)?.offset, 3);
  await Promise.all([fetch.startAll(topic), all.startAll(topic)]);
  await all.until("all records", () => all.messages(0).length === 3);
  await fetch.until("the end", () => fetch.positions.get(0) === 1);
  assert.equal(fetch.records.at(-1)?.highWatermark, 1, "what is open is not behind us");
  assert.deepEqual(fetch.messages(0), ["0:before"]);
  await transaction.commit();
  await fetch.until("the rest", () => fetch.positions.get(0) === 4);
  assert.deepEqual(fetch.messages(0), ["0:before", "1:in", "2:after"]);
});

kafkaTest("a group that has read a topic to its end has no lag, though markers lie there", async (kafka) => {
  const topic = await kafka.createTopic();
  await using writers = new Writers(kafka, topic);
  const producer = writers.make();
  const end = async (how: "commit" | "abort", ...texts: readonly string[]): Promise<void> => {
    const transaction = await producer.beginTransaction();
    await writers.write(transaction, ...texts);
    await transaction[how]();
  };
  const group = kafka.name("group");
  await using watcher = new RealFetch(kafka.bootstrapServers);
  await watcher.know(topic);
  const { signal } = new AbortController();
  const partition = Partition.of(topic, 0);
  /** Polls until the group's committed offset is this one. */
  const consumed = async (consumer: KafkaConsumer, offset: number): Promise<string[]> => {
    const read: string[] = [];
    for (;;) {
      for (const message of await consumer.poll({ timeoutMs: 200 })) {
        read.push(message.payload.text());
        consumer.stageOffsets(new Map([[partition, message.nextOffset]]));
      }
      const committed = await consumer.commitOffsets();
      for (const at of committed.values()) assert.ok(at < offset, "as it was staged");
      const at = (
        await fetchCommitted(watcher.cluster, { groupId: group }, [{ topic, index: 0 }], signal)
      ).get(`${topic}:0`);
      if (at?.offset !== offset) continue;
      assert.equal(at.leaderEpoch, 0, "the epoch of the record before it is committed, too");
      return read;
    }
  };
  const open = (): KafkaConsumer => {
    const consumer = new KafkaConsumer(
      { "bootstrap.servers": kafka.bootstrapServers, "group.id": group, "auto.offset.reset": "earliest" },
      { logger: silentLogger },
    );
    consumer.subscribe([new Topic(topic)]);
    return consumer;
  };
  await end("commit", "one", "two");
  {
    await using consumer = open();
    assert.deepEqual(await consumed(consumer, 3), ["one", "two"]);
    await end("abort", "gone");
    assert.deepEqual(await consumed(consumer, 5), []);
  }
  await end("abort", "gone", "gone");
  // Nothing is delivered to this one, so nobody commits but itself.
  await using another = open();
  assert.deepEqual(await consumed(another, 8), []);
});

kafkaTest("offsets that an open transaction is about to commit are waited for", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  const [transactionalId, groupId] = [kafka.name("tx"), kafka.name("group")];
  await using writers = new Writers(kafka, topic);
  // Both coordinators are there after this, also on a broker that has just started.
  const first = await writers.make().beginTransaction();
  await writers.write(first, "first");
  await first.commit();
  await using fetch = new RealFetch(kafka.bootstrapServers);
  const [one, two] = await fetch.know(topic);
  await fetchCommitted(fetch.cluster, { groupId }, [one!], AbortSignal.timeout(30_000));
  const { nodeId } = fetch.cluster.leader(topic, 0)!;
  const connection = await fetch.cluster.connection(nodeId, "metadata");
  const send = async <Request extends unknown[], Response>(
    api: Api<Request, Response>,
    ...request: Request
  ): Promise<Response> => {
    for (;;) {
      const response = await connection.request(api, request, { timeoutMs: 10_000 });
      // Until the broker is done with what was asked before.
      const { errorCode = 0 } = response as { readonly errorCode?: number };
      if (errorCode === 0) return response;
    }
  };
  const { producerId, producerEpoch } = await send(InitProducerId, {
    transactionalId,
    transactionTimeoutMs: 60_000,
    producerId: -1n,
    producerEpoch: -1,
  });
  await send(libraryApi("AddOffsetsToTxn", addOffsetsToTxnV3), [
    transactionalId,
    producerId,
    producerEpoch,
    groupId,
  ]);
  const committed = { committedLeaderEpoch: 0, committedMetadata: null };
  const { topics } = await send(libraryApi("TxnOffsetCommit", txnOffsetCommitV3), [
    transactionalId,
    groupId,
    producerId,
    producerEpoch,
    -1,
    "",
    null,
    [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset: 7n, ...committed }] }],
  ]);
  assert.deepEqual(
    topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
    [0],
  );
  const answered: number[] = [];
  const offsets = fetchCommitted(fetch.cluster, { groupId }, [one!, two!], AbortSignal.timeout(30_000), {
    found: (partitions) => answered.push(...partitions.map(({ index }) => index)),
  });
  while (answered.length === 0)
    await fetchCommitted(fetch.cluster, { groupId }, [two!], AbortSignal.timeout(30_000));
  assert.deepEqual(answered, [1], "the other partition need not wait");
  await send(libraryApi("EndTxn", endTxnV3), [transactionalId, producerId, producerEpoch, true]);
  assert.deepEqual([...(await offsets)], [[`${topic}:0`, { offset: 7, leaderEpoch: 0 }]]);
});
