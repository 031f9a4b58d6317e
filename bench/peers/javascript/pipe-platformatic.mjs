import { Consumer, Producer } from "@platformatic/kafka";
import { groupId, servers, target, topic } from "./meter.mjs";
import { Positions } from "./positions.mjs";

/** Messages of a request. */
const SIZE = 5_000;
const MOST_IN_FLIGHT = 4;

const producer = new Producer({ clientId: "bench", bootstrapBrokers: [servers], acks: -1 });
const consumer = new Consumer({
  groupId,
  clientId: "bench",
  bootstrapBrokers: [servers],
  maxWaitTime: 100,
  maxBytes: 10_485_760,
});
const stream = await consumer.consume({ topics: [topic], mode: "earliest", autocommit: false });
const positions = new Positions();
let batch = [];
let inFlight = 0;

stream.on("data", ({ key, value, partition, offset }) => {
  batch.push({ topic: target, key, value });
  positions.read(partition, offset);
  if (batch.length === SIZE) void send();
});

async function send() {
  const messages = batch;
  batch = [];
  const acknowledged = positions.cut();
  if (++inFlight === MOST_IN_FLIGHT) stream.pause();
  await producer.send({ messages });
  acknowledged();
  if (inFlight-- === MOST_IN_FLIGHT) stream.resume();
}

setInterval(async () => {
  const offsets = [...positions.committable()].map(([partition, offset]) => ({
    topic,
    partition,
    offset: offset + 1n,
    leaderEpoch: 0,
  }));
  if (offsets.length > 0) await consumer.commit({ offsets });
}, 1_000);
