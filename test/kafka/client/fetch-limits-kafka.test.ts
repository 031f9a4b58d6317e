import assert from "node:assert/strict";
import { RecordDecoder } from "../../../src/kafka/records/record-decoder.ts";
import type { BrokerMessage } from "../../../src/message/message.ts";
import { Partition } from "../../../src/message/partition.ts";
import type { KafkaPayload } from "../../../src/message/payload.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { RealFetch, testProducer } from "./real-fetch.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Writes batches of one record of so many bytes to each partition. */
async function write(
  kafka: KafkaTest,
  topic: string,
  partitions: number,
  batches: number,
  bytes: number,
): Promise<void> {
  const producer = testProducer(kafka.bootstrapServers);
  try {
    for (const batch of range(batches)) {
      await producer.send({
        messages: range(partitions).map((partition) => ({
          topic,
          partition,
          value: String(batch % 10).repeat(bytes),
        })),
      });
    }
  } finally {
    await producer.close();
  }
}

kafkaTest('a broker waits for "fetch.min.bytes", but no longer than "fetch.wait.max.ms"', async (kafka) => {
  const topic = await kafka.createTopic();
  const waiting = async (waitMaxMs: number): Promise<RealFetch> => {
    const fetch = new RealFetch(kafka.bootstrapServers, {
      "fetch.min.bytes": 50_000,
      "fetch.wait.max.ms": waitMaxMs,
    });
    await fetch.startAll(topic);
    return fetch;
  };
  await using short = await waiting(1_500);
  await short.until("the end", () => short.progress.length > 0);
  await write(kafka, topic, 1, 1, 1_000);
  await short.until("a little", () => short.positions.get(0) === 1);
  assert.ok(short.answers.at(-1)!.ms >= 1_400, "it was waited for more");

  // It is not the end of this wait that brings them: it is longer than the test.
  await using long = await waiting(300_000);
  await write(kafka, topic, 1, 1, 60_000);
  await long.until("enough", () => long.positions.get(0) === 2);
});

kafkaTest('"max.partition.fetch.bytes" and "fetch.max.bytes" bound what an answer brings', async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 3 });
  await write(kafka, topic, 3, 12, 10_000);
  const read = async (config: ConstructorParameters<typeof RealFetch>[1]): Promise<RealFetch> => {
    await using fetch = new RealFetch(kafka.bootstrapServers, config);
    await fetch.startAll(topic);
    await fetch.until("all records", () => range(3).every((index) => fetch.positions.get(index) === 12));
    return fetch;
  };
  const largest = (numbers: readonly number[]): number => Math.max(...numbers);
  const perPartition = await read({ "max.partition.fetch.bytes": 35_000 });
  const sizes = perPartition.records.map(({ bytes }) => bytes);
  assert.ok(largest(sizes) <= 35_000 && largest(sizes) > 25_000, `${largest(sizes)} of one partition`);
  const perAnswer = await read({ "fetch.max.bytes": 55_000 });
  const bodies = perAnswer.answers.map(({ bytes }) => bytes);
  assert.ok(largest(bodies) <= 55_000 && largest(bodies) > 45_000, `${largest(bodies)} in all`);
});

kafkaTest(
  "partitions of one broker come on side by side, though an answer has room for one",
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: 4 });
    await write(kafka, topic, 4, 40, 10_000);
    await using fetch = new RealFetch(kafka.bootstrapServers, { "fetch.max.bytes": 41_000 });
    await fetch.startAll(topic);
    const all = (): boolean => range(4).every((index) => fetch.positions.get(index) === 40);
    await fetch.until("all records", all);
    const at = new Map(range(4).map((index) => [index, 0]));
    for (const { index, nextOffset } of fetch.records) {
      at.set(index, nextOffset);
      const positions = [...at.values()];
      assert.ok(Math.max(...positions) - Math.min(...positions) <= 8, `${positions.join(" ")}`);
    }
  },
);

kafkaTest(
  'a batch above "receive.message.max.bytes" fails its partition alone, and says so',
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: 2, configs: { "max.message.bytes": "4000000" } });
    await write(kafka, topic, 1, 1, 2_000_000);
    const producer = testProducer(kafka.bootstrapServers);
    await producer.send({ messages: [{ topic, partition: 1, value: "well" }] });
    await producer.close();
    await using fetch = new RealFetch(kafka.bootstrapServers, {
      "fetch.max.bytes": 1_000_000,
      "receive.message.max.bytes": 1_000_512,
    });
    await fetch.startAll(topic);
    await fetch.until("the failure", () => fetch.failed.length > 0);
    assert.equal(fetch.failed[0]?.index, 0);
    assert.match(fetch.failed[0].error.message, /larger than "receive\.message\.max\.bytes" \(1000512\)/);
    await fetch.until("the other partition", () => fetch.positions.get(1) === 1);
    assert.equal(fetch.failed.length, 1);
  },
);

kafkaTest("where the broker gives the time, every message has the broker's", async (kafka) => {
  const topic = await kafka.createTopic({ configs: { "message.timestamp.type": "LogAppendTime" } });
  const startedMs = Date.now();
  const producer = testProducer(kafka.bootstrapServers);
  await producer.send({
    messages: range(3).map((index) => ({ topic, partition: 0, value: String(index), timestamp: 1_000n })),
  });
  await producer.close();
  await using fetch = new RealFetch(kafka.bootstrapServers);
  await fetch.startAll(topic);
  await fetch.until("the records", () => fetch.positions.get(0) === 3);
  const messages: BrokerMessage<KafkaPayload>[] = [];
  for (const fetched of fetch.records) new RecordDecoder(Partition.of(topic, 0), fetched).next(10, messages);
  assert.equal(messages.length, 3);
  for (const { timestampMs } of messages) {
    const ms = Number(timestampMs);
    assert.ok(ms >= startedMs - 60_000 && ms <= Date.now() + 60_000, `${ms}`);
  }
});
