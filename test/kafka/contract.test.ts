import type { Consumer } from "../../src/backend/consumer.ts";
import type { Producer } from "../../src/backend/producer.ts";
import { KafkaConsumer, KafkaProducer, type KafkaPayload } from "../../src/kafka/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { Topic } from "../../src/message/topic.ts";
import { backendContract, type Backend, type BackendSettings } from "../contracts/backend.ts";
import { producingContract } from "../contracts/backend-producing.ts";
import { kafkaTest, type KafkaTest } from "./kafka-test.ts";

/** Kafka as the suite sees it that every backend is held against. */
class KafkaBackend implements Backend {
  /** Whether members join under KIP-848: then only what changes hands is touched. */
  readonly incremental: boolean;
  readonly #kafka: KafkaTest;
  readonly #clients: AsyncDisposable[] = [];

  constructor(kafka: KafkaTest, incremental: boolean) {
    this.#kafka = kafka;
    this.incremental = incremental;
  }

  async createTopic(partitions: number): Promise<Topic> {
    return new Topic(await this.#kafka.createTopic({ partitions }));
  }

  newGroup(): string {
    return this.#kafka.name("group");
  }

  consumer(group: string, settings: BackendSettings = {}): Consumer<KafkaPayload> {
    const consumer = new KafkaConsumer(
      {
        "bootstrap.servers": this.#kafka.bootstrapServers,
        "group.id": group,
        "auto.offset.reset": "earliest",
        ...(this.incremental ? { "group.protocol": "consumer" } : { "heartbeat.interval.ms": 200 }),
        ...settings,
        ...(this.incremental || settings["max.poll.interval.ms"] === undefined
          ? {}
          : { "session.timeout.ms": settings["max.poll.interval.ms"] }),
      },
      { logger: silentLogger },
    );
    this.#clients.push(consumer);
    return consumer;
  }

  producer(): Producer<KafkaPayload> {
    const producer = new KafkaProducer(
      { "bootstrap.servers": this.#kafka.bootstrapServers },
      { logger: silentLogger },
    );
    this.#clients.push(producer);
    return producer;
  }

  committed(group: string, topic: Topic): Promise<ReadonlyMap<number, number>> {
    return this.#kafka.committedOffsets(group, topic.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client[Symbol.asyncDispose]()));
  }
}

for (const { name, run } of backendContract()) {
  // How messages come into the log is no matter of groups.
  for (const incremental of Object.hasOwn(producingContract, name) ? [false] : [false, true]) {
    kafkaTest(`Kafka${incremental ? " (KIP-848)" : ""}: ${name}`, async (kafka) => {
      await using backend = new KafkaBackend(kafka, incremental);
      await run(backend);
    });
  }
}
