import { existsSync } from "node:fs";
import type { Consumer } from "../backend/consumer.ts";
import type { Producer } from "../backend/producer.ts";
import type { KafkaConsumerConfig, KafkaProducerConfig } from "../kafka/config.ts";
import { KafkaConsumer } from "../kafka/consumer.ts";
import { KafkaProducer } from "../kafka/producer.ts";
import { LocalBroker } from "../local/broker.ts";
import type { Logger } from "../logger.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { UsageError } from "./arguments.ts";
import { gatherSettings, splitSettings } from "./kafka-settings.ts";
import type { SetSettings } from "./set-argument.ts";

/** Where `arroyo run` reads from and writes to; disposing of it closes what was made. */
export interface RunBackend extends AsyncDisposable {
  readonly consumer: Consumer<KafkaPayload>;
  /** Where that is, in words. */
  readonly place: string;
  /** Made at the first call. */
  producer(): Producer<KafkaPayload>;
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
  let producer: KafkaProducer | undefined;
  return {
    consumer,
    place: `from ${given["bootstrap.servers"] as string}, as a member of group ${given["group.id"] as string}`,
    producer: () =>
      (producer ??= new KafkaProducer(split.producer as KafkaProducerConfig, { logger, metrics })),
    async [Symbol.asyncDispose]() {
      await Promise.all([consumer.close(), producer?.close()]);
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
  const known = broker.topics();
  const missing = topics.find((name) => !known.has(name));
  if (missing !== undefined) {
    await broker.close();
    const there = known.size === 0 ? "it has none" : `it has ${[...known.keys()].join(", ")}`;
    throw new UsageError(`--topic ${missing} does not exist in ${folder}: ${there}`);
  }
  let producer: Producer<KafkaPayload> | undefined;
  return {
    consumer: broker.consumer({ "group.id": group, "auto.offset.reset": "earliest" }),
    place: `from ${folder}, as a member of group ${group}`,
    producer: () => (producer ??= broker.producer()),
    [Symbol.asyncDispose]: () => broker.close(),
  };
}
