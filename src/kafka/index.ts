export { KafkaConsumer, type KafkaClientOptions } from "./consumer.ts";
export { KafkaProducer } from "./producer.ts";
export type { KafkaConsumerConfig, KafkaProducerConfig } from "./config.ts";
export { KafkaPayload, type KafkaHeader, type KafkaHeadersInput } from "../message/payload.ts";
