import assert from "node:assert/strict";
import { fetchCommitted } from "../../../src/kafka/client/offset-store.ts";
import { kafkaTest, ownKafkaTest } from "../kafka-test.ts";
import { RealFetch, testProducer, type Compression } from "./real-fetch.ts";

const range = (count: number, from = 0): number[] =>
  Array.from({ length: count }, (_, index) => from + index);

/** What does not come before a poll's end does not come in time for the test. */
const LONG_POLL = { "fetch.wait.max.ms": 300_000 };

kafkaTest("records of every compression come as they were written, in order, each once", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  await using fetch = new RealFetch(kafka.bootstrapServers);
  await fetch.startAll(topic);
  const producer = testProducer(kafka.bootstrapServers);
  const expected: string[] = [];
  try {
    for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"] as Compression[]) {
      const values = range(300).map((index) => `${compression}-${index}-${"y".repeat(index)}`);
      expected.push(...values);
      await producer.send({
        compression,
        messages: values.flatMap((value) => [0, 1].map((partition) => ({ topic, partition, value }))),
      });
    }
  } finally {
    await producer.close();
  }
  await fetch.until(
    "all records",
    () => fetch.positions.get(0) === 1_500 && fetch.positions.get(1) === 1_500,
  );
  const wanted = expected.map((value, offset) => `${offset}:${value}`);
  assert.deepEqual(fetch.messages(0), wanted);
  assert.deepEqual(fetch.messages(1), wanted);
  assert.ok(fetch.records.every(({ highWatermark }) => highWatermark <= 1_500));
});

kafkaTest("limits far below the size of a batch do not stop anything", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 3 });
  const producer = testProducer(kafka.bootstrapServers);
  try {
    for (const round of range(10)) {
      await producer.send({
        messages: range(3).flatMap((partition) =>
          range(20).map((index) => ({ topic, partition, value: `${round}-${index}-${"z".repeat(2_000)}` })),
        ),
      });
    }
  } finally {
    await producer.close();
  }
  for (const config of [
    { "max.partition.fetch.bytes": 1 },
    { "fetch.max.bytes": 1 },
    { "max.partition.fetch.bytes": 50_000, "fetch.max.bytes": 60_000 },
    { "queued.max.messages.kbytes": 1 },
  ]) {
    await using fetch = new RealFetch(kafka.bootstrapServers, config);
    await fetch.startAll(topic);
    await fetch.until(JSON.stringify(config), () =>
      range(3).every((partition) => fetch.positions.get(partition) === 200),
    );
    for (const partition of range(3)) {
      const offsets = fetch.messages(partition).map((message) => Number.parseInt(message, 10));
      assert.deepEqual(offsets, range(200));
    }
  }
});

kafkaTest("an empty topic is waited for, and its first record comes at once", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 4 });
  await using fetch = new RealFetch(kafka.bootstrapServers, LONG_POLL);
  const partitions = await fetch.know(topic);
  assert.deepEqual(
    [...(await fetch.offsets(partitions, "latest")).values()].map(({ offset }) => offset),
    [0, 0, 0, 0],
  );
  await fetch.startAll(topic);
  await fetch.until("the ends", () => fetch.progress.length === 4);
  const producer = testProducer(kafka.bootstrapServers);
  try {
    await producer.send({ messages: [{ topic, partition: 2, value: "first" }] });
    await fetch.until("the record", () => fetch.records.length === 1);
  } finally {
    await producer.close();
  }
  assert.deepEqual(fetch.messages(2), ["0:first"]);
});

kafkaTest("a seek and a new partition do not wait for the broker's long poll", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  const producer = testProducer(kafka.bootstrapServers);
  try {
    await producer.send({
      messages: range(2).flatMap((partition) =>
        range(10).map((index) => ({ topic, partition, value: String(index) })),
      ),
    });
  } finally {
    await producer.close();
  }
  await using fetch = new RealFetch(kafka.bootstrapServers, LONG_POLL);
  await fetch.know(topic);
  const position = { topic, leaderEpoch: -1 };
  fetch.fetcher.start([{ ...position, index: 0, offset: 0, epoch: 1 }]);
  await fetch.until("the end", () => fetch.positions.get(0) === 10);
  fetch.fetcher.start([{ ...position, index: 1, offset: 0, epoch: 1 }]);
  await fetch.until("the other partition", () => fetch.positions.get(1) === 10);
  fetch.records.length = 0;
  fetch.fetcher.start([{ ...position, index: 0, offset: 4, epoch: 2 }]);
  await fetch.until("the sought records", () => fetch.records.length > 0);
  assert.deepEqual(
    fetch.messages(0),
    range(6, 4).map((offset) => `${offset}:${offset}`),
  );
});

kafkaTest(
  "positions go over the markers of transactions, and nothing is delivered for them",
  async (kafka) => {
    const topic = await kafka.createTopic();
    await using fetch = new RealFetch(kafka.bootstrapServers, { "isolation.level": "read_uncommitted" });
    await fetch.startAll(topic);
    const producer = testProducer(kafka.bootstrapServers, kafka.name("tx"));
    try {
      for (const round of range(3)) {
        const transaction = await producer.beginTransaction();
        await transaction.send({ messages: [{ topic, partition: 0, value: `t${round}` }] });
        if (round === 1) await transaction.abort();
        else await transaction.commit();
      }
    } finally {
      await producer.close();
    }
    // Three records and three markers.
    await fetch.until("the last marker", () => fetch.positions.get(0) === 6);
    assert.deepEqual(fetch.messages(0), ["0:t0", "2:t1", "4:t2"]);
  },
);

kafkaTest("an offset that is not in the log is told once, whichever end it lies beyond", async (kafka) => {
  const topic = await kafka.createTopic();
  const producer = testProducer(kafka.bootstrapServers);
  try {
    await producer.send({
      messages: range(20).map((index) => ({ topic, partition: 0, value: String(index) })),
    });
  } finally {
    await producer.close();
  }
  await kafka.deleteRecords(topic, 0, 12);
  await using fetch = new RealFetch(kafka.bootstrapServers);
  const [partition] = await fetch.know(topic);
  const start = { ...partition!, leaderEpoch: -1 };
  for (const [epoch, offset] of [
    [1, 3],
    [2, 21],
  ] as const) {
    fetch.fetcher.start([{ ...start, offset, epoch }]);
    await fetch.until("out of range", () => fetch.outOfRange.length === epoch);
    assert.equal(fetch.outOfRange.at(-1)?.epoch, epoch);
    assert.equal(fetch.outOfRange.at(-1)?.offset, offset);
  }
  const [earliest, latest] = await Promise.all([
    fetch.offsets([partition!], "earliest"),
    fetch.offsets([partition!], "latest"),
  ]);
  assert.equal(earliest.get(`${topic}:0`)?.offset, 12);
  assert.equal(latest.get(`${topic}:0`)?.offset, 20);
  fetch.fetcher.start([{ ...start, ...earliest.get(`${topic}:0`)!, epoch: 3 }]);
  await fetch.until("the rest", () => fetch.positions.get(0) === 20);
  assert.deepEqual(
    fetch.messages(0),
    range(8, 12).map((offset) => `${offset}:${offset}`),
  );
});

kafkaTest("an offset is found by time, and the end when nothing is as young", async (kafka) => {
  const topic = await kafka.createTopic();
  const producer = testProducer(kafka.bootstrapServers);
  const firstMs = Date.now() - 100_000;
  try {
    for (const index of range(5)) {
      const timestamp = BigInt(firstMs + index * 1_000);
      await producer.send({ messages: [{ topic, partition: 0, value: String(index), timestamp }] });
    }
  } finally {
    await producer.close();
  }
  await using fetch = new RealFetch(kafka.bootstrapServers);
  const partitions = await fetch.know(topic);
  const at = async (timestampMs: number): Promise<number | undefined> =>
    (await fetch.offsets(partitions, timestampMs)).get(`${topic}:0`)?.offset;
  assert.equal(await at(firstMs - 1), 0);
  assert.equal(await at(firstMs + 2_500), 3);
  assert.equal(await at(firstMs + 50_000), 5);
});

kafkaTest("a group that has committed nothing has no offsets", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  await using fetch = new RealFetch(kafka.bootstrapServers);
  const partitions = await fetch.know(topic);
  const groupId = kafka.name("group");
  const { signal } = new AbortController();
  assert.equal((await fetchCommitted(fetch.cluster, { groupId }, partitions, signal)).size, 0);
});

kafkaTest("a topic that is deleted and made again is not read on at the old offsets", async (kafka) => {
  const topic = await kafka.createTopic();
  const produce = async (count: number): Promise<void> => {
    const producer = testProducer(kafka.bootstrapServers);
    try {
      await producer.send({
        messages: range(count).map((index) => ({ topic, partition: 0, value: String(index) })),
      });
    } finally {
      await producer.close();
    }
  };
  await produce(5);
  await using fetch = new RealFetch(kafka.bootstrapServers);
  await fetch.startAll(topic);
  await fetch.until("the records", () => fetch.positions.get(0) === 5);
  const topicId = fetch.cluster.topic(topic)?.topicId;
  await kafka.admin.deleteTopics({ topics: [topic] });
  await kafka.createTopic({ name: topic });
  await produce(10);
  await fetch.until("out of range", () => fetch.outOfRange.length > 0);
  assert.equal(fetch.outOfRange[0]?.offset, 5);
  assert.deepEqual(
    fetch.messages(0),
    range(5).map((offset) => `${offset}:${offset}`),
  );
  // Neither is an offset that was committed in the old one, and would be in the new one's range.
  fetch.fetcher.start([{ topic, index: 0, offset: 3, leaderEpoch: -1, epoch: 2, topicId }]);
  await fetch.until("out of range again", () => fetch.outOfRange.length > 1);
  assert.deepEqual([fetch.outOfRange[1]?.epoch, fetch.outOfRange[1]?.offset], [2, 3]);
  assert.equal(fetch.messages(0).length, 5);
});

ownKafkaTest(
  "what compaction has taken leaves gaps that are gone over",
  { properties: { "log.cleaner.backoff.ms": "100" } },
  async (kafka) => {
    const topic = await kafka.createTopic({
      configs: {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.001",
        "max.compaction.lag.ms": "100",
      },
    });
    const producer = testProducer(kafka.bootstrapServers);
    try {
      for (const round of range(20)) {
        await producer.send({
          messages: range(10).map((index) => ({
            topic,
            partition: 0,
            key: `k${index}`,
            value: `${round}-${index}`,
          })),
        });
      }
      // Until the cleaner has been over it, a reader from the beginning sees all of the records.
      for (;;) {
        await using fetch = new RealFetch(kafka.bootstrapServers);
        await fetch.startAll(topic);
        const end = (await kafka.endOffsets(topic, 1)).get(0)!;
        await fetch.until("the end", () => fetch.positions.get(0) === end);
        const messages = fetch.messages(0);
        const offsets = messages.map((message) => Number.parseInt(message, 10));
        assert.deepEqual(
          offsets,
          offsets.toSorted((a, b) => a - b),
        );
        const last = new Map(messages.map((message) => [message.split("-")[1], message.split(":")[1]]));
        assert.equal(last.get("9"), "19-9");
        if (messages.length < end / 2) break;
        // A new segment makes the one before it ready to be cleaned.
        await producer.send({ messages: [{ topic, partition: 0, key: "roll", value: "roll" }] });
      }
    } finally {
      await producer.close();
    }
  },
);

ownKafkaTest(
  "a leader that is killed: reading goes on at the next one, nothing lost and nothing twice; what it alone had is found to be cut off",
  { brokers: 3 },
  async (kafka, brokers) => {
    const topic = await kafka.createTopic({
      partitions: 3,
      replicas: 3,
      configs: { "min.insync.replicas": "2" },
    });
    await using fetch = new RealFetch(kafka.bootstrapServers);
    await fetch.startAll(topic);
    const written = new Map<number, string[]>(range(3).map((partition) => [partition, []]));
    const produce = async (round: number): Promise<void> => {
      const producer = testProducer(kafka.bootstrapServers);
      try {
        for (const partition of range(3)) {
          const value = `${round}-${partition}`;
          await producer.send({ messages: [{ topic, partition, value }] });
          written.get(partition)!.push(value);
        }
      } finally {
        await producer.close();
      }
    };
    const allRead = (): boolean =>
      range(3).every((partition) => {
        const values = new Set(fetch.messages(partition).map((message) => message.split(":")[1]));
        return written.get(partition)!.every((value) => values.has(value));
      });
    await produce(0);
    await fetch.until("the first records", allRead);
    const victim = fetch.cluster.leader(topic, 0)!.nodeId;
    await brokers.brokers.find(({ nodeId }) => nodeId === victim)!.kill();
    await produce(1);
    await fetch.until("records from the new leaders", allRead);
    await brokers.brokers.find(({ nodeId }) => nodeId === victim)!.start();
    await produce(2);
    await fetch.until("records after the restart", allRead);
    for (const partition of range(3)) {
      const offsets = fetch.messages(partition).map((message) => Number.parseInt(message, 10));
      assert.deepEqual(
        offsets,
        offsets.toSorted((a, b) => a - b),
      );
      assert.equal(new Set(offsets).size, offsets.length);
    }
    assert.deepEqual([fetch.failed, fetch.outOfRange, fetch.unknownTopics], [[], [], []]);

    // As if the old leader had written more than the new one has: that was read, and then cut off.
    const first = fetch.records.filter(({ index }) => index === 0);
    const { leaderEpoch } = first[0]!;
    const cutAt = first.findLast((records) => records.leaderEpoch === leaderEpoch)!.nextOffset;
    fetch.fetcher.start([{ topic, index: 0, offset: cutAt + 1, leaderEpoch, epoch: 2 }]);
    await fetch.until("where the log was cut", () => fetch.outOfRange.length > 0);
    assert.deepEqual(fetch.outOfRange, [{ topic, index: 0, epoch: 2, offset: cutAt + 1, divergedAt: cutAt }]);
  },
  { timeout: 180_000 },
);
