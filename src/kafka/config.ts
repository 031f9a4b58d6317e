import { COMMON_SETTINGS } from "./config-common.ts";
import { CONSUMER_SETTINGS } from "./config-consumer.ts";
import { readPemFiles } from "./config-pem.ts";
import { PRODUCER_SETTINGS } from "./config-producer.ts";
import { resolveTable, type ConfigSide } from "./config-resolve.ts";
import { applyRules } from "./config-rules.ts";
import type { GivenConfig, ResolvedConfig } from "./config-setting.ts";

export type { BootstrapServer } from "./config-setting.ts";

/** Where the brokers are, under either of its names. */
type Bootstrap =
  | { readonly "bootstrap.servers": string | readonly string[] }
  | { readonly "metadata.broker.list": string | readonly string[] };

/**
 * Settings of a `KafkaConsumer`: librdkafka's keys, with its defaults. docs/configuration.md lists each with its range
 * and meaning.
 */
export type KafkaConsumerConfig = Bootstrap & { readonly "group.id": string } & GivenConfig<
    typeof COMMON_SETTINGS
  > &
  GivenConfig<typeof CONSUMER_SETTINGS>;

/**
 * Settings of a `KafkaProducer`: librdkafka's keys, with its defaults. docs/configuration.md lists each with its range
 * and meaning.
 */
export type KafkaProducerConfig = Bootstrap &
  GivenConfig<typeof COMMON_SETTINGS> &
  GivenConfig<typeof PRODUCER_SETTINGS>;

/**
 * What every Kafka client needs: the keys that both sides have. Certificates and keys are in `ssl.*.pem`, also when
 * they were given as files.
 */
export type ClientConfig = ResolvedConfig<typeof COMMON_SETTINGS> & {
  readonly "allow.auto.create.topics": boolean;
};

/** A consumer's settings, checked, with every default filled in. A plain object that can cross to another thread. */
export type ResolvedConsumerConfig = ResolvedConfig<typeof COMMON_SETTINGS> &
  ResolvedConfig<typeof CONSUMER_SETTINGS>;

/** A producer's settings, checked, with every default filled in. A plain object that can cross to another thread. */
export type ResolvedProducerConfig = ResolvedConfig<typeof COMMON_SETTINGS> &
  ResolvedConfig<typeof PRODUCER_SETTINGS>;

const consumerTable = { ...COMMON_SETTINGS, ...CONSUMER_SETTINGS };
const producerTable = { ...COMMON_SETTINGS, ...PRODUCER_SETTINGS };

function resolve(side: ConfigSide, config: object): Record<string, unknown> {
  const table = resolveTable(side, config);
  applyRules(table);
  readPemFiles(table.values);
  return table.values;
}

/**
 * Checks a consumer's settings and fills in the defaults, without connecting to anything.
 *
 * @throws ConfigurationError that names the setting, the value and what is wrong, with the nearest known setting for
 * an unknown one. Never shows a password.
 */
export function resolveConsumerConfig(config: KafkaConsumerConfig): ResolvedConsumerConfig {
  const side = { client: "KafkaConsumer", table: consumerTable, siblingTable: producerTable } as const;
  return resolve(side, config) as unknown as ResolvedConsumerConfig;
}

/** The same for a producer's settings. */
export function resolveProducerConfig(config: KafkaProducerConfig): ResolvedProducerConfig {
  const side = { client: "KafkaProducer", table: producerTable, siblingTable: consumerTable } as const;
  return resolve(side, config) as unknown as ResolvedProducerConfig;
}
