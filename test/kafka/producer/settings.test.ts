import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveProducerConfig } from "../../../src/kafka/config.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { PARTITIONERS, type PartitionerName } from "../../../src/kafka/partitioners.ts";
import { AccumulatorHarness } from "./accumulator-harness.ts";

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
