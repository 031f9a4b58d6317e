import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { KafkaConsumerConfig, KafkaProducerConfig } from "../../src/kafka/config.ts";
import { KafkaConsumer } from "../../src/kafka/consumer.ts";
import { KafkaProducer } from "../../src/kafka/producer.ts";
import { silentLogger, type Logger } from "../../src/logger.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Partition } from "../../src/message/partition.ts";
import { Topic } from "../../src/message/topic.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { RecordingMetrics } from "../../src/testing/recording-metrics.ts";
import { SASL_USER, TLS, type Kafka } from "./broker.ts";
import { DEFAULT_KAFKA_VERSION } from "./kafka-jars.ts";
import { ownKafkaTest, type KafkaTest } from "./kafka-test.ts";
import { unsignedToken } from "./token.ts";

/**
 * All tests run on the version of Kafka in KAFKA_VERSION, 4.1 by default. These are the basics, and they run on the other
 * version that is supported, with a broker that is strict: it closes idle connections and wants clients' certificates.
 */
const OTHER_VERSION = DEFAULT_KAFKA_VERSION.startsWith("3.") ? "4.1.0" : "3.9.1";
const IDLE_MS = 1_500;

const OFTEN = { "heartbeat.interval.ms": 200 };
const GROUPS = [
  { ...OFTEN, "partition.assignment.strategy": "range" },
  { ...OFTEN, "partition.assignment.strategy": "cooperative-sticky" },
  { "group.protocol": "consumer" },
] as const;

class Complaints implements Logger {
  readonly lines: string[] = [];
  #told = Promise.withResolvers<void>();
  /** Once there is one. */
  get told(): Promise<void> {
    return this.#told.promise;
  }
  debug(): void {}
  info(): void {}
  warn(fields: object, message: string): void {
    this.lines.push(`${message} ${JSON.stringify(fields)}`);
    this.#told.resolve();
  }
  error(fields: object, message: string): void {
    this.warn(fields, message);
  }
}

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

function consumerOf(settings: Partial<KafkaConsumerConfig>, group: string, topic: string): KafkaConsumer {
  const consumer = new KafkaConsumer(
    { "auto.offset.reset": "earliest", ...settings, "group.id": group } as KafkaConsumerConfig,
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
  const settings = { ...plain, ...groupSettings };
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

async function authenticates(brokers: Kafka): Promise<void> {
  const password = { "sasl.username": SASL_USER.username, "sasl.password": SASL_USER.password };
  const sasl: readonly Omit<KafkaProducerConfig, "bootstrap.servers">[] = [
    { "sasl.mechanism": "PLAIN", ...password },
    { "sasl.mechanism": "SCRAM-SHA-256", ...password },
    { "sasl.mechanism": "SCRAM-SHA-512", ...password },
    { "sasl.mechanism": "OAUTHBEARER", oauthbearer_token_refresh_cb: () => unsignedToken(60_000) },
  ];
  const listeners = [
    ["SASL_PLAINTEXT", {}],
    ["SASL_SSL", { "ssl.ca.location": TLS.ca }],
  ] as const;
  await Promise.all(
    sasl.flatMap((settings) =>
      listeners.map(async ([listener, tls]) => {
        await using producer = new KafkaProducer({
          ...settings,
          ...tls,
          "bootstrap.servers": brokers.servers(listener),
          "security.protocol": listener,
        });
        await producer.connect();
      }),
    ),
  );
}

async function provesWhoItIs(brokers: Kafka): Promise<void> {
  const ssl = {
    "bootstrap.servers": brokers.servers("SSL"),
    "security.protocol": "ssl",
    "ssl.ca.location": TLS.ca,
  } as const;
  const logger = new Complaints();
  await using nobody = new KafkaProducer(ssl, { logger });
  const refused = assert.rejects(nobody.connect());
  await logger.told;
  assert.match(logger.lines.join(), /cannot be reached.*(certificate|lost)/);
  await nobody.close();
  await refused;
  await using client = new KafkaProducer({
    ...ssl,
    "ssl.certificate.location": TLS.client,
    "ssl.key.location": TLS.clientKey,
    "ssl.key.password": TLS.clientKeyPassword,
  });
  await client.connect();
}

async function sleepsAndWakes(kafka: KafkaTest): Promise<void> {
  const topic = await kafka.createTopic({ partitions: 1 });
  const logger = new Complaints();
  const metrics = new RecordingMetrics();
  const allClosed = Promise.withResolvers<void>();
  let isIdle = false;
  await using producer = new KafkaProducer(
    { "bootstrap.servers": kafka.bootstrapServers, "statistics.interval.ms": 100 },
    {
      logger,
      metrics,
      onStatistics({ brokers }) {
        if (isIdle && brokers.every(({ connects, disconnects }) => connects === disconnects)) {
          allClosed.resolve();
        }
      },
    },
  );
  await producer.produce(topic, new KafkaPayload(null, "before"));
  isIdle = true;
  await allClosed.promise;
  await producer.produce(topic, new KafkaPayload(null, "after"));
  assert.equal(metrics.count(MetricName.PRODUCER_RETRIES), 0);
  assert.deepEqual(logger.lines, []);
}

ownKafkaTest(
  `Kafka ${OTHER_VERSION}: the basics, with a broker that closes idle connections and wants clients' certificates`,
  {
    version: OTHER_VERSION,
    properties: {
      "connections.max.idle.ms": String(IDLE_MS),
      "listener.name.ssl.ssl.client.auth": "required",
    },
  },
  async (kafka, brokers, t) => {
    const subtest = async (name: string, run: (t: TestContext) => Promise<void>): Promise<void> =>
      await t.test(name, run);
    for (const settings of GROUPS) {
      const name = String(Object.values<unknown>(settings).at(-1));
      await subtest(`two members share a topic and hand it over: ${name}`, () =>
        sharesAndHandsOver(kafka, settings),
      );
    }
    await subtest("what is produced with each compression comes back", () => everyCompression(kafka));
    await subtest("authenticates in each way", () => authenticates(brokers));
    await subtest("proves who it is with a certificate, where that is asked for", () =>
      provesWhoItIs(brokers),
    );
    await subtest("an idle connection that was closed is made anew without a word", () =>
      sleepsAndWakes(kafka),
    );
  },
  { timeout: 240_000 },
);
