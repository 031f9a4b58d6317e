export { KafkaConsumer, type KafkaClientOptions } from "./consumer.ts";
export { KafkaProducer, type KafkaProducerOptions } from "./producer.ts";
export {
  ReloadingKafkaProducer,
  type ProducerSettingsSource,
  type ReloadingKafkaProducerOptions,
} from "./reloading-producer.ts";
export { watchConfigFile, type WatchConfigFileOptions } from "./config-file.ts";
export type { OAuthBearerToken, OAuthBearerTokenRefresh } from "./oauthbearer.ts";
export type { KafkaConsumerConfig, KafkaProducerConfig } from "./config.ts";
export type {
  BatchStatistics,
  BrokerStatistics,
  ConsumerStatistics,
  GroupStatistics,
  PartitionStatistics,
  ProducerStatistics,
  RoundTrips,
} from "./statistics.ts";
export { KafkaPayload, type KafkaHeader, type KafkaHeadersInput } from "../message/payload.ts";
