import assert from "node:assert/strict";
import type { KafkaConsumerConfig } from "../../src/kafka/config.ts";
import { KafkaConsumer } from "../../src/kafka/consumer.ts";
import { KafkaProducer } from "../../src/kafka/producer.ts";
import type { ConsumerStatistics, ProducerStatistics } from "../../src/kafka/statistics.ts";
import { silentLogger } from "../../src/logger.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { RecordingMetrics } from "../../src/testing/recording-metrics.ts";
import { testProducer } from "./client/real-fetch.ts";
import { fill } from "./fill.ts";
import { EngineDriver } from "./group/engine-driver.ts";
import { kafkaTest, type KafkaTest } from "./kafka-test.ts";

const INTERVAL_MS = 100;
const TIMEOUT_MS = 60_000;
const HEARTBEAT_MS = 200;

/** What is told, and who waits for some of it. */
class Told<Statistics> {
  readonly all: Statistics[] = [];
  #waiting: (() => void) | undefined;

  readonly take = (statistics: Statistics): void => {
    this.all.push(statistics);
    this.#waiting?.();
  };

  /** The first of those that come from now on that says so. */
  async until(holds: (statistics: Statistics) => boolean): Promise<Statistics> {
    const from = this.all.length;
    const { promise, resolve, reject } = Promise.withResolvers<Statistics>();
    const timer = setTimeout(
      () => reject(new Error(`never: ${JSON.stringify(this.all.at(-1))}`)),
      TIMEOUT_MS,
    );
    this.#waiting = () => {
      const found = this.all.slice(from).find(holds);
      if (found !== undefined) resolve(found);
    };
    return await promise.finally(() => clearTimeout(timer));
  }
}

interface Started extends AsyncDisposable {
  readonly consumer: KafkaConsumer;
  readonly told: Told<ConsumerStatistics>;
  readonly metrics: RecordingMetrics;
}

async function start(
  kafka: KafkaTest,
  topic: string,
  config: Partial<KafkaConsumerConfig> = {},
): Promise<Started> {
  const told = new Told<ConsumerStatistics>();
  const metrics = new RecordingMetrics();
  const consumer = new KafkaConsumer(
    {
      "bootstrap.servers": kafka.bootstrapServers,
      "group.id": kafka.name("group"),
      "auto.offset.reset": "earliest",
      "statistics.interval.ms": INTERVAL_MS,
      "fetch.wait.max.ms": 50,
      "heartbeat.interval.ms": HEARTBEAT_MS,
      ...config,
    } as KafkaConsumerConfig,
    { logger: silentLogger, metrics, onStatistics: told.take },
  );
  consumer.subscribe([new Topic(topic)]);
  while (consumer.tell().size === 0) await consumer.poll({ timeoutMs: 100, maxMessages: 0 });
  return { consumer, told, metrics, [Symbol.asyncDispose]: () => consumer.close() };
}

async function read(consumer: KafkaConsumer, count: number): Promise<void> {
  for (let left = count; left > 0;) {
    left -= (await consumer.poll({ timeoutMs: 1_000, maxMessages: left })).length;
  }
}

const values = (count: number, partition = 0): { partition: number; value: string }[] =>
  Array.from({ length: count }, (_, at) => ({ partition, value: `${at}`.padEnd(100) }));

kafkaTest("a consumer's statistics say where it is, after a known traffic", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  await fill(kafka, topic, values(10));
  await using started = await start(kafka, topic);
  const { consumer, told, metrics } = started;
  await read(consumer, 4);
  consumer.stageOffsets(new Map([[Partition.of(topic, 0), 3]]));
  await consumer.commitOffsets();

  const { group, partitions, brokers, clientId, type } = await told.until(
    ({ partitions: [first], brokers: all }) =>
      first?.committed === 3 && first.fetchPosition === 10 && all.some(({ roundTrip }) => roundTrip),
  );
  assert.deepEqual([type, clientId], ["consumer", "arroyo"]);
  const [first, quiet] = partitions.toSorted((one, other) => one.partition - other.partition);
  assert.ok(first !== undefined && first.queuedBytes > 0 && first.queuedBytes < 10_000);
  assert.ok(brokers.some(({ nodeId }) => nodeId === first.leader));
  assert.deepEqual(first, {
    topic,
    partition: 0,
    fetchPosition: 10,
    position: 4,
    committed: 3,
    highWatermark: 10,
    lastStableOffset: 10,
    endOffset: 10,
    lag: 6,
    committedLag: 7,
    queuedBytes: first.queuedBytes,
    leader: first.leader,
  });
  assert.equal(consumer.lag(Partition.of(topic, 0)), 6);
  // A quiet one is not behind, and that is known.
  assert.deepEqual([quiet!.position, quiet!.lag, quiet!.endOffset], [0, 0, 0]);

  assert.equal(group.state, "stable");
  assert.equal(group.protocol, "classic");
  assert.equal(group.memberId, consumer.memberId);
  assert.deepEqual([group.generation, group.partitions, group.rebalances], [1, 2, 1]);
  assert.ok(group.msSinceRebalance! >= 0 && group.msSinceRebalance! < TIMEOUT_MS);
  assert.ok(group.msSinceCoordinatorAnswer! >= 0 && group.msSinceCoordinatorAnswer! < TIMEOUT_MS);

  const leader = brokers.find(({ nodeId }) => nodeId === first.leader)!;
  assert.ok(leader.connects >= 2, "for the group, and for fetching");
  assert.equal(leader.errors, 0);
  const measured = brokers.find(({ roundTrip }) => roundTrip)!.roundTrip!;
  assert.ok(measured.minMs <= measured.averageMs && measured.averageMs <= measured.maxMs);
  assert.ok(measured.count > 0 && measured.maxMs < TIMEOUT_MS);

  const tags = { topic, partition: "0" };
  assert.equal(metrics.last(MetricName.KAFKA_LAG, tags), 6);
  assert.equal(metrics.last(MetricName.KAFKA_COMMITTED_LAG, tags), 7);
  assert.equal(metrics.last(MetricName.KAFKA_QUEUED_BYTES, tags), first.queuedBytes);
  assert.equal(metrics.last(MetricName.KAFKA_GROUP_PARTITIONS), 2);
  assert.equal(
    metrics.count(MetricName.KAFKA_BROKER_CONNECTS, { client: "consumer", broker_id: String(leader.nodeId) }),
    leader.connects,
    "counts go up by what has come on top",
  );
  assert.ok(metrics.timings(MetricName.KAFKA_BROKER_RTT).length > 0);
});

kafkaTest("the lag of a paused partition grows, though its prefetch is full", async (kafka) => {
  const topic = await kafka.createTopic();
  await fill(kafka, topic, values(200));
  await using started = await start(kafka, topic, {
    "queued.max.messages.kbytes": 1,
    "max.partition.fetch.bytes": 1_000,
  });
  const { consumer, told } = started;
  const partition = Partition.of(topic, 0);
  await read(consumer, 1);
  consumer.pause([partition]);
  await told.until(({ partitions: [only] }) => only?.lag === 199 && only.queuedBytes > 0);
  await fill(kafka, topic, values(50));
  const { partitions } = await told.until(({ partitions: [only] }) => only?.lag === 249);
  assert.equal(partitions[0]!.endOffset, 250);
  assert.ok(partitions[0]!.fetchPosition! <= 200, "it was not fetched meanwhile");
  assert.equal(consumer.lag(partition), 249);
  consumer.resume([partition]);
  await read(consumer, 249);
  await told.until(({ partitions: [only] }) => only?.lag === 0);
});

kafkaTest("with read_committed the lag ends where the first open transaction begins", async (kafka) => {
  const topic = await kafka.createTopic();
  await fill(kafka, topic, values(3));
  const producer = testProducer(kafka.bootstrapServers, kafka.name("tx"));
  try {
    const transaction = await producer.beginTransaction();
    const messages = [{ topic, partition: 0, value: "open" }];
    await transaction.send({ acks: -1, messages });
    await using started = await start(kafka, topic);
    const { consumer, told } = started;
    const before = await told.until(({ partitions: [only] }) => only?.lag !== undefined);
    assert.deepEqual(
      [
        before.partitions[0]!.highWatermark,
        before.partitions[0]!.lastStableOffset,
        before.partitions[0]!.lag,
      ],
      [4, 3, 3],
    );
    await read(consumer, 3);
    await told.until(({ partitions: [only] }) => only?.lag === 0);
    await transaction.commit();
    await told.until(({ partitions: [only] }) => only?.lag === 2);
    await read(consumer, 1);
    // The marker is no message, and nothing to wait for.
    let isPassed = false;
    const passed = told.until(({ partitions: [only] }) => only?.lag === 0).finally(() => (isPassed = true));
    while (!isPassed) assert.deepEqual(await consumer.poll({ timeoutMs: 100 }), []);
    await passed;
  } finally {
    await producer.close();
  }
});

kafkaTest("statistics are collected while the main thread is blocked, and told later", async (kafka) => {
  const topic = await kafka.createTopic();
  await using started = await start(kafka, topic);
  const { consumer, told } = started;
  await told.until(() => true);
  const before = told.all.length;
  const fromMs = Date.now();
  // Until the I/O thread has had so many heartbeats answered, each at least two intervals after the one before.
  const blockedUntil = consumer.vitals.answers! + 6;
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  while (consumer.vitals.answers! < blockedUntil) Atomics.wait(nothing, 0, 0, HEARTBEAT_MS / 10);
  const toMs = Date.now();
  await told.until(({ atMs }) => atMs > toMs);
  const meanwhile = told.all.slice(before).filter(({ atMs }) => atMs > fromMs && atMs < toMs);
  assert.ok(meanwhile.length >= 4, `collected ${meanwhile.length} times in ${toMs - fromMs} ms`);
  assert.ok(meanwhile.every(({ group }) => group.state === "stable"));
});

kafkaTest("the engine tells statistics only when it is asked to, and stops with the end", async (kafka) => {
  const topic = await kafka.createTopic();
  const config = {
    "bootstrap.servers": kafka.bootstrapServers,
    "group.id": kafka.name("group"),
    "auto.offset.reset": "earliest",
  } as const;
  {
    await using engine = new EngineDriver({ ...config, "statistics.interval.ms": 50 });
    // Before anything is known, and after all is closed.
    const first = (await engine.next("statistics")).statistics;
    assert.deepEqual([first.group.state, first.partitions], ["unsubscribed", []]);
    engine.send({ type: "subscribe", subscription: { topics: [topic] } });
    await engine.next("assigned");
    for (;;) {
      const { group, partitions } = (await engine.next("statistics")).statistics;
      if (group.state !== "stable" || partitions.length === 0) continue;
      // The main thread has not said yet where to start.
      assert.equal(partitions[0]!.fetchPosition, undefined);
      break;
    }
    engine.send({ type: "close", timeoutMs: 1_000 });
    await engine.next("closed");
  }
  await using silent = new EngineDriver(config);
  silent.send({ type: "subscribe", subscription: { topics: [topic] } });
  await silent.next("assigned");
  assert.equal(silent.has("statistics"), false);
});

kafkaTest("a producer's statistics say what is on its way", async (kafka) => {
  const topic = await kafka.createTopic();
  const told = new Told<ProducerStatistics>();
  const metrics = new RecordingMetrics();
  await using producer = new KafkaProducer(
    { "bootstrap.servers": kafka.bootstrapServers, "linger.ms": 5, "statistics.interval.ms": 50 },
    { logger: silentLogger, metrics, onStatistics: told.take },
  );
  await producer.produce(topic, new KafkaPayload(null, Buffer.from("one")));
  const idle = await told.until(({ messages }) => messages === 0);
  assert.equal(idle.type, "producer");
  assert.deepEqual([idle.bytes, idle.batches], [0, { waiting: 0, inFlight: 0 }]);
  const leader = idle.brokers.find(({ nodeId }) => nodeId >= 0)!;
  assert.ok(leader.connects > 0 && leader.port > 0);
  assert.ok(metrics.count(MetricName.KAFKA_BROKER_CONNECTS) > 0);
  assert.ok(told.all.some(({ brokers }) => brokers.some(({ roundTrip }) => roundTrip !== undefined)));
});
