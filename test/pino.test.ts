import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { pipeline, StreamProcessor, type Logger } from "../src/index.ts";
import { LocalBroker } from "../src/local/index.ts";
import { KafkaPayload } from "../src/message/payload.ts";

test("a pino logger fits as it is: levels, fields, and errors with their stack and their cause", async () => {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>),
  };
  const logger: Logger = pino({ base: null }, destination).child({ consumer: "orders" });
  await using broker = new LocalBroker({ logger });
  await broker.createTopic("orders", 1);
  await broker.producer().produce("orders", new KafkaPayload(null, "x"));
  const processor = new StreamProcessor({
    consumer: broker.consumer({ "group.id": "g", "auto.offset.reset": "earliest" }),
    topic: "orders",
    factory: pipeline()
      .map(() => {
        throw new Error("no order", { cause: new Error("no database") });
      })
      .commit(),
    logger,
  });
  await assert.rejects(processor.run(), /no order/);
  const end = lines.find(({ msg }) => msg === "The processor stops because of an error.")!;
  const { level, consumer, topic, partition, offset } = end;
  assert.deepEqual(
    { level, consumer, topic, partition, offset },
    { level: pino.levels.values["error"], consumer: "orders", topic: "orders", partition: 0, offset: 0 },
  );
  const { type, stack } = end["err"] as { readonly type: string; readonly stack: string };
  assert.equal(type, "Error");
  assert.match(stack, /no order[^]*no database/);
  const assigned = lines.find(({ msg }) => msg === "Partitions were assigned.")!;
  assert.equal(assigned["level"], pino.levels.values["info"]);
  assert.deepEqual(assigned["partitions"], ["orders:0"]);
});
