import type { Logger, Partition, Topic } from "../../../src/index.ts";
import { silentLogger } from "../../../src/index.ts";
import { KafkaConsumer } from "../../../src/kafka/index.ts";
import type { KafkaTest } from "../kafka-test.ts";
import { CLOSE_MS } from "../../contracts/reader.ts";

/** A member under KIP-848 that polls all the time, and keeps what it is told. */
export class Member implements AsyncDisposable {
  readonly consumer: KafkaConsumer;
  readonly events: string[] = [];
  readonly values: string[] = [];
  /** Awaited in each revocation. */
  drain: () => Promise<void> = () => Promise.resolve();
  /** What a poll has failed with. */
  failure: Error | undefined;
  #waiting: { readonly isSo: () => boolean; readonly resolve: () => void }[] = [];
  readonly #polling: Promise<void>;

  constructor(
    kafka: KafkaTest,
    group: string,
    topic: Topic | RegExp,
    settings: Readonly<Record<string, unknown>> = {},
    logger: Logger = silentLogger,
  ) {
    this.consumer = new KafkaConsumer(
      {
        "bootstrap.servers": kafka.bootstrapServers,
        "group.id": group,
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "topic.metadata.refresh.interval.ms": 1_000,
        ...settings,
      },
      { logger },
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
    return [...this.consumer.tell().keys()].map(String).toSorted((a, b) => a.localeCompare(b));
  }

  /** Resolves when that is so. */
  async until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    if (this.failure === undefined) {
      await new Promise<void>((resolve) => this.#waiting.push({ isSo, resolve }));
    }
    if (this.failure !== undefined && !isSo()) throw this.failure;
  }

  /** Commits everything that was delivered. */
  async commit(): Promise<void> {
    this.consumer.stageOffsets(this.consumer.tell());
    await this.consumer.commitOffsets();
  }

  async #poll(): Promise<void> {
    try {
      while (!this.consumer.closed) {
        for (const { payload } of await this.consumer.poll({ timeoutMs: 100 }))
          this.values.push(payload.text());
        this.#check();
      }
    } catch (error) {
      if (!this.consumer.closed) this.failure = error as Error;
    }
    this.#check();
  }

  #note(what: string, partitions: Iterable<Partition>): void {
    this.events.push(
      `${what} ${[...partitions]
        .map(({ index }) => index)
        .toSorted((a, b) => a - b)
        .join(",")}`,
    );
    this.#check();
  }

  #check(): void {
    const now = this.#waiting.filter(({ isSo }) => this.failure !== undefined || isSo());
    this.#waiting = this.#waiting.filter((one) => !now.includes(one));
    for (const { resolve } of now) resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.consumer.close(CLOSE_MS);
    await this.#polling;
  }
}
