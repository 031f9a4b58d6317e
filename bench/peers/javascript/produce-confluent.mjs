import client from "@confluentinc/kafka-javascript";
import { values } from "./batches.mjs";
import { hit, servers, start, target } from "./meter.mjs";

/** Messages under way, at the most. */
const MOST_IN_FLIGHT = 50_000;
/** Messages between two turns of the event loop. */
const BURST = 1_000;

const producer = new client.Producer({
  "metadata.broker.list": servers,
  "socket.nagle.disable": true,
  dr_cb: true,
  "queue.buffering.max.messages": 1_000_000,
  "linger.ms": 20,
});
let sent = 0;
let inFlight = 0;
let isWaiting = false;
producer.on("delivery-report", (error) => {
  if (error) throw error;
  inFlight--;
  hit();
  if (isWaiting && inFlight <= MOST_IN_FLIGHT / 2) {
    isWaiting = false;
    setImmediate(next);
  }
});
producer.on("ready", () => {
  producer.setPollInBackground(true);
  start();
  next();
});
producer.connect();

function next() {
  for (let i = 0; i < BURST; i++, sent++) producer.produce(target, null, values[sent % values.length]);
  inFlight += BURST;
  isWaiting = inFlight >= MOST_IN_FLIGHT;
  if (!isWaiting) setImmediate(next);
}
