import { Kafka, logLevel, Partitioners } from "kafkajs";
import { groupId, servers, target, topic } from "./meter.mjs";

/** Messages of a request; four are under way, one for each partition. */
const SIZE = 1_000;

const kafka = new Kafka({ clientId: "bench", brokers: [servers], logLevel: logLevel.NOTHING });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();
const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommitInterval: 1_000,
  eachBatchAutoResolve: false,
  partitionsConsumedConcurrently: 4,
  eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary }) => {
    const messages = batch.messages.map(({ key, value }) => ({ key, value }));
    for (let i = 0; i < messages.length; i += SIZE) {
      const some = messages.slice(i, i + SIZE);
      await producer.sendBatch({ acks: -1, topicMessages: [{ topic: target, messages: some }] });
    }
    resolveOffset(batch.lastOffset());
    await commitOffsetsIfNecessary();
  },
});
