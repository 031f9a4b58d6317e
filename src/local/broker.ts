import { systemClock, type Clock } from "../clock.ts";
import { ConfigurationError, InvalidStateError } from "../errors.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import type { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import { resolveConfig, type LocalConsumerConfig } from "./config.ts";
import { LocalConsumer } from "./consumer.ts";
import type { BrokerCore, LocalClient } from "./core.ts";
import { FolderStorage } from "./folder-storage.ts";
import { Group } from "./group.ts";
import { LocalProducer } from "./producer.ts";
import { MemoryStorage, type Storage } from "./storage.ts";

const MAX_PARTITIONS = 10_000;

/** What a {@link LocalBroker} in memory takes. */
export interface LocalBrokerOptions {
  /** Where its time comes from: timestamps, timeouts of polls, deadlines of groups. The machine's by default. */
  readonly clock?: Clock | undefined;
  /** Where log lines go; standard error by default. */
  readonly logger?: Logger | undefined;
}

/** What a {@link LocalBroker} in a folder takes besides. */
export interface LocalFolderOptions extends LocalBrokerOptions {
  /**
   * Whether what is acknowledged survives the loss of power, too: then every write waits for the disk. Default false.
   */
  readonly fsync?: boolean | undefined;
}

/**
 * A broker inside the process, for tests, for trying things out and for small things that need no Kafka: topics with
 * partitions, groups whose members share them, committed offsets. (Arroyo's `LocalBroker`.)
 *
 * `new LocalBroker()` keeps everything in memory. {@link LocalBroker.open} keeps it in a folder, for one process at a
 * time. There is no retention: what is produced stays.
 */
export class LocalBroker implements AsyncDisposable {
  readonly #core: BrokerCore;
  #storage: Storage = new MemoryStorage();
  readonly #groups = new Map<string, Group>();
  readonly #clients = new Set<LocalClient>();
  /** Topics that are being made. */
  readonly #making = new Set<string>();
  #closing: Promise<void> | undefined;

  constructor(options: LocalBrokerOptions = {}) {
    const { clock = systemClock, logger = stderrLogger } = options;
    const storage = (): Storage => this.#storage;
    this.#core = {
      clock,
      logger,
      get storage() {
        return storage();
      },
      group: (id) => this.#group(id),
      forget: (client) => this.#clients.delete(client),
    };
  }

  /**
   * A broker that keeps everything in a folder, which is made if it is not there.
   *
   * What was acknowledged (a `produce` or `commitOffsets` that has resolved) is still there after the process was killed,
   * however it was. When the machine loses its power, the last of it may be lost, unless `fsync` is set. What was not
   * written to its end is cut off when the folder is opened, and the logger told.
   *
   * @throws StorageError when another process has the folder open (it is free again when that process ends, however it
   * does); when something in it is damaged, with the file and the position; when it cannot be read and written.
   */
  static async open(folder: string, options: LocalFolderOptions = {}): Promise<LocalBroker> {
    const { logger = stderrLogger, fsync = false } = options;
    const storage = await FolderStorage.open(folder, { logger, fsync });
    const broker = new LocalBroker(options);
    broker.#storage = storage;
    return broker;
  }

  /**
   * Makes a topic, which groups that want it get at once.
   *
   * @throws InvalidStateError when it is there already; `topics()` tells.
   */
  async createTopic(topic: Topic | string, partitions: number): Promise<void> {
    this.#assertOpen("createTopic");
    const { name } = Topic.of(topic);
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > MAX_PARTITIONS) {
      throw new ConfigurationError(
        `createTopic(): topic "${name}" cannot have ${partitions} partitions: 1 to ${MAX_PARTITIONS} can be.`,
      );
    }
    if (this.#storage.topics.has(name) || this.#making.has(name)) {
      throw new InvalidStateError(`Topic "${name}" is there already: topics() tells which ones are.`);
    }
    this.#making.add(name);
    try {
      await this.#storage.createTopic(name, partitions);
    } finally {
      this.#making.delete(name);
    }
    for (const group of this.#groups.values()) group.topicCreated(name);
  }

  /** The topics that there are, by name, with their number of partitions. */
  topics(): ReadonlyMap<string, number> {
    this.#assertOpen("topics");
    return this.#counts();
  }

  /** A new member for a group. @throws ConfigurationError for a setting that is unknown or does not fit. */
  consumer(config: LocalConsumerConfig): LocalConsumer {
    this.#assertOpen("consumer");
    return this.#opened(new LocalConsumer(this.#core, resolveConfig(config)));
  }

  producer(): LocalProducer {
    this.#assertOpen("producer");
    return this.#opened(new LocalProducer(this.#core));
  }

  /** The partitions of a topic, each with the offset that its next message gets. */
  endOffsets(topic: Topic | string): ReadonlyMap<Partition, number> {
    this.#assertOpen("endOffsets");
    const logs = this.#storage.topics.get(Topic.of(topic).name) ?? [];
    return new Map(logs.map((log) => [log.partition, log.endOffset]));
  }

  /** What a group has committed. */
  committedOffsets(group: string): ReadonlyMap<Partition, number> {
    this.#assertOpen("committedOffsets");
    return new Map(this.#storage.committed(group));
  }

  /** Messages of a partition from an offset on, without a group: to look at what a pipeline has written. */
  async read(
    partition: Partition,
    fromOffset: number = 0,
    maxMessages: number = Infinity,
  ): Promise<readonly BrokerMessage<KafkaPayload>[]> {
    this.#assertOpen("read");
    const log = this.#storage.topics.get(partition.topic.name)?.[partition.index];
    if (log === undefined)
      throw new InvalidStateError(`There is no partition ${partition}; topics() tells which ones are.`);
    const end = Math.min(log.endOffset, fromOffset + maxMessages);
    const reader = log.reader();
    const messages: BrokerMessage<KafkaPayload>[] = [];
    for (let offset = fromOffset; offset < end; offset = fromOffset + messages.length) {
      const before = messages.length;
      reader.take(offset, end - offset, messages);
      if (messages.length === before) await reader.load(offset);
    }
    return messages;
  }

  /** Closes its consumers and producers, stores what is on its way and lets go of the folder. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    for (const client of [...this.#clients]) await client.close();
    await this.#storage.close();
  }

  #opened<C extends LocalClient>(client: C): C {
    this.#clients.add(client);
    return client;
  }

  #group(id: string): Group {
    let group = this.#groups.get(id);
    if (group === undefined) {
      const { clock, logger } = this.#core;
      group = new Group({ id, clock, logger, counts: () => this.#counts() });
      this.#groups.set(id, group);
    }
    return group;
  }

  #counts(): ReadonlyMap<string, number> {
    return new Map(Array.from(this.#storage.topics, ([name, logs]) => [name, logs.length]));
  }

  #assertOpen(call: string): void {
    if (this.#closing !== undefined)
      throw new InvalidStateError(`${call}() after close(): make a new broker.`);
  }
}
