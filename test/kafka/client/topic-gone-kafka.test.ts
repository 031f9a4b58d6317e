import assert from "node:assert/strict";
import type { RebalanceCallbacks } from "../../../src/backend/consumer.ts";
import { KafkaConsumer } from "../../../src/kafka/consumer.ts";
import { silentLogger } from "../../../src/logger.ts";
import { Partition } from "../../../src/message/partition.ts";
import { Topic } from "../../../src/message/topic.ts";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";

function open(
  kafka: KafkaTest,
  group: string,
  topics: readonly string[],
  callbacks: RebalanceCallbacks = {},
): KafkaConsumer {
  const consumer = new KafkaConsumer(
    {
      "bootstrap.servers": kafka.bootstrapServers,
      "group.id": group,
      "auto.offset.reset": "earliest",
      "arroyo.strict.offset.reset": false,
    },
    { logger: silentLogger },
  );
  consumer.subscribe(
    topics.map((topic) => new Topic(topic)),
    callbacks,
  );
  return consumer;
}

const values = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** Polls until there are so many messages; resolves to their values, and stages what comes. */
async function read(consumer: KafkaConsumer, count: number): Promise<string[]> {
  const values: string[] = [];
  while (values.length < count) {
    for (const message of await consumer.poll({ timeoutMs: 200 })) {
      values.push(message.payload.text());
      consumer.stageOffsets(new Map([[message.partition, message.nextOffset]]));
    }
  }
  return values;
}

kafkaTest("a topic that is deleted holds up no commit of another one", async (kafka) => {
  const [kept, gone] = [await kafka.createTopic(), await kafka.createTopic()];
  await fill(kafka, kept, [{ value: "kept" }]);
  await fill(kafka, gone, [{ value: "gone" }]);
  await using consumer = open(kafka, kafka.name("group"), [kept, gone]);
  assert.deepEqual((await read(consumer, 2)).toSorted(), ["gone", "kept"]);
  await kafka.admin.deleteTopics({ topics: [gone] });
  // The coordinator may take a moment to forget it, and then it is given a moment to learn of it.
  let committed = await consumer.commitOffsets();
  while (committed.size === 2) {
    consumer.stageOffsets(committed);
    committed = await consumer.commitOffsets();
  }
  assert.deepEqual(committed, new Map([[Partition.of(kept, 0), 1]]));
});

kafkaTest("a topic that is made again is read from its beginning, and committed", async (kafka) => {
  const topic = await kafka.createTopic();
  const group = kafka.name("group");
  await fill(
    kafka,
    topic,
    values("old", 5).map((value) => ({ value })),
  );
  const told: string[] = [];
  await using consumer = open(kafka, group, [topic], {
    onAssign: (partitions) => void told.push(`assigned at ${[...partitions.values()].join(" ")}`),
    onLost: async () => {
      // Done in the old topic, too late: it must not become the new one's.
      consumer.stageOffsets(new Map([[Partition.of(topic, 0), 5]]));
      told.push(`lost, ${(await consumer.commitOffsets()).size} committed`);
    },
  });
  assert.deepEqual(await read(consumer, 5), values("old", 5));
  await consumer.commitOffsets();
  await kafka.admin.deleteTopics({ topics: [topic] });
  await kafka.createTopic({ name: topic });
  // More than there were: the old position would be in range.
  await fill(
    kafka,
    topic,
    values("new", 8).map((value) => ({ value })),
  );
  assert.deepEqual(await read(consumer, 8), values("new", 8));
  assert.deepEqual(told, ["assigned at 0", "lost, 0 committed", "assigned at 0"]);
  assert.deepEqual(await consumer.commitOffsets(), new Map([[Partition.of(topic, 0), 8]]));
  assert.deepEqual(await kafka.committedOffsets(group, topic), new Map([[0, 8]]));
});

kafkaTest(
  "a topic that is made again while its partition is handed over gets no offset of the old one",
  async (kafka) => {
    const topic = await kafka.createTopic();
    const group = kafka.name("group");
    await fill(
      kafka,
      topic,
      values("old", 5).map((value) => ({ value })),
    );
    let committed: ReadonlyMap<Partition, number> | undefined;
    await using consumer = open(kafka, group, [topic], {
      onRevoke: async () => {
        await kafka.admin.deleteTopics({ topics: [topic] });
        await kafka.createTopic({ name: topic });
        // What the drain has come to.
        consumer.stageOffsets(new Map([[Partition.of(topic, 0), 5]]));
        committed = await consumer.commitOffsets();
      },
    });
    await read(consumer, 5);
    consumer.unsubscribe();
    while (committed === undefined) await consumer.poll({ timeoutMs: 200 });
    assert.equal(committed.size, 0);
    assert.deepEqual(await kafka.committedOffsets(group, topic), new Map());
  },
);

kafkaTest("a topic that is made again with fewer partitions is read on", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 3 });
  await fill(
    kafka,
    topic,
    values("old", 3).map((value, partition) => ({ partition, value })),
  );
  await using consumer = open(kafka, kafka.name("group"), [topic]);
  assert.deepEqual((await read(consumer, 3)).toSorted(), values("old", 3));
  await kafka.admin.deleteTopics({ topics: [topic] });
  await kafka.createTopic({ name: topic });
  await fill(
    kafka,
    topic,
    values("new", 3).map((value) => ({ value })),
  );
  assert.deepEqual(await read(consumer, 3), values("new", 3));
  // A poll would fail if nobody had taken the partitions back for half a minute.
  while (consumer.tell().size > 1) await consumer.poll({ timeoutMs: 200 });
  assert.deepEqual([...consumer.tell()], [[Partition.of(topic, 0), 3]]);
});
