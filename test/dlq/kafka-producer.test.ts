import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DlqHeader, KafkaDlqProducer } from "../../src/dlq/kafka-producer.ts";
import { ConfigurationError } from "../../src/errors.ts";
import { BrokerMessage } from "../../src/message/message.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import type { Topic } from "../../src/message/topic.ts";
import { P1 } from "../strategies/fixtures.ts";

async function sent(payload: KafkaPayload, reason?: string, timestampMs?: number) {
  const calls: { topic: string; payload: KafkaPayload }[] = [];
  const producer = {
    produce: async (topic: Topic, letter: KafkaPayload) =>
      void calls.push({ topic: topic.name, payload: letter }),
  };
  await new KafkaDlqProducer(producer, "orders-dlq").produce(
    new BrokerMessage(payload, P1, 42, timestampMs),
    reason,
  );
  assert.equal(calls.length, 1);
  return calls[0]!;
}

const told = (payload: KafkaPayload): unknown[] =>
  payload.headers.map(([name, value]) => [name, value === null ? null : value.toString()]);

describe("KafkaDlqProducer", () => {
  it("refuses to write a letter of its own topic there again: that would never end", async () => {
    const producer = { produce: () => assert.fail("it was written") };
    const letter = new BrokerMessage(new KafkaPayload(null, "x"), P1, 42);
    await assert.rejects(new KafkaDlqProducer(producer, "orders").produce(letter, undefined), {
      name: "InvalidStateError",
      message: /^It is in orders already: /,
    });
  });

  it("sends key and value as they were, and says in headers where they came from", async () => {
    const { topic, payload } = await sent(new KafkaPayload("key", "value"), "not an order", 1_234);
    assert.equal(topic, "orders-dlq");
    assert.equal(payload.key?.toString(), "key");
    assert.equal(payload.text(), "value");
    assert.deepEqual(told(payload), [
      [DlqHeader.TOPIC, "orders"],
      [DlqHeader.PARTITION, "1"],
      [DlqHeader.OFFSET, "42"],
      [DlqHeader.TIMESTAMP, "1234"],
      [DlqHeader.REASON, "not an order"],
    ]);
  });

  it("leaves the message's own headers as they are, before its own", async () => {
    const original = new KafkaPayload("key", "value", [
      ["trace", "abc"],
      ["empty", null],
      [DlqHeader.OFFSET, "7"],
    ]);
    const { payload } = await sent(original);
    assert.deepEqual(told(payload), [
      ["trace", "abc"],
      ["empty", null],
      [DlqHeader.OFFSET, "7"],
      [DlqHeader.TOPIC, "orders"],
      [DlqHeader.PARTITION, "1"],
      [DlqHeader.OFFSET, "42"],
    ]);
    assert.equal(payload.header(DlqHeader.OFFSET)?.toString(), "42", "the last one counts");
    assert.equal(original.headers.length, 3);
  });

  it("keeps a tombstone one", async () => {
    const { payload } = await sent(new KafkaPayload(null, null));
    assert.deepEqual([payload.key, payload.value], [null, null]);
  });

  it("refuses a topic that Kafka does not allow", () => {
    assert.throws(() => new KafkaDlqProducer({ produce: async () => {} }, "no spaces"), ConfigurationError);
  });
});
