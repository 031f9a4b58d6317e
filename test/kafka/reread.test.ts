import assert from "node:assert/strict";
import { InvalidStateError } from "../../src/errors.ts";
import { KafkaConsumer } from "../../src/kafka/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { Partition } from "../../src/message/partition.ts";
import { Topic } from "../../src/message/topic.ts";
import { fill } from "./fill.ts";
import { kafkaTest } from "./kafka-test.ts";

kafkaTest("a message is read again at its offset, and the position stays where it is", async (kafka) => {
  const topic = await kafka.createTopic();
  const partition = Partition.of(topic, 0);
  const values = Array.from({ length: 500 }, (_, i) => ({ key: `k${i}`, value: `v${i}` }));
  await fill(kafka, topic, values, "lz4");
  await using consumer = new KafkaConsumer(
    {
      "bootstrap.servers": kafka.bootstrapServers,
      "group.id": kafka.name("group"),
      "auto.offset.reset": "earliest",
    },
    { logger: silentLogger },
  );
  await assert.rejects(consumer.reread(partition, 0), InvalidStateError);
  consumer.subscribe([new Topic(topic)]);
  let taken = 0;
  while (taken < 500) taken += (await consumer.poll({ timeoutMs: 1_000 })).length;
  const again = await Promise.all([7, 499, 0].map((offset) => consumer.reread(partition, offset)));
  assert.deepEqual(
    again.map(({ offset, payload }) => [offset, payload.key?.toString(), payload.text()]),
    [
      [7, "k7", "v7"],
      [499, "k499", "v499"],
      [0, "k0", "v0"],
    ],
  );
  assert.equal(consumer.tell().get(partition), 500);
  await kafka.deleteRecords(topic, 0, 100);
  await assert.rejects(consumer.reread(partition, 7), { code: "ARROYO_OFFSET_OUT_OF_RANGE" });
  assert.equal((await consumer.reread(partition, 100)).payload.text(), "v100");
  const open = consumer.reread(partition, 10_000);
  const failed = assert.rejects(open);
  await consumer.close();
  await failed;
});
