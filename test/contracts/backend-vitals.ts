import assert from "node:assert/strict";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Vitals } from "../../src/backend/vitals.ts";
import type { Backend } from "./backend.ts";
import { CLOSE_MS, Reader, readNext } from "./reader.ts";

export const vitalsContract: Readonly<Record<string, (backend: Backend) => Promise<void>>> = {
  "the vitals tell every thread of the membership, the partitions and the polls": async (backend) => {
    const topic = await backend.createTopic(2);
    const group = backend.newGroup();
    const consumer = backend.consumer(group);
    // As another thread sees them.
    const vitals = new Vitals(consumer.vitals!.buffer);
    assert.deepEqual([vitals.member, vitals.partitions], ["none", 0]);
    assert.equal(vitals.maxPollIntervalMs, 300_000);
    const first = new Reader(consumer, [topic]).start();
    await first.until(({ owned }) => owned.size === 2);
    assert.equal(vitals.member, "member");
    const second = new Reader(backend.consumer(group), [topic]).start();
    await first.until(({ owned }) => owned.size === 1);
    await second.until(({ owned }) => owned.size === 1);
    await first.stop();
    assert.deepEqual([vitals.member, vitals.partitions], ["member", 1]);
    const { polls } = vitals;
    await consumer.poll({ timeoutMs: 700 });
    assert.ok(vitals.polls - polls > 2, "a poll that waits counts, besides its beginning and its end");
    await second.stop();
    await consumer.close(CLOSE_MS);
    assert.deepEqual([vitals.member, vitals.partitions], ["left", 0]);
  },

  "the lag is what was not delivered yet": async (backend) => {
    const topic = await backend.createTopic(1);
    const producer = backend.producer();
    for (let i = 0; i < 10; i++) void producer.produce(topic, new KafkaPayload(null, String(i)));
    await producer.flush();
    const consumer = backend.consumer(backend.newGroup());
    consumer.subscribe([topic]);
    await readNext(consumer, 3);
    assert.equal(consumer.lag!(Partition.of(topic, 0)), 7);
    await readNext(consumer, 7);
    assert.equal(consumer.lag!(Partition.of(topic, 0)), 0);
  },
};
