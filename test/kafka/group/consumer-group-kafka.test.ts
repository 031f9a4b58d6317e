import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import type { Partition } from "../../../src/index.ts";
import { silentLogger, Topic } from "../../../src/index.ts";
import { KafkaConsumer, type KafkaConsumerConfig } from "../../../src/kafka/index.ts";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";

/** A member under KIP-848 that polls all the time, and keeps what it is told. */
class Member implements AsyncDisposable {
  readonly consumer: KafkaConsumer;
  readonly events: string[] = [];
  readonly values: string[] = [];
  /** Awaited in each revocation. */
  drain: () => Promise<void> = () => Promise.resolve();
  error: unknown;
  #waiting: { readonly isSo: () => boolean; readonly resolve: () => void }[] = [];
  readonly #polling: Promise<void>;

  constructor(
    kafka: KafkaTest,
    group: string,
    topic: Topic | RegExp,
    settings: Readonly<Record<string, unknown>> = {},
  ) {
    this.consumer = new KafkaConsumer(
      {
        "bootstrap.servers": kafka.bootstrapServers,
        "group.id": group,
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "topic.metadata.refresh.interval.ms": 1_000,
        ...settings,
      } as KafkaConsumerConfig,
      { logger: silentLogger },
    );
    this.consumer.subscribe(topic instanceof RegExp ? topic : [topic], {
      onAssign: (partitions) => this.#note("assign", partitions.keys()),
      onRevoke: async (partitions) => {
        await this.drain();
        this.#note("revoke", partitions);
      },
      onLost: (partitions) => this.#note("lost", partitions),
    });
    this.#polling = this.#poll();
  }

  get held(): string[] {
    return [...this.consumer.tell().keys()].map(String).toSorted();
  }

  /** Resolves when that is so. */
  async until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    await new Promise<void>((resolve) => this.#waiting.push({ isSo, resolve }));
    if (this.error !== undefined) throw this.error;
  }

  async #poll(): Promise<void> {
    try {
      while (!this.consumer.closed) {
        for (const { payload } of await this.consumer.poll({ timeoutMs: 100 }))
          this.values.push(payload.text());
        this.#check();
      }
    } catch (error) {
      if (!this.consumer.closed) this.error = error;
    }
    this.#check();
  }

  #note(what: string, partitions: Iterable<Partition>): void {
    this.events.push(
      `${what} ${[...partitions]
        .map(({ index }) => index)
        .toSorted()
        .join(",")}`,
    );
    this.#check();
  }

  #check(): void {
    const now = this.#waiting.filter(({ isSo }) => this.error !== undefined || isSo());
    this.#waiting = this.#waiting.filter((one) => !now.includes(one));
    for (const { resolve } of now) resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.consumer.close();
    await this.#polling;
  }
}

kafkaTest(
  "KIP-848: a member gets everything, a second one its share, and what stays is not disturbed",
  async (kafka) => {
    const topic = new Topic(await kafka.createTopic({ partitions: 4 }));
    const group = kafka.name("group");
    await fill(
      kafka,
      topic.name,
      Array.from({ length: 40 }, (_, i) => ({ partition: i % 4, value: `m${i}` })),
    );
    await using first = new Member(kafka, group, topic);
    await first.until(() => first.values.length === 40);
    assert.deepEqual(first.events, ["assign 0,1,2,3"]);
    await first.consumer.stageOffsets(first.consumer.tell());
    await first.consumer.commitOffsets();
    const drained = Promise.withResolvers<void>();
    first.drain = () => drained.promise;
    await using second = new Member(kafka, group, topic);
    await wait(1_500);
    assert.deepEqual(second.held, [], "nothing is handed over before it was drained");
    drained.resolve();
    await second.until(() => second.held.length === 2);
    await first.until(() => first.held.length === 2);
    assert.equal(first.events.length, 2);
    assert.deepEqual(
      [...first.held, ...second.held].toSorted(),
      [0, 1, 2, 3].map((index) => `${topic.name}:${index}`),
    );
    assert.deepEqual(second.values, [], "what was committed is not read again");
  },
);
