import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { BrokerConnection } from "../../src/kafka/client/connection.ts";
import { resolveSecurity } from "../../src/kafka/client/security.ts";
import type { KafkaProducerConfig } from "../../src/kafka/config.ts";
import { KafkaConsumer } from "../../src/kafka/consumer.ts";
import { KafkaProducer } from "../../src/kafka/producer.ts";
import { silentLogger, type Logger } from "../../src/logger.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { RecordingMetrics } from "../../src/testing/recording-metrics.ts";
import { SASL_USER, TLS, type Kafka } from "./broker.ts";
import { clientConfig } from "./client/client-config.ts";
import { DEFAULT_KAFKA_VERSION } from "./kafka-jars.ts";
import { ownKafkaTest, type KafkaTest } from "./kafka-test.ts";
import { unsignedToken } from "./token.ts";

/**
 * All tests run on the version of Kafka in KAFKA_VERSION, 4.1 by default. These are the basics, and they run on the other
 * version that is supported, with a broker that is strict: it closes idle connections and wants clients' certificates.
 */
const OTHER_VERSION = DEFAULT_KAFKA_VERSION.startsWith("3.") ? "4.1.0" : "3.9.1";
const IDLE_MS = 1_500;

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

async function read(kafka: KafkaTest, topic: string, group: string, count: number): Promise<string[]> {
  await using consumer = new KafkaConsumer(
    { "bootstrap.servers": kafka.bootstrapServers, "group.id": group, "auto.offset.reset": "earliest" },
    { logger: silentLogger },
  );
  consumer.subscribe([Topic.of(topic)]);
  const seen: string[] = [];
  while (seen.length < count) {
    for (const message of await consumer.poll({ timeoutMs: 1_000 })) {
      seen.push(String(message.payload.value));
      consumer.stageOffsets(new Map([[message.partition, message.offset + 1]]));
    }
    await consumer.commitOffsets();
  }
  return seen;
}

async function producesConsumesAndCommits(kafka: KafkaTest): Promise<void> {
  await Promise.all(
    (["none", "gzip", "zstd"] as const).map(async (type) => {
      const topic = await kafka.createTopic({ partitions: 1 });
      await using producer = new KafkaProducer({
        "bootstrap.servers": kafka.bootstrapServers,
        "compression.type": type,
      });
      const produce = (value: string): Promise<unknown> =>
        producer.produce(topic, new KafkaPayload(null, value));
      await Promise.all(["1", "2", "3"].map(produce));
      const group = kafka.name("group");
      assert.deepEqual(await read(kafka, topic, group, 3), ["1", "2", "3"]);
      await produce("4");
      assert.deepEqual(await read(kafka, topic, group, 1), ["4"]);
    }),
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

/** The broker has closed every connection that was idle before this was called. */
async function untilIdleAreClosed(kafka: KafkaTest): Promise<void> {
  const config = clientConfig(kafka.bootstrapServers);
  const ended = Promise.withResolvers<void>();
  const connection = new BrokerConnection(
    { nodeId: -1, ...config["bootstrap.servers"][0]! },
    {
      clock: systemClock,
      clientId: "test",
      security: resolveSecurity(config),
      connectTimeoutMs: 30_000,
      maxResponseBytes: 1_000_000,
      onEnd: () => ended.resolve(),
    },
  );
  await connection.open();
  await ended.promise;
}

async function sleepsAndWakes(kafka: KafkaTest): Promise<void> {
  const topic = await kafka.createTopic({ partitions: 1 });
  const logger = new Complaints();
  const metrics = new RecordingMetrics();
  await using producer = new KafkaProducer(
    { "bootstrap.servers": kafka.bootstrapServers },
    { logger, metrics },
  );
  await producer.produce(topic, new KafkaPayload(null, "before"));
  await untilIdleAreClosed(kafka);
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
    await subtest("produces, consumes and commits", () => producesConsumesAndCommits(kafka));
    await subtest("authenticates in each way", () => authenticates(brokers));
    await subtest("proves who it is with a certificate, where that is asked for", () =>
      provesWhoItIs(brokers),
    );
    await subtest("an idle connection that was closed is made anew without a word", () =>
      sleepsAndWakes(kafka),
    );
  },
);
