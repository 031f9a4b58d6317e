import assert from "node:assert/strict";
import type { LogFields, Logger } from "../../../src/logger.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { Topic } from "../../../src/message/topic.ts";
import { KafkaConsumer } from "../../../src/kafka/consumer.ts";
import { KafkaProducer } from "../../../src/kafka/producer.ts";
import { kafkaTest, ownKafkaTest } from "../kafka-test.ts";
import { ApiKeys, KafkaProxy } from "../proxy.ts";

const API_VERSIONS = 18;

/** A logger, and what an operator would read of it. */
function recorder(): { readonly logger: Logger; readonly warnings: string[]; readonly errors: string[] } {
  const [warnings, errors]: [string[], string[]] = [[], []];
  const note = (lines: string[]) => (fields: LogFields, message: string) =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  return {
    logger: { debug: () => {}, info: () => {}, warn: note(warnings), error: note(errors) },
    warnings,
    errors,
  };
}

/** Produces messages with the next numbers, and waits until the consumer has them: each once, and in order. */
class Numbers {
  readonly #producer: KafkaProducer;
  readonly #consumer: KafkaConsumer;
  readonly #topic: string;
  #produced = 0;
  #consumed = 0;

  constructor(producer: KafkaProducer, consumer: KafkaConsumer, topic: string) {
    this.#producer = producer;
    this.#consumer = consumer;
    this.#topic = topic;
  }

  async pass(count: number): Promise<void> {
    const sent = Array.from({ length: count }, () =>
      this.#producer.produce(this.#topic, new KafkaPayload(null, String(this.#produced++))),
    );
    const taken = this.#take();
    await Promise.all(sent);
    await taken;
  }

  async #take(): Promise<void> {
    while (this.#consumed < this.#produced) {
      for (const message of await this.#consumer.poll({ timeoutMs: 200 })) {
        assert.equal(message.payload.text(), String(this.#consumed));
        this.#consumed += 1;
        this.#consumer.stageOffsets(message.committable);
      }
    }
    await this.#consumer.commitOffsets();
  }
}

kafkaTest(
  "when every broker is somewhere else, a consumer and a producer find them through the bootstrap servers",
  async (kafka) => {
    const topic = await kafka.createTopic();
    const group = kafka.name("group");
    await using before = await KafkaProxy.start(kafka.bootstrapServers);
    await using after = await KafkaProxy.start(kafka.bootstrapServers);
    after.intercept = () => "cut";
    const servers = { "bootstrap.servers": `${before.bootstrapServers},${after.bootstrapServers}` };
    const { logger, errors } = recorder();
    await using producer = new KafkaProducer(servers, { logger });
    await using consumer = new KafkaConsumer(
      { ...servers, "group.id": group, "auto.offset.reset": "earliest" },
      { logger },
    );
    let assignments = 0;
    consumer.subscribe([new Topic(topic)], { onAssign: () => void (assignments += 1) });
    const numbers = new Numbers(producer, consumer, topic);
    await numbers.pass(20);
    const { memberId } = consumer;

    after.intercept = () => "pass";
    await before[Symbol.asyncDispose]();
    await numbers.pass(20);
    assert.equal((await kafka.committedOffsets(group, topic)).get(0), 40);
    assert.equal(consumer.memberId, memberId, "it is the same member still");
    assert.equal(assignments, 1);
    assert.deepEqual(errors, []);
  },
);

ownKafkaTest(
  "connections that the broker closes because they were idle are made anew without a word, and nothing else happens",
  { properties: { "connections.max.idle.ms": "800" } },
  async (kafka) => {
    const topic = await kafka.createTopic();
    await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
    let connections = 0;
    let heard = (): void => {};
    proxy.intercept = ({ api, direction }) => {
      if (direction === "request" && api === API_VERSIONS) connections += 1;
      if (direction === "answer" && api === ApiKeys.HEARTBEAT) heard();
      return "pass";
    };
    const settings = {
      "bootstrap.servers": proxy.bootstrapServers,
      "topic.metadata.refresh.interval.ms": 2_000,
    };
    const { logger, warnings, errors } = recorder();
    await using producer = new KafkaProducer(settings, { logger });
    await using consumer = new KafkaConsumer(
      {
        ...settings,
        "group.id": kafka.name("group"),
        "auto.offset.reset": "earliest",
        "heartbeat.interval.ms": 2_000,
      },
      { logger },
    );
    let assignments = 0;
    consumer.subscribe([new Topic(topic)], { onAssign: () => void (assignments += 1) });
    const numbers = new Numbers(producer, consumer, topic);
    await numbers.pass(5);
    const connectionsBefore = connections;

    // Between two heartbeats nothing is produced or committed: only fetching goes on. Mostly they are longer apart than an
    // idle connection lives, and then the producer's and the group's are made anew.
    while (connections - connectionsBefore < 6) {
      const next = Promise.withResolvers<void>();
      heard = next.resolve;
      await next.promise;
      await numbers.pass(5);
    }
    assert.equal(assignments, 1);
    assert.deepEqual([...warnings, ...errors], []);
  },
);
