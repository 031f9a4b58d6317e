import assert from "node:assert/strict";
import { Topic } from "../../src/index.ts";
import { fill, type TestRecord } from "../kafka/fill.ts";
import { Member } from "../kafka/group/polling-member.ts";
import type { KafkaTest } from "../kafka/kafka-test.ts";
import { PROTOCOLS, type Protocol } from "./scene.ts";

const PARTITIONS = 3;

/** So many records, dealt to all partitions. */
const records = (name: string, count: number): TestRecord[] =>
  Array.from({ length: count }, (_, i) => ({ partition: i % PARTITIONS, value: `${name} ${i}` }));

/** Deletes a topic that groups read, and makes it again: each of them reads everything that is in the new one. */
export async function deleteUnderConsumers(kafka: KafkaTest): Promise<void> {
  const topic = new Topic(await kafka.createTopic({ partitions: PARTITIONS, replicas: 3 }));
  await using members = new AsyncDisposableStack();
  const groups = (Object.keys(PROTOCOLS) as Protocol[]).map((protocol) =>
    members.use(
      new Member(kafka, kafka.name(`deleted-${protocol}`), topic, {
        "group.protocol": "classic",
        ...PROTOCOLS[protocol],
        // Who was put out would read again what it has not committed.
        ...(protocol === "consumer" ? {} : { "session.timeout.ms": 45_000 }),
        "topic.metadata.refresh.interval.ms": 300,
        "arroyo.strict.offset.reset": false,
      }),
    ),
  );
  await fill(kafka, topic.name, records("old", 30));
  for (const group of groups) {
    await group.until(() => group.values.length === 30);
    await group.commit();
  }
  await kafka.admin.deleteTopics({ topics: [topic.name] });
  await kafka.createTopic({ name: topic.name, partitions: PARTITIONS, replicas: 3 });
  const expected = records("new", 60);
  await fill(kafka, topic.name, expected);
  for (const group of groups) {
    const isNew = (value: string): boolean => value.startsWith("new ");
    await group.until(() => new Set(group.values.filter(isNew)).size === expected.length);
    assert.equal(group.values.length, 30 + expected.length, "nothing is there twice");
    await group.commit();
  }
}
