import assert from "node:assert/strict";
import { KafkaConsumer } from "../../../src/kafka/consumer.ts";
import type { KafkaConsumerConfig } from "../../../src/kafka/config.ts";
import { silentLogger } from "../../../src/logger.ts";
import { Partition } from "../../../src/message/partition.ts";
import { Topic } from "../../../src/message/topic.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { EngineDriver } from "./engine-driver.ts";

function configFor(kafka: KafkaTest, more: Partial<KafkaConsumerConfig> = {}): KafkaConsumerConfig {
  return {
    "bootstrap.servers": kafka.bootstrapServers,
    "group.id": kafka.name("group"),
    "auto.offset.reset": "earliest",
    ...more,
  } as KafkaConsumerConfig;
}

kafkaTest("closing does not wait for a main thread that has not heard of its loss yet", async (kafka) => {
  const topic = await kafka.createTopic();
  await using engine = new EngineDriver(
    configFor(kafka, {
      "session.timeout.ms": 1_000,
      "heartbeat.interval.ms": 200,
      "max.poll.interval.ms": 1_000,
    }),
  );
  engine.send({ type: "subscribe", subscription: { topics: [topic] } });
  await engine.next("assigned");
  assert.equal(engine.vitals.member, "member");
  // Nobody polls.
  await engine.next("lost");
  assert.equal(engine.vitals.member, "expelled");
  const startedMs = performance.now();
  engine.send({ type: "close", timeoutMs: 20_000 });
  await engine.next("closed");
  assert.ok(performance.now() - startedMs < 5_000);
});

kafkaTest("unsubscribing from a topic that is not there forgets it", async (kafka) => {
  const topic = await kafka.createTopic();
  await using engine = new EngineDriver(configFor(kafka));
  const startedMs = performance.now();
  engine.send({ type: "subscribe", subscription: { topics: [kafka.name("missing")] } });
  engine.send({ type: "unsubscribe" });
  engine.send({ type: "subscribe", subscription: { topics: [topic] } });
  const { partitions } = await engine.next("assigned");
  assert.deepEqual(
    partitions.map((partition) => partition.topic),
    [topic],
  );
  assert.ok(performance.now() - startedMs < 8_000, "it did not wait for the missing topic's grace");
  assert.equal(engine.has("fatal"), false);
});

kafkaTest('an offset out of range is told as one when "auto.offset.reset" is "error"', async (kafka) => {
  const topic = await kafka.createTopic();
  const group = kafka.name("group");
  {
    await using consumer = new KafkaConsumer(configFor(kafka, { "group.id": group }), {
      logger: silentLogger,
    });
    consumer.subscribe([new Topic(topic)]);
    while (consumer.tell().size === 0) await consumer.poll({ timeoutMs: 100 });
    consumer.stageOffsets(new Map([[Partition.of(topic, 0), 50]]));
    await consumer.commitOffsets();
  }
  await using engine = new EngineDriver(
    configFor(kafka, {
      "group.id": group,
      "auto.offset.reset": "error",
      "arroyo.strict.offset.reset": false,
    }),
  );
  engine.send({ type: "subscribe", subscription: { topics: [topic] } });
  const { partitions } = await engine.next("assigned");
  assert.equal(partitions[0]?.offset, 50);
  engine.send({ type: "fetch", positions: partitions.map((partition) => ({ ...partition, epoch: 1 })) });
  const { index, offset } = await engine.next("outOfRange");
  assert.deepEqual([index, offset], [0, 50]);
});
