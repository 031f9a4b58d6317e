import assert from "node:assert/strict";
import { kafkaTest } from "./kafka-test.ts";

kafkaTest("a test gets a Kafka with topics of its own", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 3 });
  assert.deepEqual(
    await kafka.endOffsets(topic, 3),
    new Map([
      [0, 0],
      [1, 0],
      [2, 0],
    ]),
  );
  assert.equal((await kafka.committedOffsets(kafka.name("group"), topic)).size, 0);
});
