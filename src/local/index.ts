export { LocalBroker, type LocalBrokerOptions, type LocalFolderOptions } from "./broker.ts";
export type { LocalConsumerConfig } from "./config.ts";
export type { LocalConsumer } from "./consumer.ts";
export type { LocalProducer } from "./producer.ts";
