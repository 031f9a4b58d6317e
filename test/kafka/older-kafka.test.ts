import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { silentLogger } from "../../src/logger.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Partition } from "../../src/message/partition.ts";
import { Topic } from "../../src/message/topic.ts";
import { KafkaConsumer, type KafkaConsumerConfig } from "../../src/kafka/index.ts";
import type { KafkaProducerConfig } from "../../src/kafka/config.ts";
import { KafkaProducer } from "../../src/kafka/producer.ts";
import { SASL_USER, TLS, type Kafka, type Listener } from "./broker.ts";
import { ownKafkaTest, type KafkaTest } from "./kafka-test.ts";
import { unsignedToken } from "./token.ts";

/**
 * What every user needs, on the last Kafka before 4.0: it has older versions of nearly every request. All the other tests
 * are for the newest; `KAFKA_VERSION=3.9.1 npm test` runs them on this one.
 */

const VERSION = "3.9.1";

type Settings = Omit<KafkaConsumerConfig & KafkaProducerConfig, "bootstrap.servers" | "group.id"> & {
  "bootstrap.servers": string;
};

/** Polls until so many messages have come, and stages the offset of each. */
async function take(consumer: KafkaConsumer, count: number): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) {
    for (const message of await consumer.poll({ timeoutMs: 200, maxMessages: count - texts.length })) {
      texts.push(`${message.partition?.index}:${message.payload.text()}`);
      consumer.stageOffsets(message.committable);
    }
  }
  return texts;
}

function consumerOf(settings: Settings, group: string, topic: string): KafkaConsumer {
  const consumer = new KafkaConsumer(
    { "auto.offset.reset": "earliest", ...settings, "group.id": group },
    { logger: silentLogger },
  );
  consumer.subscribe([new Topic(topic)]);
  return consumer;
}

/** Polls both until each has a partition and neither has two. */
async function untilShared(...consumers: readonly KafkaConsumer[]): Promise<void> {
  while (consumers.some((consumer) => consumer.tell().size !== 1)) {
    await Promise.all(consumers.map((consumer) => consumer.poll({ timeoutMs: 50 })));
  }
}

/** A group of two, in which the first takes over what the second has committed. */
async function sharesAndHandsOver(
  kafka: KafkaTest,
  groupSettings: Partial<KafkaConsumerConfig>,
): Promise<void> {
  const plain = { "bootstrap.servers": kafka.bootstrapServers };
  const settings = { ...plain, ...groupSettings } as Settings;
  const topic = await kafka.createTopic({ partitions: 2 });
  const group = kafka.name("group");
  await using producer = new KafkaProducer(plain, { logger: silentLogger });
  const produce = (index: number, value: string): Promise<unknown> =>
    producer.produce(Partition.of(topic, index), new KafkaPayload(null, value));

  await using one = consumerOf(settings, group, topic);
  const other = consumerOf(settings, group, topic);
  await untilShared(one, other);
  await Promise.all([produce(0, "a"), produce(1, "a")]);
  const [ofOne, ofOther] = await Promise.all([take(one, 1), take(other, 1)]);
  assert.deepEqual([...ofOne, ...ofOther].toSorted(), ["0:a", "1:a"]);
  await Promise.all([one.commitOffsets(), other.commitOffsets()]);
  assert.deepEqual(
    await kafka.committedOffsets(group, topic),
    new Map([
      [0, 1],
      [1, 1],
    ]),
  );

  await other.close();
  while (one.tell().size !== 2) await one.poll({ timeoutMs: 50 });
  await Promise.all([produce(0, "b"), produce(1, "b")]);
  assert.deepEqual((await take(one, 2)).toSorted(), ["0:b", "1:b"]);
}

async function everyCompression(kafka: KafkaTest): Promise<void> {
  const types = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
  const topic = await kafka.createTopic({ partitions: types.length });
  const settings = { "bootstrap.servers": kafka.bootstrapServers };
  const values = types.map((type) =>
    Array.from({ length: 50 }, (_, at) => `${type} ${at} ${"x".repeat(100)}`),
  );
  await Promise.all(
    types.map(async (type, index) => {
      await using producer = new KafkaProducer(
        { ...settings, "compression.type": type },
        { logger: silentLogger },
      );
      const partition = Partition.of(topic, index);
      await Promise.all(
        values[index]!.map((value) => producer.produce(partition, new KafkaPayload(null, value))),
      );
    }),
  );
  await using consumer = consumerOf(settings, kafka.name("group"), topic);
  const texts = await take(consumer, values.flat().length);
  values.forEach((sent, index) =>
    assert.deepEqual(
      texts.filter((text) => text.startsWith(`${index}:`)),
      sent.map((value) => `${index}:${value}`),
    ),
  );
}

function secured(brokers: Kafka): Settings[] {
  const at = (listener: Listener, protocol: KafkaConsumerConfig["security.protocol"]): Settings => ({
    "bootstrap.servers": brokers.servers(listener),
    "security.protocol": protocol,
  });
  const tls = { ...at("SASL_SSL", "sasl_ssl"), "ssl.ca.location": TLS.ca };
  const password = { "sasl.username": SASL_USER.username, "sasl.password": SASL_USER.password };
  return [
    {
      ...at("SSL", "ssl"),
      "ssl.ca.location": TLS.ca,
      "ssl.certificate.location": TLS.client,
      "ssl.key.location": TLS.clientKey,
      "ssl.key.password": TLS.clientKeyPassword,
    },
    { ...at("SASL_PLAINTEXT", "sasl_plaintext"), ...password, "sasl.mechanism": "PLAIN" },
    { ...at("SASL_PLAINTEXT", "sasl_plaintext"), ...password, "sasl.mechanism": "SCRAM-SHA-256" },
    { ...tls, ...password, "sasl.mechanism": "SCRAM-SHA-512" },
    {
      ...tls,
      "sasl.mechanism": "OAUTHBEARER",
      oauthbearer_token_refresh_cb: () => unsignedToken(60_000),
    },
  ];
}

const older = async (kafka: KafkaTest, brokers: Kafka, t: TestContext): Promise<void> => {
  const often = { "heartbeat.interval.ms": 200 };
  for (const settings of [
    { ...often, "partition.assignment.strategy": "range" },
    { ...often, "partition.assignment.strategy": "cooperative-sticky" },
    { "group.protocol": "consumer" },
  ] as const) {
    await t.test(`two members share a topic and hand it over: ${Object.values(settings).at(-1)}`, () =>
      sharesAndHandsOver(kafka, settings),
    );
  }
  await t.test("what is produced with each compression comes back", () => everyCompression(kafka));
  await t.test("TLS with a client certificate, and every SASL mechanism", async () => {
    await Promise.all(
      secured(brokers).map(async (settings) => {
        const topic = await kafka.createTopic();
        await using producer = new KafkaProducer(settings, { logger: silentLogger });
        await producer.produce(topic, new KafkaPayload(null, "secured"));
        await using consumer = consumerOf(settings, kafka.name("group"), topic);
        assert.deepEqual(await take(consumer, 1), ["0:secured"]);
        await consumer.commitOffsets();
      }),
    );
  });
};

ownKafkaTest(`Kafka ${VERSION}`, { version: VERSION }, older, { timeout: 240_000 });
