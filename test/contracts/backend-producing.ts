import assert from "node:assert/strict";
import type { Delivery } from "../../src/backend/producer.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import type { Backend } from "./backend.ts";
import { CLOSE_MS, readNext } from "./reader.ts";

type Contract = Readonly<Record<string, (backend: Backend) => Promise<void>>>;

export const producingContract: Contract = {
  "a produced message says where it is, and is read there as it was written": async (backend) => {
    const topic = await backend.createTopic(2);
    const producer = backend.producer();
    const payloads = [
      new KafkaPayload("key", "value", [
        ["a", "1"],
        ["b", null],
        ["a", "2"],
      ]),
      new KafkaPayload(null, "no key"),
      new KafkaPayload("tombstone", null),
      new KafkaPayload("", ""),
      new KafkaPayload(Buffer.from([0, 255, 128]), Buffer.alloc(300_000, 7)),
      new KafkaPayload(null, null, [["empty", ""]]),
    ];
    const before = Date.now();
    const deliveries: Delivery[] = [];
    for (const payload of payloads) deliveries.push(await producer.produce(topic, payload));

    const consumer = backend.consumer(backend.newGroup());
    consumer.subscribe([topic]);
    const messages = await readNext(consumer, payloads.length);
    for (const [at, delivery] of deliveries.entries()) {
      const message = messages.find(
        ({ partition, offset }) => partition === delivery.partition && offset === delivery.offset,
      );
      assert.ok(message, `nothing is at ${delivery.partition} ${delivery.offset}`);
      assert.deepEqual(
        [message.payload.key, message.payload.value, message.payload.headers],
        [payloads[at]!.key, payloads[at]!.value, payloads[at]!.headers],
      );
      assert.equal(message.timestampMs, delivery.timestampMs);
      assert.ok(Math.abs(delivery.timestampMs - before) < 3_600_000, "made about now");
    }
  },

  "offsets count up from 0 in each partition, in the order of the calls": async (backend) => {
    const topic = await backend.createTopic(2);
    const producer = backend.producer();
    const deliveries = await Promise.all(
      Array.from({ length: 200 }, (_, at) =>
        producer.produce(Partition.of(topic, at % 2), new KafkaPayload(null, String(at))),
      ),
    );
    for (const [at, { partition, offset }] of deliveries.entries()) {
      assert.equal(partition, Partition.of(topic, at % 2));
      assert.equal(offset, Math.floor(at / 2));
    }
  },

  "a key always goes to the same partition, whoever produces": async (backend) => {
    const topic = await backend.createTopic(5);
    const [one, other] = [backend.producer(), backend.producer()];
    const partitions = new Set<Partition>();
    for (let key = 0; key < 30; key++) {
      const deliveries = await Promise.all([
        one.produce(topic, new KafkaPayload(`key ${key}`, "a")),
        other.produce(topic.name, new KafkaPayload(Buffer.from(`key ${key}`), "b")),
        one.produce(topic, new KafkaPayload(`key ${key}`, "c")),
      ]);
      assert.equal(new Set(deliveries.map(({ partition }) => partition)).size, 1);
      partitions.add(deliveries[0].partition);
    }
    assert.ok(partitions.size > 1, "different keys are spread");
  },

  "messages without a key are spread": async (backend) => {
    const topic = await backend.createTopic(3);
    const producer = backend.producer();
    const partitions = new Set<Partition>();
    while (partitions.size < 3) {
      partitions.add((await producer.produce(topic, new KafkaPayload(null, "x"))).partition);
    }
  },

  "flush resolves when everything before it is delivered": async (backend) => {
    const topic = await backend.createTopic(2);
    const producer = backend.producer();
    let delivered = 0;
    for (let at = 0; at < 1_000; at++) {
      void producer.produce(topic, new KafkaPayload(null, String(at))).then(() => delivered++);
    }
    await producer.flush();
    assert.equal(delivered, 1_000);
    await producer.flush();
  },

  "close delivers what was produced, and lets nothing follow": async (backend) => {
    const topic = await backend.createTopic(1);
    const producer = backend.producer();
    const deliveries = Array.from({ length: 100 }, () =>
      producer.produce(topic, new KafkaPayload(null, "x")),
    );
    await Promise.all([producer.close(CLOSE_MS), producer.close()]);
    assert.deepEqual(
      (await Promise.all(deliveries)).map(({ offset }) => offset),
      Array.from({ length: 100 }, (_, at) => at),
    );
    await assert.rejects(producer.produce(topic, new KafkaPayload(null, "late")), {
      code: "ARROYO_INVALID_STATE",
    });
    await producer.close();
  },
};
