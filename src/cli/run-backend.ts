import { existsSync } from "node:fs";
import type { Consumer } from "../backend/consumer.ts";
import type { Producer } from "../backend/producer.ts";
import { ConsumerError } from "../errors.ts";
import {
  resolveConsumerConfig,
  type KafkaConsumerConfig,
  type KafkaProducerConfig,
} from "../kafka/config.ts";
import { KafkaConsumer } from "../kafka/consumer.ts";
import { KafkaProducer } from "../kafka/producer.ts";
import { LocalBroker } from "../local/broker.ts";
import { silentLogger, type Logger } from "../logger.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { UsageError } from "./arguments.ts";
import { gatherSettings, splitSettings } from "./kafka-settings.ts";
import { KafkaTopics } from "./kafka-topics.ts";
import type { SetSettings } from "./set-argument.ts";

/** Brokers that are away are waited for: the longest time that a timer can have. */
const CHECK_OUTPUT_MS = 2 ** 31 - 1;

/** Where `arroyo run` reads from and writes to; disposing of it closes what was made. */
export interface RunBackend extends AsyncDisposable {
  readonly consumer: Consumer<KafkaPayload>;
  /** Where that is, in words. */
  readonly place: string;
  /** Made at the first call. */
  producer(): Producer<KafkaPayload>;
  /**
   * Finds out whether a topic is there, or may be made by whoever writes to it. While brokers are away, that is not known, and
   * no reason to end.
   *
   * @throws UsageError when it is not.
   */
  checkOutput(flag: string, topic: Topic): Promise<void>;
}

export interface KafkaRunOptions {
  readonly servers: string | undefined;
  readonly group: string | undefined;
  readonly configPath: string | undefined;
  /** Settings from the command line, which go before those of the file. */
  readonly settings: SetSettings;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** @throws UsageError without a broker or a group, ConfigurationError for settings that cannot be. */
export async function openKafka(options: KafkaRunOptions): Promise<RunBackend> {
  const { servers, group, configPath, settings, logger, metrics } = options;
  const given: Record<string, unknown> = {
    ...(await gatherSettings({ configPath, set: settings, servers })),
    ...(group === undefined ? {} : { "group.id": group }),
  };
  if (given["group.id"] === undefined) throw new UsageError('--group is missing (or "group.id" in --config)');
  const split = splitSettings(given);
  const consumer = new KafkaConsumer(split.consumer as KafkaConsumerConfig, { logger, metrics });
  const ended = new AbortController();
  let made: KafkaProducer | undefined;
  const producer = (): KafkaProducer =>
    (made ??= new KafkaProducer(split.producer as KafkaProducerConfig, { logger, metrics }));
  return {
    consumer,
    producer,
    place: `from ${given["bootstrap.servers"] as string}, as a member of group ${given["group.id"] as string}`,
    async checkOutput(flag, topic) {
      const asProducer = { "allow.auto.create.topics": true, ...split.consumer };
      await using topics = new KafkaTopics({
        config: resolveConsumerConfig(asProducer as KafkaConsumerConfig),
        // The consumer says that brokers cannot be reached.
        logger: silentLogger,
        signal: ended.signal,
        timeoutMs: CHECK_OUTPUT_MS,
      });
      try {
        await topics.partitions(topic);
      } catch (error) {
        if (ended.signal.aborted) return;
        if (!(error instanceof ConsumerError)) throw error;
        throw new UsageError(`${flag} ${topic.name}: ${error.message}`, { cause: error });
      }
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      await Promise.all([consumer.close(), made?.close()]);
    },
  };
}

export interface LocalRunOptions {
  readonly folder: string;
  readonly topics: readonly string[];
  readonly group: string;
  readonly logger: Logger;
}

/** @throws UsageError for a folder or a topic that is not there, StorageError for one that cannot be read. */
export async function openLocal({ folder, topics, group, logger }: LocalRunOptions): Promise<RunBackend> {
  // Opening would make it.
  if (!existsSync(folder)) throw new UsageError(`--local: there is no folder ${folder}`);
  const broker = await LocalBroker.open(folder, { logger });
  const check = (flag: string, name: string): void => {
    const known = broker.topics();
    if (known.has(name)) return;
    const there = known.size === 0 ? "it has none" : `it has ${[...known.keys()].join(", ")}`;
    throw new UsageError(`${flag} ${name} does not exist in ${folder}: ${there}`);
  };
  try {
    for (const name of topics) check("--topic", name);
  } catch (error) {
    await broker.close();
    throw error;
  }
  let producer: Producer<KafkaPayload> | undefined;
  return {
    consumer: broker.consumer({ "group.id": group, "auto.offset.reset": "earliest" }),
    place: `from ${folder}, as a member of group ${group}`,
    producer: () => (producer ??= broker.producer()),
    checkOutput: async (flag, { name }) => check(flag, name),
    [Symbol.asyncDispose]: () => broker.close(),
  };
}
