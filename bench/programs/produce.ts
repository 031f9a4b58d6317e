import { setImmediate as turn } from "node:timers/promises";
import { silentLogger } from "../../src/index.ts";
import { KafkaPayload, KafkaProducer } from "../../src/kafka/index.ts";
import { Meter, settings } from "./meter.ts";
import { newTarget } from "./target.ts";

/** Produces 100-byte messages, each with its promise, and waits for every acknowledgement. */

/** Messages under way, at the most. */
const MOST_IN_FLIGHT = 50_000;
/** Messages between two turns of the event loop. */
const BURST = 1_000;

const producer = new KafkaProducer(
  {
    "bootstrap.servers": settings.bootstrapServers,
    "enable.idempotence": process.env["BENCH_IDEMPOTENCE"] !== "false",
  },
  { logger: silentLogger },
);
await using target = await newTarget();
await producer.connect([target.name]);
const values = Array.from({ length: 1_000 }, (_, i) =>
  Buffer.from(JSON.stringify({ id: i, project: i % 97, type: "event", tag: "abc"[i % 3] }).padEnd(100)),
);
const meter = new Meter();
const done = Promise.withResolvers<void>();
let isOver = false;
let inFlight = 0;
const room = { freed: Promise.withResolvers<void>() };
const delivered = (): void => {
  if (meter.hit()) {
    isOver = true;
    meter.print();
    done.resolve();
  }
  if (--inFlight === MOST_IN_FLIGHT / 2) room.freed.resolve();
};
const failed = (error: unknown): void => done.reject(error);

meter.start();
for (let sent = 0; sent < settings.messages && !isOver;) {
  for (let i = 0; i < BURST; i++, sent++) {
    const value = values[sent % values.length]!;
    producer.produce(target.name, new KafkaPayload(null, value)).then(delivered, failed);
  }
  inFlight += BURST;
  if (inFlight >= MOST_IN_FLIGHT) {
    room.freed = Promise.withResolvers();
    await Promise.race([room.freed.promise, done.promise]);
  } else {
    await turn();
  }
}
await done.promise;
await producer.close();
