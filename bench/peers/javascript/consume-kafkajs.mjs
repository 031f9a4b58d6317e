import { Kafka, logLevel } from "kafkajs";
import { groupId, hit, servers, topic } from "./meter.mjs";

const kafka = new Kafka({ clientId: "bench", brokers: [servers], logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommitInterval: 1_000,
  eachBatch: async ({ batch }) => {
    for (const _ of batch.messages) hit();
  },
});
