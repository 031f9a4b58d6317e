import client from "@confluentinc/kafka-javascript";
import { groupId, hit, servers, topic } from "./meter.mjs";

const consumer = new client.KafkaConsumer(
  {
    "group.id": groupId,
    "metadata.broker.list": servers,
    "socket.nagle.disable": true,
    "enable.auto.commit": true,
    "auto.commit.interval.ms": 1_000,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.queue.backoff.ms": 5,
  },
  { "auto.offset.reset": "earliest" },
);
consumer.on("ready", () => {
  consumer.subscribe([topic]);
  consumer.setDefaultConsumeTimeout(100);
  const next = () =>
    consumer.consume(1_000, (error, messages) => {
      if (error) throw error;
      for (const _ of messages) hit();
      setImmediate(next);
    });
  next();
});
consumer.connect();
