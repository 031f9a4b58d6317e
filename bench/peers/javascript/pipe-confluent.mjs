import client from "@confluentinc/kafka-javascript";
import { groupId, servers, target, topic } from "./meter.mjs";
import { Positions } from "./positions.mjs";

/** Messages that are taken at once. */
const SIZE = 1_000;
/** Messages under way, at the most. */
const MOST_IN_FLIGHT = 50_000;

const consumer = new client.KafkaConsumer(
  {
    "group.id": groupId,
    "metadata.broker.list": servers,
    "socket.nagle.disable": true,
    "enable.auto.commit": false,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.queue.backoff.ms": 5,
  },
  { "auto.offset.reset": "earliest" },
);
const producer = new client.Producer({
  "metadata.broker.list": servers,
  "socket.nagle.disable": true,
  dr_cb: true,
  "queue.buffering.max.messages": 1_000_000,
  "linger.ms": 20,
});
const positions = new Positions();
let inFlight = 0;
let isWaiting = false;

producer.on("delivery-report", (error, { opaque: piece }) => {
  if (error) throw error;
  inFlight--;
  if (--piece.left === 0) piece.acknowledged();
  if (isWaiting && inFlight <= MOST_IN_FLIGHT / 2) {
    isWaiting = false;
    setImmediate(next);
  }
});
producer.on("ready", () => {
  producer.setPollInBackground(true);
  consumer.connect();
});
consumer.on("ready", () => {
  consumer.subscribe([topic]);
  consumer.setDefaultConsumeTimeout(100);
  next();
});
producer.connect();

function next() {
  consumer.consume(SIZE, (error, messages) => {
    if (error) throw error;
    for (const { partition, offset } of messages) positions.read(partition, offset);
    const piece = { left: messages.length, acknowledged: positions.cut() };
    for (const { value, key } of messages) producer.produce(target, null, value, key, null, piece);
    inFlight += messages.length;
    isWaiting = inFlight >= MOST_IN_FLIGHT;
    if (!isWaiting) setImmediate(next);
  });
}

setInterval(() => {
  const offsets = [...positions.committable()].map(([partition, offset]) => ({
    topic,
    partition,
    offset: offset + 1,
  }));
  if (offsets.length > 0) consumer.commit(offsets);
}, 1_000);
