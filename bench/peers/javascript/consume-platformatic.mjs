import { Consumer } from "@platformatic/kafka";
import { groupId, hit, servers, topic } from "./meter.mjs";

const consumer = new Consumer({
  groupId,
  clientId: "bench",
  bootstrapBrokers: [servers],
  maxWaitTime: 100,
  maxBytes: 10_485_760,
});
const stream = await consumer.consume({ topics: [topic], mode: "earliest", autocommit: 1_000 });
stream.on("data", () => hit());
