import { Kafka, logLevel, Partitioners } from "kafkajs";
import { produceBatches } from "./batches.mjs";
import { servers, target } from "./meter.mjs";

const kafka = new Kafka({ clientId: "bench", brokers: [servers], logLevel: logLevel.NOTHING });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();
await produceBatches(
  (values) =>
    producer.sendBatch({
      acks: -1,
      topicMessages: [{ topic: target, messages: values.map((value) => ({ value })) }],
    }),
  { size: 1_000, inFlight: 4 },
);
