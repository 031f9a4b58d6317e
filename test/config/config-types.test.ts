import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  ClientConfig,
  KafkaConsumerConfig,
  KafkaProducerConfig,
  ResolvedConsumerConfig,
  ResolvedProducerConfig,
} from "../../src/kafka/config.ts";

// These are checked by the compiler: a line under @ts-expect-error that compiles is an error of `npm run types`.

const good: KafkaConsumerConfig = {
  "bootstrap.servers": ["a:9092", "b:9092"],
  "group.id": "orders",
  "session.timeout.ms": "45000",
  "auto.offset.reset": "smallest",
  "security.protocol": "SASL_SSL",
  "enable.auto.commit": false,
  "enable.partition.eof": undefined,
  "fetch.message.max.bytes": 1_000,
};
const alias: KafkaProducerConfig = { "metadata.broker.list": "a", acks: "all", "queue.buffering.max.ms": 1 };
const acks: KafkaProducerConfig = { "bootstrap.servers": "a", acks: 1 };

// @ts-expect-error a misspelt key
const misspelt: KafkaConsumerConfig = { "bootstrap.servers": "a", "group.id": "g", "sesion.timeout.ms": 1 };
// @ts-expect-error the group is missing
const noGroup: KafkaConsumerConfig = { "bootstrap.servers": "a" };
// @ts-expect-error the brokers are missing
const noBrokers: KafkaProducerConfig = { acks: 1 };
// @ts-expect-error acks=0 is not offered
const noAcks: KafkaProducerConfig = { "bootstrap.servers": "a", acks: 0 };
// @ts-expect-error a consumer's key
const otherSide: KafkaProducerConfig = { "bootstrap.servers": "a", "group.id": "g" };
// @ts-expect-error a number that is none
const noNumber: KafkaConsumerConfig["session.timeout.ms"] = "soon";
// @ts-expect-error a word that is not known
const noWord: KafkaConsumerConfig["auto.offset.reset"] = "first";
// @ts-expect-error can only be false
const autoCommit: KafkaConsumerConfig["enable.auto.commit"] = true;

// What the code behind it gets.
declare const consumer: ResolvedConsumerConfig;
declare const producer: ResolvedProducerConfig;
export function typesOnly(): unknown {
  const timeout: number = consumer["session.timeout.ms"];
  const reset: "earliest" | "latest" | "error" = consumer["auto.offset.reset"];
  const strategies: readonly ("range" | "roundrobin" | "cooperative-sticky")[] =
    consumer["partition.assignment.strategy"];
  const password: string | undefined = consumer["sasl.password"];
  const wait: -1 | 1 = producer.acks;
  const clients: ClientConfig[] = [consumer, producer];
  // @ts-expect-error it has one value only, so nobody need ask
  void consumer["enable.auto.commit"];
  return [timeout, reset, strategies, password, wait, clients];
}

test("the compiler knows keys and values of a configuration", () => {
  const examples = [
    good,
    alias,
    acks,
    misspelt,
    noGroup,
    noBrokers,
    noAcks,
    otherSide,
    noNumber,
    noWord,
    autoCommit,
  ];
  assert.equal(examples.length, 11);
});
