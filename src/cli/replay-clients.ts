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
import type { Logger } from "../logger.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import { UsageError } from "./arguments.ts";
import { gatherSettings, splitSettings } from "./kafka-settings.ts";
import { KafkaTopics } from "./kafka-topics.ts";
import type { SetSettings } from "./set-argument.ts";

/** How long a run that was killed holds its partitions: the next one waits for them, and a person for it. */
const SESSION_TIMEOUT_MS = 10_000;

/** What a replay works with; disposing of it closes it all. */
export interface ReplayClients extends AsyncDisposable {
  readonly consumer: Consumer<KafkaPayload>;
  readonly producer: Producer<KafkaPayload>;
  readonly ends: ReadonlyMap<Partition, number>;
  readonly toPartitions: number;
}

interface Common {
  readonly from: Topic;
  readonly to: Topic;
  readonly group: string;
  readonly logger: Logger;
}

export interface KafkaReplayOptions extends Common {
  readonly servers: string | undefined;
  readonly configPath: string | undefined;
  /** Settings from the command line, which go before those of the file. */
  readonly settings: SetSettings;
  readonly signal: AbortSignal;
}

/**
 * Clients of a Kafka.
 *
 * @throws UsageError for settings that cannot be, ConsumerError for a topic that is not there.
 */
export async function openKafka(options: KafkaReplayOptions): Promise<ReplayClients> {
  const { from, to, logger, signal } = options;
  const { consumerConfig, producerConfig } = await kafkaConfigs(options);
  const config = resolveConsumerConfig(consumerConfig);
  const producer = new KafkaProducer(producerConfig, { logger });
  try {
    await using topics = new KafkaTopics({ config, logger, signal });
    const toPartitions = await topics.partitions(to);
    const ends = await topics.endOffsets(from);
    const consumer = new KafkaConsumer(consumerConfig, { logger });
    return {
      consumer,
      producer,
      ends,
      toPartitions,
      async [Symbol.asyncDispose]() {
        await Promise.all([consumer.close(), producer.close()]);
      },
    };
  } catch (error) {
    await producer.close();
    throw error;
  }
}

async function kafkaConfigs({ group, servers, configPath, settings }: KafkaReplayOptions): Promise<{
  readonly consumerConfig: KafkaConsumerConfig;
  readonly producerConfig: KafkaProducerConfig;
}> {
  const given = await gatherSettings({ configPath, set: settings, servers });
  const { consumer, producer } = splitSettings(given);
  // What these would be for is decided here.
  for (const key of [
    "group.id",
    "allow.auto.create.topics",
    "arroyo.enable.auto.commit",
    "auto.offset.reset",
  ]) {
    if (Object.hasOwn(given, key)) {
      const instead = key === "group.id" ? "use --group" : "leave it out";
      throw new UsageError(`"${key}" has no effect here: ${instead}`);
    }
  }
  return {
    consumerConfig: {
      // Under the newer protocol it is the brokers' to say.
      ...(given["group.protocol"] === "consumer" ? {} : { "session.timeout.ms": SESSION_TIMEOUT_MS }),
      // Letters that retention has taken are no reason never to replay the others.
      "arroyo.strict.offset.reset": false,
      ...consumer,
      "group.id": group,
      "auto.offset.reset": "earliest",
    } as KafkaConsumerConfig,
    producerConfig: {
      ...producer,
      // A topic whose name is misspelt must not come into being.
      "allow.auto.create.topics": false,
    } as KafkaProducerConfig,
  };
}

export interface LocalReplayOptions extends Common {
  readonly folder: string;
}

/** Clients of an embedded broker. @throws ConsumerError for a topic that is not there, StorageError for the folder. */
export async function openLocal(options: LocalReplayOptions): Promise<ReplayClients> {
  const { folder, from, to, group, logger } = options;
  // Opening would make it.
  if (!existsSync(folder)) throw new UsageError(`--local: there is no folder ${folder}`);
  const broker = await LocalBroker.open(folder, { logger });
  try {
    const topics = broker.topics();
    for (const { name } of [from, to]) {
      if (!topics.has(name)) {
        throw new ConsumerError(`Topic "${name}" does not exist in ${folder}: correct its name.`);
      }
    }
    return {
      consumer: broker.consumer({ "group.id": group, "auto.offset.reset": "earliest" }),
      producer: broker.producer(),
      ends: broker.endOffsets(from),
      toPartitions: topics.get(to.name)!,
      [Symbol.asyncDispose]: () => broker.close(),
    };
  } catch (error) {
    await broker.close();
    throw error;
  }
}
