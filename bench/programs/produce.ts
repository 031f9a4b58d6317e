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
const target = await newTarget();
await producer.connect([target]);
const values = Array.from({ length: 1_000 }, (_, i) =>
  Buffer.from(JSON.stringify({ id: i, project: i % 97, type: "event", tag: "abc"[i % 3] }).padEnd(100)),
);
const meter = new Meter(settings.messages);
const done = Promise.withResolvers<void>();
let inFlight = 0;
const room = { freed: Promise.withResolvers<void>() };
const delivered = (): void => {
  if (meter.hit()) done.resolve();
  if (--inFlight === MOST_IN_FLIGHT / 2) room.freed.resolve();
};
const failed = (error: unknown): void => done.reject(error);

meter.start();
for (let sent = 0; sent < settings.messages;) {
  for (let i = 0; i < BURST; i++, sent++) {
    const value = values[sent % values.length]!;
    producer.produce(target, new KafkaPayload(null, value)).then(delivered, failed);
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
meter.print();
await producer.close();
