import assert from "node:assert/strict";
import { KafkaConsumer } from "../../../src/kafka/consumer.ts";
import type { KafkaConsumerConfig } from "../../../src/kafka/config.ts";
import { Partition } from "../../../src/message/partition.ts";
import { Topic } from "../../../src/message/topic.ts";
import { RecordingMetrics } from "../../../src/testing/index.ts";
import { silentLogger } from "../../../src/logger.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { CLOSE_MS } from "../../contracts/reader.ts";

/** A consumer that polls until the test ends it. */
class Polling implements AsyncDisposable {
  readonly consumer: KafkaConsumer;
  readonly metrics = new RecordingMetrics();
  /** What poll has failed with. */
  failure: Error | undefined;
  readonly #ended = new AbortController();
  readonly #polling: Promise<void>;
  #waiting: (() => void)[] = [];

  constructor(
    kafka: KafkaTest,
    group: string,
    topics: Topic[] | RegExp,
    more: Partial<KafkaConsumerConfig> = {},
  ) {
    this.consumer = new KafkaConsumer(
      {
        "bootstrap.servers": kafka.bootstrapServers,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "heartbeat.interval.ms": 300,
        ...more,
      } as KafkaConsumerConfig,
      { logger: silentLogger, metrics: this.metrics },
    );
    this.consumer.subscribe(topics);
    this.#polling = this.#poll();
  }

  get indices(): number[] {
    return [...this.consumer.tell().keys()].map(({ index }) => index).toSorted((a, b) => a - b);
  }

  /** Resolves once something is so; it is looked at after each poll. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#polling;
    await this.consumer.close(CLOSE_MS);
  }

  async #poll(): Promise<void> {
    while (!this.#ended.signal.aborted && this.failure === undefined) {
      try {
        await this.consumer.poll({ timeoutMs: 100, signal: this.#ended.signal });
      } catch (error) {
        this.failure = error as Error;
      }
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    }
  }
}

kafkaTest(
  "a static member that comes back in time gets its partitions without a rebalance",
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: 4 });
    const group = kafka.name("group");
    const topics = [new Topic(topic)];
    await using stays = new Polling(kafka, group, topics, { "group.instance.id": "stays" });
    await stays.until(() => stays.indices.length === 4);
    let before: number[];
    {
      await using leaves = new Polling(kafka, group, topics, { "group.instance.id": "leaves" });
      await leaves.until(() => leaves.indices.length === 2 && stays.indices.length === 2);
      before = leaves.indices;
    }
    const rebalances = stays.metrics.count("arroyo.consumer.kafka.rebalance");
    await using back = new Polling(kafka, group, topics, { "group.instance.id": "leaves" });
    await back.until(() => back.indices.length > 0);
    assert.deepEqual(back.indices, before);
    assert.equal(stays.metrics.count("arroyo.consumer.kafka.rebalance"), rebalances);
    assert.equal(stays.indices.length, 2);

    // A second one under the same id takes its place, which the first one is told clearly.
    await using thief = new Polling(kafka, group, topics, { "group.instance.id": "leaves" });
    await back.until(() => back.failure !== undefined);
    assert.match(back.failure?.message ?? "", /FENCED_INSTANCE_ID.*group\.instance\.id/);
    await thief.until(() => thief.indices.length > 0);
    assert.deepEqual(thief.indices, before);
  },
);

kafkaTest("topics that come to match a pattern, and partitions that are added, are found", async (kafka) => {
  const prefix = kafka.name("found");
  const first = await kafka.createTopic({ name: `${prefix}-a`, partitions: 1 });
  await using member = new Polling(kafka, kafka.name("group"), new RegExp(`^${prefix}-`), {
    "partition.assignment.strategy": "cooperative-sticky",
    "topic.metadata.refresh.interval.ms": 500,
  });
  await member.until(() => member.consumer.tell().size === 1);
  const second = await kafka.createTopic({ name: `${prefix}-b`, partitions: 2 });
  await member.until(() => member.consumer.tell().size === 3);
  assert.ok(member.consumer.tell().has(Partition.of(second, 1)));
  await kafka.admin.createPartitions({ topics: [{ name: first, count: 3, assignments: null }] });
  await member.until(() => member.consumer.tell().size === 5);
  assert.equal(member.metrics.count("arroyo.consumer.kafka.lost"), 0);
});
