import { LocalBroker } from "../../src/local/index.ts";
import type { Consumer, KafkaPayload, Partition, Producer } from "../../src/index.ts";
import type { Backend, Offsets } from "./backend.ts";

function byIndex(offsets: Iterable<[Partition, number]>): Offsets {
  return new Map(Array.from(offsets, ([{ index }, offset]) => [index, offset]));
}

/** The embedded broker, in a folder. */
export class LocalBackend implements Backend {
  readonly place: string;
  readonly #broker: LocalBroker;

  private constructor(folder: string, broker: LocalBroker) {
    this.place = `the embedded broker in ${folder}`;
    this.#broker = broker;
  }

  /** @throws StorageError when another process has the folder. */
  static async open(folder: string): Promise<LocalBackend> {
    return new LocalBackend(folder, await LocalBroker.open(folder));
  }

  async createTopics(topics: readonly string[], partitions: number): Promise<void> {
    for (const topic of topics) {
      if (!this.#broker.topics().has(topic)) await this.#broker.createTopic(topic, partitions);
    }
  }

  consumer(group: string): Consumer<KafkaPayload> {
    return this.#broker.consumer({ "group.id": group, "auto.offset.reset": "earliest" });
  }

  producer(): Producer<KafkaPayload> {
    return this.#broker.producer();
  }

  endOffsets(topic: string): Promise<Offsets> {
    return Promise.resolve(byIndex(this.#broker.endOffsets(topic)));
  }

  committed(group: string, topic: string): Promise<Offsets> {
    const ofTopic = [...this.#broker.committedOffsets(group)].filter(
      ([
        {
          topic: { name },
        },
      ]) => name === topic,
    );
    return Promise.resolve(byIndex(ofTopic));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#broker.close();
  }
}
