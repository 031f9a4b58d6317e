import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UndoneMessages } from "../../src/dlq/buffer.ts";
import type { BrokerMessage } from "../../src/message/message.ts";
import type { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { P0, P1, at } from "../strategies/fixtures.ts";

function run(partition: Partition, from: number, to: number): BrokerMessage<string>[] {
  return Array.from({ length: to - from }, (_, i) => at(`m${from + i}`, from + i, partition));
}

describe("UndoneMessages", () => {
  it("finds what was added, also in lists of several partitions and with gaps", () => {
    const undone = new UndoneMessages<string>({ maxMessages: 100, maxBytes: Infinity });
    undone.add([...run(P0, 0, 3), ...run(P1, 7, 9), ...run(P0, 3, 5), at("gap", 9)]);
    undone.add(run(P0, 10, 12));
    assert.equal(undone.find(P0, 1)?.payload, "m1");
    assert.equal(undone.find(P1, 8)?.payload, "m8");
    assert.equal(undone.find(P0, 9)?.payload, "gap");
    assert.equal(undone.find(P0, 11)?.payload, "m11");
    assert.equal(undone.find(P0, 7), undefined);
    assert.equal(undone.find(P1, 1), undefined);
    assert.deepEqual(
      [...undone.lengths()],
      [
        [P0, 8],
        [P1, 2],
      ],
    );
  });

  it("keeps the very messages, without a copy", () => {
    const undone = new UndoneMessages<string>({ maxMessages: 100, maxBytes: Infinity });
    const messages = run(P0, 0, 3);
    undone.add(messages);
    assert.equal(undone.find(P0, 2), messages[2]);
  });

  it("lets go of what is done", () => {
    const undone = new UndoneMessages<string>({ maxMessages: 100, maxBytes: Infinity });
    for (let from = 0; from < 50; from += 10) undone.add(run(P0, from, from + 10));
    undone.done(P0, 25);
    assert.deepEqual([...undone.lengths()], [[P0, 30]]);
    assert.equal(undone.find(P0, 19), undefined);
    assert.equal(undone.find(P0, 25)?.payload, "m25");
    undone.done(P0, 50);
    assert.deepEqual([...undone.lengths()], [[P0, 0]]);
    undone.remove(P0);
    assert.deepEqual([...undone.lengths()], []);
  });

  it("forgets the oldest when there are too many, and says how many", () => {
    const undone = new UndoneMessages<string>({ maxMessages: 25, maxBytes: Infinity });
    assert.deepEqual([...undone.add(run(P0, 0, 10))], []);
    assert.deepEqual([...undone.add(run(P0, 10, 20))], []);
    assert.deepEqual([...undone.add([...run(P0, 20, 30), ...run(P1, 0, 5)])], [[P0, 10]]);
    assert.equal(undone.find(P0, 9), undefined);
    assert.equal(undone.find(P0, 10)?.payload, "m10");
    assert.deepEqual([...undone.add(run(P0, 30, 60))], [[P0, 50]], "a run that is too long by itself, too");
    assert.deepEqual(
      [...undone.lengths()],
      [
        [P0, 0],
        [P1, 5],
      ],
    );
  });

  it("counts the bytes of Kafka payloads", () => {
    const undone = new UndoneMessages<KafkaPayload>({ maxMessages: Infinity, maxBytes: 1_000 });
    const sent = (offset: number) => at(new KafkaPayload(null, "x".repeat(400)), offset);
    undone.add([sent(0)]);
    undone.add([sent(1)]);
    assert.deepEqual([...undone.add([sent(2)])], [[P0, 1]]);
    undone.done(P0, 2);
    assert.deepEqual([...undone.add([sent(3)])], []);
  });
});
