import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveProducerConfig } from "../../../src/kafka/config.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { PARTITIONERS, type PartitionerName } from "../../../src/kafka/partitioners.ts";
import { KafkaProducer } from "../../../src/kafka/producer.ts";
import { silentLogger } from "../../../src/logger.ts";
import { FakeBroker, metadataBody, type FakeRequest } from "../client/fake-broker.ts";
import { AccumulatorHarness } from "./accumulator-harness.ts";

const METADATA = 3;

test("partitioner: each message goes where the one that was chosen wants it", () => {
  const places = (partitioner: PartitionerName): number[] => {
    const t = new AccumulatorHarness({ partitioner, "linger.ms": 0, "batch.num.messages": 1 });
    t.accumulator.topic("t", 7, []);
    return Array.from({ length: 30 }, (_, i) => {
      const payload = new KafkaPayload(`key ${i}`, null);
      void t.accumulator.produce("t", -1, payload);
      const { index } = t.batches.at(-1)!;
      assert.equal(index, PARTITIONERS[partitioner](payload, 7));
      return index;
    });
  };
  assert.notDeepEqual(places("consistent_random"), places("murmur2_random"));
});

test("the other names of settings mean the same", () => {
  const config = resolveProducerConfig({
    "metadata.broker.list": "broker:9092",
    "delivery.timeout.ms": 1_234,
    "queue.buffering.max.ms": 7,
    "message.send.max.retries": 3,
    "max.in.flight": 2,
    "compression.codec": "zstd",
    "request.required.acks": "all",
  });
  assert.deepEqual(
    [
      config["message.timeout.ms"],
      config["linger.ms"],
      config.retries,
      config["max.in.flight.requests.per.connection"],
      config["compression.type"],
      config.acks,
    ],
    [1_234, 7, 3, 2, "zstd", -1],
  );
});

for (const allowed of [true, false]) {
  test(`allow.auto.create.topics ${allowed}: brokers are told so when they are asked for a topic`, async () => {
    await using broker = await FakeBroker.start();
    const asked = new Promise<FakeRequest>((resolve) => {
      broker.on(METADATA, (request) => {
        // The first question is for brokers only.
        if (request.frame.includes("wanted")) resolve(request);
        else request.answer(metadataBody([{ nodeId: 1, port: broker.port }]));
      });
    });
    await using producer = new KafkaProducer(
      {
        "bootstrap.servers": `127.0.0.1:${broker.port}`,
        "allow.auto.create.topics": allowed,
        "enable.idempotence": false,
      },
      { logger: silentLogger },
    );
    const failed = assert.rejects(producer.produce("wanted", new KafkaPayload(null, "v")));
    // At the end of the request: may create, include authorized operations, no tagged fields.
    assert.deepEqual([...(await asked).frame.subarray(-3)], [allowed ? 1 : 0, 0, 0]);
    await producer.close(0);
    await failed;
  });
}
