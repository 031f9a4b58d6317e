import { Admin } from "@platformatic/kafka";
import { describeError } from "../../src/kafka/client/describe-error.ts";
import { resolveProducerConfig } from "../../src/kafka/config.ts";
import { KafkaConsumer, KafkaProducer } from "../../src/kafka/index.ts";
import { ConsumerError, type Consumer, type KafkaPayload, type Producer } from "../../src/index.ts";
import type { Backend, Offsets } from "./backend.ts";

const LATEST = -1n;

/** A real Kafka. */
export class KafkaBackend implements Backend {
  readonly place: string;
  readonly #servers: string;
  readonly #admin: Admin;

  /** @throws ConfigurationError for servers that cannot be ones, before anything is connected. */
  constructor(servers: string) {
    resolveProducerConfig({ "bootstrap.servers": servers });
    this.place = `Kafka at ${servers}`;
    this.#servers = servers;
    this.#admin = new Admin({ clientId: "arroyo-example", bootstrapBrokers: servers.split(","), retries: 3 });
  }

  async createTopics(topics: readonly string[], partitions: number): Promise<void> {
    const existing = new Set(
      await this.#admin.listTopics().catch((error: unknown) => {
        const why = describeError(error);
        throw new ConsumerError(`${this.place} does not answer: ${why}`, { cause: error });
      }),
    );
    const missing = topics.filter((topic) => !existing.has(topic));
    if (missing.length > 0) await this.#admin.createTopics({ topics: missing, partitions });
  }

  consumer(group: string): Consumer<KafkaPayload> {
    return new KafkaConsumer({
      "bootstrap.servers": this.#servers,
      "group.id": group,
      "auto.offset.reset": "earliest",
    });
  }

  producer(): Producer<KafkaPayload> {
    return new KafkaProducer({ "bootstrap.servers": this.#servers, "compression.type": "lz4" });
  }

  async endOffsets(topic: string): Promise<Offsets> {
    const metadata = await this.#admin.metadata({ topics: [topic] });
    const count = metadata.topics.get(topic)?.partitionsCount ?? 0;
    const partitions = Array.from({ length: count }, (_, partitionIndex) => ({
      partitionIndex,
      timestamp: LATEST,
    }));
    const [listed] = await this.#admin.listOffsets({ topics: [{ name: topic, partitions }] });
    return new Map(listed?.partitions.map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)]));
  }

  async committed(group: string, topic: string): Promise<Offsets> {
    const [listed] = await this.#admin.listConsumerGroupOffsets({ groups: [group] });
    const partitions = listed?.topics.find(({ name }) => name === topic)?.partitions ?? [];
    return new Map(
      partitions
        .filter(({ committedOffset }) => committedOffset >= 0n)
        .map(({ partitionIndex, committedOffset }) => [partitionIndex, Number(committedOffset)]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.close();
  }
}
