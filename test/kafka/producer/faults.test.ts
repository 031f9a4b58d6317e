import assert from "node:assert/strict";
import { silentLogger } from "../../../src/logger.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { KafkaProducer } from "../../../src/kafka/producer.ts";
import { ownKafkaTest } from "../kafka-test.ts";
import { readAll, type ReadRecord } from "./read-all.ts";

/** Produces one message after another to each partition until it is told to stop. */
class Stream implements AsyncDisposable {
  readonly producer: KafkaProducer;
  readonly deliveries: Promise<{
    readonly value: number;
    readonly index: number;
    readonly offset: number;
  }>[] = [];
  readonly #topic: string;
  #stopped = false;
  #running: Promise<void>;
  #delivered = 0;
  #notify: () => void = () => {};

  constructor(servers: string, topic: string, settings: object = {}) {
    this.#topic = topic;
    const config = {
      "bootstrap.servers": servers,
      "linger.ms": 1,
      "reconnect.backoff.max.ms": 500,
      ...settings,
    };
    this.producer = new KafkaProducer(config, { logger: silentLogger });
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  async #run(): Promise<void> {
    for (let value = 0; !this.#stopped; value++) {
      const delivery = this.producer
        .produce(this.#topic, new KafkaPayload(`${value % 16}`, `${value}`))
        .then(({ partition, offset }) => ({ value, index: partition.index, offset }));
      delivery.then(
        () => {
          this.#delivered++;
          this.#notify();
        },
        () => {},
      );
      this.deliveries.push(delivery);
      // A rate that a test can check afterwards.
      if (value >= 200) await this.deliveries[value - 200];
      else if (value % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Resolves when so many more have been delivered. */
  async progress(count: number): Promise<void> {
    const goal = this.#delivered + count;
    while (this.#delivered < goal) await new Promise<void>((resolve) => (this.#notify = resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.producer.close(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.producer.flush();
  }
}

/** Every delivery is where it says, and each partition has its values in the order in which they were produced. */
async function check(stream: Stream, records: readonly ReadRecord[]): Promise<void> {
  const byPosition = new Map(
    records.map(({ partition, offset, value }) => [`${partition}@${offset}`, value]),
  );
  for (const { value, index, offset } of await Promise.all(stream.deliveries)) {
    assert.equal(byPosition.get(`${index}@${offset}`), `${value}`);
  }
  const highest = new Map<number, number>();
  const seen = new Set<string>();
  for (const { partition, value } of records) {
    // One that was sent again after its acknowledgement was lost comes twice, but none comes late.
    if (!seen.has(value!))
      assert.ok(Number(value) > (highest.get(partition) ?? -1), `${value} is out of order`);
    seen.add(value!);
    highest.set(partition, Math.max(Number(value), highest.get(partition) ?? -1));
  }
  assert.equal(seen.size, stream.deliveries.length);
}

ownKafkaTest(
  "a leader that is killed, and brokers that restart, lose nothing and mix up nothing",
  { brokers: 3, properties: { "min.insync.replicas": "1" } },
  async (kafka, brokers) => {
    const topic = await kafka.createTopic({ partitions: 3, replicas: 3 });
    await using stream = new Stream(brokers.bootstrapServers, topic);
    await stream.progress(5_000);
    for (const broker of brokers.brokers.slice(0, 2)) {
      if (broker.nodeId === 1) await broker.kill();
      else await broker.stop();
      await stream.progress(5_000);
      await broker.start();
      await stream.progress(5_000);
    }
    await stream.stop();
    await check(stream, await readAll(kafka, topic, stream.deliveries.length, 3));
  },
  { timeout: 240_000 },
);

ownKafkaTest(
  "messages wait for a broker that is away, and a batch that was in flight is sent again",
  {},
  async (kafka, brokers) => {
    const topic = await kafka.createTopic({ partitions: 2 });
    await using stream = new Stream(brokers.bootstrapServers, topic);
    await stream.progress(3_000);
    const [broker] = brokers.brokers;
    await broker!.kill();
    const waiting = stream.producer.produce(topic, new KafkaPayload("0", "-1"));
    await broker!.start();
    await waiting;
    await stream.progress(3_000);
    await stream.stop();
    const records = await readAll(kafka, topic, stream.deliveries.length, 2);
    await check(
      stream,
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
