import assert from "node:assert/strict";
import { silentLogger } from "../../../src/logger.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { KafkaProducer } from "../../../src/kafka/producer.ts";
import { ownKafkaTest } from "../kafka-test.ts";
import { readAll } from "./read-all.ts";
import { checkAtLeastOnce, checkExactlyOnce, Stream } from "./stream.ts";

ownKafkaTest(
  "brokers that are killed and frozen: every acknowledged message is in the log once, and in order",
  { brokers: 3, properties: { "min.insync.replicas": "2" } },
  async (kafka, brokers) => {
    const topic = await kafka.createTopic({ partitions: 3, replicas: 3 });
    const hastyTopic = await kafka.createTopic({ partitions: 3, replicas: 3 });
    const quick = { "socket.timeout.ms": 1_000, "request.timeout.ms": 1_000 };
    // With its long timeouts this one lives on what the brokers say of each other.
    await using stream = new Stream(brokers.bootstrapServers, topic);
    await using hasty = new Stream(brokers.bootstrapServers, hastyTopic, {
      ...quick,
      "message.timeout.ms": 700,
    });
    const progress = (): Promise<unknown> => Promise.all([stream.progress(3_000), hasty.progress(3_000)]);
    await progress();
    const [first, second] = brokers.brokers;
    await first!.kill();
    await progress();
    await first!.start();
    await progress();
    await second!.pause();
    await progress();
    await second!.resume();
    await progress();
    const outcomes = await stream.stop();
    const hastyOutcomes = await hasty.stop();

    assert.ok(outcomes.every(({ offset }) => offset !== undefined));
    const records = await readAll(kafka, topic, outcomes.length, 3);
    assert.equal(records.length, outcomes.length);
    checkExactlyOnce(outcomes, records);

    assert.ok(
      hastyOutcomes.some(({ offset }) => offset === undefined),
      "its time was too short",
    );
    checkExactlyOnce(hastyOutcomes, await readAll(kafka, hastyTopic, 1, 3));
  },
  { timeout: 240_000 },
);

ownKafkaTest(
  "without idempotence, a batch that was in flight when its broker was killed is sent again",
  {},
  async (kafka, brokers) => {
    const topic = await kafka.createTopic({ partitions: 2 });
    await using stream = new Stream(brokers.bootstrapServers, topic, { "enable.idempotence": false });
    await stream.progress(3_000);
    const [broker] = brokers.brokers;
    await broker!.kill();
    const waiting = stream.producer.produce(topic, new KafkaPayload("0", "-1"));
    await broker!.start();
    await waiting;
    await stream.progress(3_000);
    const outcomes = await stream.stop();
    assert.ok(outcomes.every(({ offset }) => offset !== undefined));
    const records = await readAll(kafka, topic, outcomes.length, 2);
    checkAtLeastOnce(
      outcomes,
      records.filter(({ value }) => value !== "-1"),
    );
  },
);

ownKafkaTest("a topic that grows gets messages into its new partitions", {}, async (kafka, brokers) => {
  const topic = await kafka.createTopic();
  await using producer = new KafkaProducer(
    {
      "bootstrap.servers": brokers.bootstrapServers,
      "topic.metadata.refresh.interval.ms": 200,
      "sticky.partitioning.linger.ms": 0,
    },
    { logger: silentLogger },
  );
  await producer.produce(topic, new KafkaPayload(null, "v"));
  await kafka.admin.createPartitions({ topics: [{ name: topic, count: 4 }] });
  const used = new Set<number>();
  while (used.size < 4)
    used.add((await producer.produce(topic, new KafkaPayload(null, "v"))).partition.index);
});
