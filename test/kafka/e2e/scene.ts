import { fill } from "../fill.ts";
import type { KafkaTest } from "../kafka-test.ts";
import { handledIn, type HandledMessage } from "./journal.ts";
import { MemberProcess, type MemberSettings, type Scratch } from "./member-process.ts";

const PARTITIONS = 6;

/** The settings that make members incremental, under the older protocol and the newer one (KIP-848). */
export const INCREMENTAL = {
  "cooperative-sticky": {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 300,
  },
  // The brokers of the tests have the same times for these.
  "KIP-848": { "group.protocol": "consumer" },
} as const;

/** A topic, a group, and members of it that come and go. */
export class Scene {
  readonly #kafka: KafkaTest;
  readonly #scratch: Scratch;
  readonly #topic: string;
  readonly #group: string;
  readonly #config: Readonly<Record<string, unknown>>;
  readonly #names: string[] = [];

  private constructor(
    kafka: KafkaTest,
    scratch: Scratch,
    topic: string,
    config: Readonly<Record<string, unknown>>,
  ) {
    this.#kafka = kafka;
    this.#scratch = scratch;
    this.#topic = topic;
    this.#config = config;
    this.#group = kafka.name("group");
  }

  /** A topic with so many messages; `config` is what members have besides the usual. */
  static async of(
    kafka: KafkaTest,
    scratch: Scratch,
    count: number,
    config: Readonly<Record<string, unknown>>,
  ): Promise<Scene> {
    const topic = await kafka.createTopic({ partitions: PARTITIONS });
    const records = Array.from({ length: count }, (_, i) => ({ partition: i % PARTITIONS, value: `v${i}` }));
    await fill(kafka, topic, records);
    return new Scene(kafka, scratch, topic, config);
  }

  /** Another member; `more` is what it has besides what all have. */
  member(name: string, more: Partial<MemberSettings> = {}): MemberProcess {
    this.#names.push(name);
    return new MemberProcess({
      topic: this.#topic,
      handledPath: this.#scratch.file(name),
      handleMs: 2,
      ...more,
      config: {
        "bootstrap.servers": this.#kafka.bootstrapServers,
        "group.id": this.#group,
        "auto.offset.reset": "earliest",
        ...this.#config,
        ...more.config,
      },
    });
  }

  get handled(): HandledMessage[] {
    return this.#names.flatMap((name) => handledIn(this.#scratch.file(name)));
  }

  async committed(): Promise<number> {
    const offsets = await this.#kafka.committedOffsets(this.#group, this.#topic);
    return [...offsets.values()].reduce((sum, offset) => sum + offset, 0);
  }

  /** Resolves when so many messages are committed. */
  async until(count: number): Promise<void> {
    while ((await this.committed()) < count);
  }

  async ends(): Promise<Map<number, number>> {
    return await this.#kafka.endOffsets(this.#topic, PARTITIONS);
  }
}
