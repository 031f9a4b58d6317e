import assert from "node:assert/strict";
import { KafkaConsumer, KafkaPayload, KafkaProducer } from "../../src/kafka/index.ts";
import type { LogFields, Logger } from "../../src/logger.ts";
import { Topic } from "../../src/message/topic.ts";
import { kafkaTest } from "./kafka-test.ts";
import { KafkaProxy } from "./proxy.ts";

/** An outage of hours, as far as the number of tries is concerned. */
const TRIES = 100;

kafkaTest("brokers that are away for a hundred tries are a handful of lines", async (kafka) => {
  await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
  const topic = await kafka.createTopic({ partitions: 8 });
  const lines: string[] = [];
  const note =
    (level: string) =>
    (_fields: LogFields, message: string): void =>
      void lines.push(`${level}: ${message}`);
  const logger: Logger = { debug: () => {}, info: note("info"), warn: note("warn"), error: note("error") };
  const common = {
    "bootstrap.servers": proxy.bootstrapServers,
    "reconnect.backoff.ms": 1,
    "reconnect.backoff.max.ms": 5,
    "retry.backoff.ms": 1,
    "retry.backoff.max.ms": 5,
  };
  await using consumer = new KafkaConsumer(
    {
      ...common,
      "group.id": kafka.name("group"),
      "auto.offset.reset": "earliest",
      "heartbeat.interval.ms": 100,
      "arroyo.enable.auto.commit": true,
      "auto.commit.interval.ms": 20,
    },
    { logger },
  );
  await using producer = new KafkaProducer({ ...common, "linger.ms": 0 }, { logger });
  consumer.subscribe([Topic.of(topic)]);
  await producer.produce(topic, new KafkaPayload(null, "before"));
  while ((await consumer.poll({ timeoutMs: 1_000 })).length === 0);
  lines.length = 0;

  const { promise: triedOften, resolve } = Promise.withResolvers<void>();
  let tries = 0;
  proxy.intercept = ({ direction }) => {
    if (direction === "request" && ++tries === TRIES) resolve();
    return "cut";
  };
  proxy.cutAll();
  const produced = Array.from({ length: 50 }, (_, i) =>
    producer.produce(topic, new KafkaPayload(`${i}`, "meanwhile")),
  );
  let isOver = false;
  const polled = (async () => {
    while (!isOver) await consumer.poll({ timeoutMs: 50 });
  })();
  await triedOften;
  proxy.intercept = () => "pass";
  await Promise.all(produced);
  isOver = true;
  await polled;

  const counts = Map.groupBy(lines, (text) => text);
  // Sixteen lines. In each minute there may be ten of a kind, where the machine is so slow that connections come and go.
  assert.ok(
    lines.length <= TRIES / 2,
    [...counts].map(([text, { length }]) => `${length} ${text}`).join("\n"),
  );
  assert.ok(
    [...counts.keys()].some((text) => text.includes("cannot be reached; trying again")),
    "nothing was told",
  );
});
