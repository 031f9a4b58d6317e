import { existsSync } from "node:fs";
import type { Consumer } from "../backend/consumer.ts";
import type { Producer } from "../backend/producer.ts";
import { DeadlineError, InvalidStateError } from "../errors.ts";
import type { KafkaConsumerConfig, KafkaProducerConfig } from "../kafka/config.ts";
import { KafkaConsumer } from "../kafka/consumer.ts";
import { KafkaProducer } from "../kafka/producer.ts";
import { LocalBroker } from "../local/broker.ts";
import type { Logger } from "../logger.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { UsageError } from "./arguments.ts";
import { gatherSettings, splitSettings } from "./kafka-settings.ts";
import type { SetSettings } from "./set-argument.ts";

/** Longer than a topic may be unknown before it does not exist. */
const CHECK_OUTPUT_MS = 60_000;

/** Where `arroyo run` reads from and writes to; disposing of it closes what was made. */
export interface RunBackend extends AsyncDisposable {
  readonly consumer: Consumer<KafkaPayload>;
  /** Where that is, in words. */
  readonly place: string;
  /** Made at the first call. */
  producer(): Producer<KafkaPayload>;
  /**
   * Whether a topic can be written to; while brokers are away, that is not known, and no reason to end.
   *
   * @throws ProducerError, UsageError when it can not.
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
  let made: KafkaProducer | undefined;
  const producer = (): KafkaProducer =>
    (made ??= new KafkaProducer(split.producer as KafkaProducerConfig, { logger, metrics }));
  return {
    consumer,
    producer,
    place: `from ${given["bootstrap.servers"] as string}, as a member of group ${given["group.id"] as string}`,
    async checkOutput(_flag, topic) {
      try {
        await producer().connect([topic], CHECK_OUTPUT_MS);
      } catch (error) {
        // The log says that brokers cannot be reached.
        if (!DeadlineError.is(error) && !InvalidStateError.is(error)) throw error;
      }
    },
    async [Symbol.asyncDispose]() {
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
