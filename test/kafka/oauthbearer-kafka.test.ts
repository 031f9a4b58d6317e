import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { KafkaConsumerConfig, KafkaProducerConfig } from "../../src/kafka/config.ts";
import { KafkaConsumer } from "../../src/kafka/consumer.ts";
import { KafkaProducer } from "../../src/kafka/producer.ts";
import type { Logger } from "../../src/logger.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Partition } from "../../src/message/partition.ts";
import { Topic } from "../../src/message/topic.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { RecordingMetrics } from "../../src/testing/recording-metrics.ts";
import { SASL_USER, SHORT_SESSION_MS, TLS } from "./broker.ts";
import { KafkaTest, securedKafkaTest } from "./kafka-test.ts";
import { unsignedToken } from "./token.ts";

/** What is worth an operator's attention. */
class Complaints implements Logger {
  readonly lines: string[] = [];
  debug(): void {}
  info(): void {}
  warn(fields: object, message: string): void {
    this.lines.push(`${message} ${JSON.stringify(fields)}`);
  }
  error(fields: object, message: string): void {
    this.warn(fields, message);
  }
}

type Settings = Omit<KafkaConsumerConfig & KafkaProducerConfig, "bootstrap.servers" | "group.id"> & {
  "bootstrap.servers": string;
};

/**
 * Produces, consumes and commits through several sessions of each connection, and checks that nobody could notice. When the
 * machine stands still for longer than a session has left, a connection is lost, and that is told: once or twice is no fault.
 */
async function throughSessionsUnnoticed(
  kafka: KafkaTest,
  settings: Settings,
  signal: AbortSignal,
): Promise<void> {
  for (let left = 3; ; left--) {
    const noticed = await throughSessions(kafka, settings, signal);
    if (left > 1 && noticed.length > 0) continue;
    assert.deepEqual(noticed, []);
    return;
  }
}

/** Returns what could be noticed of the sessions' ends. */
async function throughSessions(
  kafka: KafkaTest,
  settings: Settings,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const topic = await kafka.createTopic({ partitions: 1 });
  const group = kafka.name("group");
  const logger = new Complaints();
  const metrics = new RecordingMetrics();
  await using producer = new KafkaProducer({ ...settings, "linger.ms": 1 }, { logger, metrics });
  await using consumer = new KafkaConsumer(
    { ...settings, "group.id": group, "auto.offset.reset": "earliest", "session.timeout.ms": 6_000 },
    { logger },
  );
  const assigned = Promise.withResolvers<void>();
  consumer.subscribe([Topic.of(topic)], { onAssign: () => assigned.resolve() });

  const produced: Promise<unknown>[] = [];
  let count = 0;
  let commits = 0;
  let isProducing = true;
  const producing = (async () => {
    await assigned.promise;
    const untilMs = performance.now() + 3 * SHORT_SESSION_MS;
    while (performance.now() < untilMs || commits < 10) {
      signal.throwIfAborted();
      produced.push(producer.produce(topic, new KafkaPayload(null, String(count++))));
      await delay(5);
    }
    await Promise.all(produced);
    isProducing = false;
  })();

  const seen: string[] = [];
  while (isProducing || seen.length < count) {
    signal.throwIfAborted();
    const messages = await consumer.poll({ timeoutMs: 200 });
    for (const { payload } of messages) seen.push(String(payload.value));
    const last = messages.at(-1);
    if (last === undefined) continue;
    consumer.stageOffsets(new Map([[last.partition, last.offset + 1]]));
    await consumer.commitOffsets();
    commits += 1;
  }
  await producing;

  assert.deepEqual(
    seen,
    Array.from({ length: count }, (_, index) => String(index)),
  );
  assert.equal(consumer.tell().get(Partition.of(Topic.of(topic), 0)), count);
  const retries = metrics.count(MetricName.PRODUCER_RETRIES);
  return retries === 0 ? logger.lines : [`${retries} retries`, ...logger.lines];
}

securedKafkaTest(
  "sessions that end every two seconds are noticed by nobody who consumes, commits and produces: PLAIN and OAUTHBEARER",
  async (servers, t) => {
    const kafka = new KafkaTest(servers("PLAINTEXT"));
    t.after(() => kafka.close());
    const secured = {
      "bootstrap.servers": servers("SASL_SSL"),
      "security.protocol": "sasl_ssl",
      "ssl.ca.location": TLS.ca,
    } as const;
    const arguments_: (string | undefined)[] = [];
    await Promise.all([
      throughSessionsUnnoticed(
        kafka,
        {
          ...secured,
          "sasl.mechanism": "PLAIN",
          "sasl.username": SASL_USER.username,
          "sasl.password": SASL_USER.password,
        },
        t.signal,
      ),
      throughSessionsUnnoticed(
        kafka,
        {
          ...secured,
          "sasl.mechanism": "OAUTHBEARER",
          "sasl.oauthbearer.config": "scope=orders",
          // Shorter than what was asked for in all: the first token alone would not do.
          oauthbearer_token_refresh_cb: async (argument) => {
            arguments_.push(argument);
            return await Promise.resolve(unsignedToken(2 * SHORT_SESSION_MS));
          },
        },
        t.signal,
      ),
    ]);
    // Of the producer and of the consumer: the first, and another at least.
    assert.ok(arguments_.length >= 4, `${arguments_.length} tokens`);
    assert.deepEqual([...new Set(arguments_)], ["scope=orders"]);
  },
);

securedKafkaTest(
  "a token that the broker does not take is an error that names the mechanism and the callback, and not the token",
  async (servers) => {
    const tokenValue = "bm9uc2Vuc2U.bm9uc2Vuc2U.";
    const settings = {
      "bootstrap.servers": servers("SASL_PLAINTEXT"),
      "security.protocol": "sasl_plaintext",
      "sasl.mechanism": "OAUTHBEARER",
      oauthbearer_token_refresh_cb: () => ({ tokenValue, lifetime: Date.now() + 60_000 }),
    } as const;
    const logger = new Complaints();
    const refused = (error: unknown): boolean => {
      assert.ok(error instanceof Error);
      const text = [error, error.cause].map(String).join(" ");
      assert.match(text, /refused .* with OAUTHBEARER: .*"oauthbearer_token_refresh_cb"/);
      assert.ok(!text.includes("bm9uc2"), text);
      return true;
    };
    await using producer = new KafkaProducer(settings, { logger });
    await assert.rejects(producer.connect(), refused);
    await using consumer = new KafkaConsumer({ ...settings, "group.id": "nobody" }, { logger });
    consumer.subscribe([Topic.of("nothing")]);
    await assert.rejects(async () => {
      for (;;) await consumer.poll({ timeoutMs: 1_000 });
    }, refused);
    assert.ok(!logger.lines.join().includes("bm9uc2"));
  },
);

securedKafkaTest(
  "a callback that gives no token is an error that says why, when connecting has had its time",
  async (servers) => {
    await using producer = new KafkaProducer(
      {
        "bootstrap.servers": servers("SASL_PLAINTEXT"),
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "OAUTHBEARER",
        "socket.connection.setup.timeout.ms": 5_000,
        oauthbearer_token_refresh_cb: () => {
          throw new Error("the identity provider is down");
        },
      },
      { logger: new Complaints() },
    );
    await assert.rejects(producer.connect(), (error: unknown) => {
      assert.match(
        [error, (error as Error).cause].map(String).join(" "),
        /"oauthbearer_token_refresh_cb" has given no valid token within 5000 ms: the identity provider is down/,
      );
      return true;
    });
  },
);
