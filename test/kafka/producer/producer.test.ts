import { test } from "node:test";
import assert from "node:assert/strict";
import { ErrorCode, ProducerError } from "../../../src/errors.ts";
import { silentLogger } from "../../../src/logger.ts";
import { Partition } from "../../../src/message/partition.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { Topic } from "../../../src/message/topic.ts";
import { KafkaProducer } from "../../../src/kafka/producer.ts";
import type { KafkaProducerConfig } from "../../../src/kafka/config.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { readAll } from "./read-all.ts";

function producerOf(kafka: KafkaTest, settings: Partial<KafkaProducerConfig> = {}): KafkaProducer {
  const config = { ...settings, "bootstrap.servers": kafka.bootstrapServers } as KafkaProducerConfig;
  return new KafkaProducer(config, { logger: silentLogger });
}

kafkaTest(
  "what is produced can be read by another client: keys, values, headers, nulls and timestamps",
  async (kafka) => {
    const topic = await kafka.createTopic();
    await using producer = producerOf(kafka);
    const before = Date.now();
    const deliveries = await Promise.all([
      producer.produce(topic, new KafkaPayload("k", "v", [["a", "1"], ["none", null], ["a", "2"]])), // prettier-ignore
      producer.produce(new Topic(topic), new KafkaPayload(null, null)),
      producer.produce(Partition.of(topic, 0), new KafkaPayload("", Buffer.from([0, 255]))),
    ]);
    const partition = Partition.of(topic, 0);
    assert.deepEqual(
      deliveries.map(({ offset }) => offset),
      [0, 1, 2],
    );
    assert.ok(deliveries.every((delivery) => delivery.partition === partition));
    assert.ok(deliveries.every(({ timestampMs }) => timestampMs >= before && timestampMs <= Date.now()));
    const records = await readAll(kafka, topic, 3);
    assert.deepEqual(
      records.map(({ key, value, headers, timestamp }) => ({ key, value, headers, timestamp })),
      [
        { key: "k", value: "v", headers: [["a", "1"], ["none", null], ["a", "2"]], timestamp: deliveries[0].timestampMs }, // prettier-ignore
        { key: null, value: null, headers: [], timestamp: deliveries[1].timestampMs },
        {
          key: "",
          value: Buffer.from([0, 255]).toString(),
          headers: [],
          timestamp: deliveries[2].timestampMs,
        },
      ],
    );
  },
);

for (const type of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
  kafkaTest(`the broker accepts batches with compression.type ${type}`, async (kafka) => {
    // Made to compress anew with another codec, the broker must decompress what it gets.
    const recompressed = type === "gzip" ? "zstd" : "gzip";
    const topic = await kafka.createTopic({ configs: { "compression.type": recompressed } });
    await using producer = producerOf(kafka, { "compression.type": type, "linger.ms": 50 });
    const sent = Array.from({ length: 3_000 }, (_, i) => `{"id":${i},"name":"${"x".repeat(i % 50)}"}`);
    const deliveries = await Promise.all(
      sent.map((value) => producer.produce(topic, new KafkaPayload(null, value))),
    );
    deliveries.forEach(({ offset }, i) => assert.equal(offset, i));
    const records = await readAll(kafka, topic, sent.length);
    assert.deepEqual(
      records.map(({ value }) => value),
      sent,
    );
  });
}

kafkaTest(
  "many messages with keys arrive once each, in order per partition, each where it says",
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: 4 });
    await using producer = producerOf(kafka, { "linger.ms": 2, "compression.type": "lz4" });
    const count = 50_000;
    const deliveries = await Promise.all(
      Array.from({ length: count }, (_, i) =>
        producer.produce(topic, new KafkaPayload(`key-${i % 100}`, `${i}`)),
      ),
    );
    const records = await readAll(kafka, topic, count, 4);
    const at = new Map(records.map(({ partition, offset, value }) => [`${partition}@${offset}`, value]));
    assert.equal(at.size, count);
    const last = new Map<number, number>();
    const keys = new Map<number, number>();
    deliveries.forEach(({ partition, offset }, i) => {
      assert.equal(at.get(`${partition.index}@${offset}`), `${i}`);
      assert.ok(offset > (last.get(partition.index) ?? -1), "in order");
      last.set(partition.index, offset);
      assert.equal(keys.get(i % 100) ?? partition.index, partition.index, "one partition for each key");
      keys.set(i % 100, partition.index);
    });
    assert.equal(last.size, 4);
  },
);

kafkaTest("with LogAppendTime the delivery has the broker's timestamp", async (kafka) => {
  const topic = await kafka.createTopic({ configs: { "message.timestamp.type": "LogAppendTime" } });
  await using producer = producerOf(kafka);
  const delivery = await producer.produce(topic, new KafkaPayload(null, "v"));
  const [record] = await readAll(kafka, topic, 1);
  assert.equal(delivery.timestampMs, record!.timestamp);
});

kafkaTest("flush sends what lingers, and resolves after the deliveries have", async (kafka) => {
  const topic = await kafka.createTopic();
  await using producer = producerOf(kafka, { "linger.ms": 60_000 });
  for (const offset of [0, 1]) {
    let delivered = -1;
    void producer
      .produce(topic, new KafkaPayload(null, "v"))
      .then((delivery) => (delivered = delivery.offset));
    await producer.flush();
    assert.equal(delivered, offset, "also the first one, whose topic was not known yet");
  }
  assert.equal(producer.inFlight, 0);
  await using eager = producerOf(kafka, { "linger.ms": 0 });
  assert.equal((await eager.produce(topic, new KafkaPayload(null, "v"))).offset, 2);
});

kafkaTest("close delivers what was produced before it", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  const producer = producerOf(kafka, { "linger.ms": 60_000 });
  const deliveries = Promise.all(
    Array.from({ length: 100 }, () => producer.produce(topic, new KafkaPayload(null, "v"))),
  );
  await producer.close(50_000);
  assert.equal((await deliveries).length, 100);
  assert.equal(producer.closed, true);
  await assert.rejects(producer.produce(topic, new KafkaPayload(null, "v")), {
    code: ErrorCode.INVALID_STATE,
  });
  await producer.close();
});

kafkaTest("a partition that does not exist is an error that says how many there are", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  await using producer = producerOf(kafka);
  await assert.rejects(producer.produce(Partition.of(topic, 2), new KafkaPayload(null, "v")), {
    code: ErrorCode.PRODUCER,
    message: `${topic} has 2 partitions, so none with index 2.`,
  });
});

kafkaTest("a batch that the topic does not allow is an error that says what to change", async (kafka) => {
  const topic = await kafka.createTopic({ configs: { "max.message.bytes": "1000" } });
  await using producer = producerOf(kafka);
  const large = producer.produce(topic, new KafkaPayload(null, "x".repeat(2_000)));
  await assert.rejects(large, {
    code: ErrorCode.PRODUCER,
    message: /MESSAGE_TOO_LARGE.*max\.message\.bytes/,
  });
  assert.equal((await producer.produce(topic, new KafkaPayload(null, "small"))).offset, 0);
});

kafkaTest(
  "a message without a key for a compacted topic is an error, with the broker's words",
  async (kafka) => {
    const topic = await kafka.createTopic({ configs: { "cleanup.policy": "compact" } });
    await using producer = producerOf(kafka);
    await assert.rejects(producer.produce(topic, new KafkaPayload(null, "v")), {
      code: ErrorCode.PRODUCER,
      message: /INVALID_RECORD.*without a key.*\(.*key.*\)/i,
    });
    assert.equal((await producer.produce(topic, new KafkaPayload("k", "v"))).offset, 0);
  },
);

kafkaTest("a topic that is made a moment later gets what was produced before", async (kafka) => {
  const topic = kafka.name("late");
  await using producer = producerOf(kafka);
  const delivery = producer.produce(topic, new KafkaPayload(null, "v"));
  await producer.flush(300).catch(() => {});
  assert.equal(producer.inFlight, 1);
  await kafka.createTopic({ name: topic });
  assert.equal((await delivery).offset, 0);
});

kafkaTest("connect proves that brokers and topics are there, and says what is not", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  await using producer = new KafkaProducer(
    { "bootstrap.servers": kafka.bootstrapServers, "allow.auto.create.topics": false },
    { logger: silentLogger },
  );
  await producer.connect([topic]);
  assert.deepEqual(producer.topics, [topic]);
  const missing = kafka.name("missing");
  await assert.rejects(producer.connect([topic, missing], 200), (error: Error) => {
    assert.match(error.message, new RegExp(`within 200 ms, or do not know .*${missing}`));
    return true;
  });
  assert.deepEqual(producer.topics, [topic]);
  const connecting = assert.rejects(producer.connect([missing]), {
    message: /^The producer (is|was) closed/,
  });
  await producer.close();
  await connecting;
});

kafkaTest("a full queue refuses, and takes more once deliveries have come back", async (kafka) => {
  const topic = await kafka.createTopic();
  await using producer = producerOf(kafka, { "queue.buffering.max.messages": 100 });
  const taken = Array.from({ length: 100 }, () => producer.produce(topic, new KafkaPayload(null, "v")));
  const error: unknown = await producer
    .produce(topic, new KafkaPayload(null, "v"))
    .catch((caught: unknown) => caught);
  assert.ok(ProducerError.isQueueFull(error));
  await taken[0];
  assert.equal((await producer.produce(topic, new KafkaPayload(null, "v"))).offset, 100);
});

test("what cannot be a message or a topic is refused, and a wrong setting before any connection", async () => {
  assert.throws(() => new KafkaProducer({ "bootstrap.servers": "127.0.0.1:1", "linger.mss": 1 } as never), {
    code: ErrorCode.CONFIGURATION,
    message: /linger\.ms/,
  });
  await using producer = new KafkaProducer({ "bootstrap.servers": "127.0.0.1:1" }, { logger: silentLogger });
  for (const payload of ["v", null, { key: "k", value: "v" }]) {
    await assert.rejects(producer.produce("t", payload as never), {
      code: ErrorCode.CONFIGURATION,
      message: /takes a KafkaPayload/,
    });
  }
  await assert.rejects(producer.produce("no such name!", new KafkaPayload(null, "v")), {
    code: ErrorCode.CONFIGURATION,
  });
});

test("without a broker, messages fail after message.timeout.ms, flush after its own time, and close is quick", async () => {
  const nowhere = { "bootstrap.servers": "127.0.0.1:1" };
  await using hasty = new KafkaProducer({ ...nowhere, "message.timeout.ms": 300 }, { logger: silentLogger });
  await assert.rejects(hasty.produce("t", new KafkaPayload(null, "v")), {
    code: ErrorCode.PRODUCER,
    message: /not delivered within "message.timeout.ms" \(300 ms\)/,
  });

  // Its messages have longer than the test.
  const patient = new KafkaProducer({ ...nowhere, "message.timeout.ms": 300_000 }, { logger: silentLogger });
  const abandoned = patient.produce("t", new KafkaPayload(null, "v"));
  abandoned.catch(() => {});
  await assert.rejects(patient.flush(50), {
    code: ErrorCode.DEADLINE,
    message: /1 messages are still on their way/,
  });
  await patient.close(100);
  await assert.rejects(abandoned, {
    code: ErrorCode.PRODUCER,
    message: /closed before the message was delivered/,
  });
});
