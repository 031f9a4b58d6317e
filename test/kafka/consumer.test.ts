import assert from "node:assert/strict";
import {
  ConfigurationError,
  EndOfPartition,
  ErrorCode,
  InvalidStateError,
  OffsetOutOfRange,
} from "../../src/errors.ts";
import { KafkaConsumer } from "../../src/kafka/consumer.ts";
import { collectYoungGarbage } from "../../src/kafka/young-garbage.ts";
import type { KafkaConsumerConfig } from "../../src/kafka/config.ts";
import { silentLogger } from "../../src/logger.ts";
import type { BrokerMessage } from "../../src/message/message.ts";
import { Partition } from "../../src/message/partition.ts";
import type { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";
import { RecordingMetrics } from "../../src/testing/recording-metrics.ts";
import { test } from "node:test";
import { TLS } from "./broker.ts";
import { fill } from "./fill.ts";
import { forcedCollections } from "./forced-collections.ts";
import { kafkaTest, type KafkaTest } from "./kafka-test.ts";

/** Long enough that a machine that stands still for a few seconds puts nobody out. */
const MAX_POLL_MS = 6_000;
/** Longer than any test: who waits for the end of such a session fails. */
const ENDLESS_SESSION = { "session.timeout.ms": 300_000 } as const;

function consumerFor(
  kafka: KafkaTest,
  group: string,
  config: Partial<KafkaConsumerConfig> = {},
): KafkaConsumer {
  const settings = {
    "bootstrap.servers": kafka.bootstrapServers,
    "group.id": group,
    "auto.offset.reset": "earliest",
    ...config,
  };
  return new KafkaConsumer(settings as KafkaConsumerConfig, { logger: silentLogger });
}

/** Polls until so many messages have come. */
async function take(consumer: KafkaConsumer, count: number): Promise<BrokerMessage<KafkaPayload>[]> {
  const messages: BrokerMessage<KafkaPayload>[] = [];
  while (messages.length < count)
    messages.push(...(await consumer.poll({ timeoutMs: 1_000, maxMessages: count - messages.length })));
  return messages;
}

/** Polls, dropping what comes, until something is so. */
async function pollUntil(consumer: KafkaConsumer, isSo: () => boolean): Promise<void> {
  while (!isSo()) await consumer.poll({ timeoutMs: 100 });
}

test("a wrong configuration is refused before anything is connected", () => {
  assert.throws(
    () =>
      new KafkaConsumer({
        "bootstrap.servers": "127.0.0.1:1",
        "group.id": "g",
        "session.timeout.ms": 10,
        "max.poll.interval.ms": 5,
      }),
    ConfigurationError,
  );
});

test("what a consumer cannot use is refused when it is made, and does not take the I/O thread from the others", async () => {
  const servers = { "bootstrap.servers": "127.0.0.1:1", "group.id": "g" };
  await using sound = new KafkaConsumer(servers, { logger: silentLogger });
  sound.subscribe([new Topic("t")]);
  assert.throws(
    () => new KafkaConsumer({ ...servers, "security.protocol": "ssl", "ssl.ca.location": TLS.clientKey }),
    (error: Error & { code?: string }) => {
      assert.match(error.message, /ssl\.ca\.location/);
      assert.equal(error.code, ErrorCode.CONFIGURATION);
      return true;
    },
  );
  assert.deepEqual(await sound.poll({ timeoutMs: 50 }), []);
});

kafkaTest(
  "messages of all partitions come in order, with key, headers, timestamp and tombstones",
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: 2 });
    await fill(kafka, topic, [
      { partition: 0, key: "k", value: "a", headers: { trace: "1" }, timestamp: 1_700_000_000_000n },
      { partition: 0, key: "k", value: null },
      { partition: 1, value: "b" },
    ]);
    await using consumer = consumerFor(kafka, kafka.name("group"));
    const assigned: number[] = [];
    consumer.subscribe([new Topic(topic)], {
      onAssign: (partitions) => void assigned.push(...partitions.values()),
    });
    const messages = await take(consumer, 3);
    assert.deepEqual(assigned, [0, 0]);
    const ofFirst = messages.filter(({ partition }) => partition.index === 0);
    assert.deepEqual(
      ofFirst.map(({ offset, payload }) => [
        offset,
        payload.key?.toString(),
        payload.value?.toString() ?? null,
      ]),
      [
        [0, "k", "a"],
        [1, "k", null],
      ],
    );
    assert.equal(ofFirst[0]?.timestampMs, 1_700_000_000_000);
    assert.deepEqual(ofFirst[0]?.payload.headers, [["trace", Buffer.from("1")]]);
    assert.deepEqual(
      consumer.tell(),
      new Map([
        [Partition.of(topic, 0), 2],
        [Partition.of(topic, 1), 1],
      ]),
    );
    assert.equal(consumer.lag(Partition.of(topic, 0)), 0);
    assert.notEqual(consumer.memberId, "");
  },
);

kafkaTest("a second consumer of the group goes on from what the first has committed", async (kafka) => {
  const topic = await kafka.createTopic();
  const group = kafka.name("group");
  await fill(
    kafka,
    topic,
    ["a", "b", "c", "d"].map((value) => ({ value })),
  );
  {
    await using first = consumerFor(kafka, group);
    first.subscribe([new Topic(topic)]);
    await take(first, 3);
    const offsets = new Map([[Partition.of(topic, 0), 2]]);
    first.stageOffsets(offsets);
    assert.deepEqual(await first.commitOffsets(), offsets);
    assert.deepEqual(await first.commitOffsets(), new Map(), "nothing is staged any more");
  }
  assert.deepEqual(await kafka.committedOffsets(group, topic), new Map([[0, 2]]));
  await using second = consumerFor(kafka, group);
  second.subscribe([new Topic(topic)]);
  assert.deepEqual(
    (await take(second, 2)).map(({ offset }) => offset),
    [2, 3],
  );
});

kafkaTest("pause, resume and seek: nothing stale is delivered", async (kafka) => {
  const topic = await kafka.createTopic({ partitions: 2 });
  const values = Array.from({ length: 50 }, (_, i) => String(i));
  await fill(
    kafka,
    topic,
    [0, 1].flatMap((partition) => values.map((value) => ({ partition, value }))),
  );
  const first = Partition.of(topic, 0);
  const second = Partition.of(topic, 1);
  await using consumer = consumerFor(kafka, kafka.name("group"));
  consumer.subscribe([new Topic(topic)]);
  await take(consumer, 10);
  consumer.pause([first]);
  assert.deepEqual(consumer.paused(), [first]);
  consumer.seek(new Map([[second, 40]]));
  assert.equal(consumer.tell().get(second), 40);
  const rest = await take(consumer, 10);
  assert.deepEqual(
    rest.map(({ partition, offset }) => [partition, offset]),
    Array.from({ length: 10 }, (_, i) => [second, 40 + i]),
  );
  assert.deepEqual(await consumer.poll({ timeoutMs: 50 }), []);
  const position = consumer.tell().get(first) ?? -1;
  consumer.resume([first]);
  assert.equal((await take(consumer, 1))[0]?.offset, position);
  consumer.seek(new Map([[first, 0]]));
  assert.equal((await take(consumer, 1))[0]?.offset, 0);
});

kafkaTest("calls on partitions that are not assigned change nothing and say so", async (kafka) => {
  const topic = await kafka.createTopic();
  await using consumer = consumerFor(kafka, kafka.name("group"));
  const mine = Partition.of(topic, 0);
  const other = Partition.of(topic, 7);
  await assert.rejects(consumer.poll(), InvalidStateError);
  consumer.subscribe([new Topic(topic)]);
  assert.throws(() => consumer.subscribe([new Topic(topic)]), InvalidStateError);
  await pollUntil(consumer, () => consumer.tell().has(mine));
  assert.throws(() => consumer.pause([mine, other]), InvalidStateError);
  assert.deepEqual(consumer.paused(), []);
  assert.throws(
    () =>
      consumer.seek(
        new Map([
          [mine, 3],
          [other, 1],
        ]),
      ),
    InvalidStateError,
  );
  assert.equal(consumer.tell().get(mine), 0);
  assert.throws(() => consumer.seek(new Map([[mine, -1]])), ConfigurationError);
  consumer.stageOffsets(new Map([[other, 5]]));
  assert.deepEqual(await consumer.commitOffsets(), new Map(), "what is not ours is dropped");
  await consumer.close();
  assert.throws(() => consumer.tell(), InvalidStateError);
  await assert.rejects(consumer.poll(), InvalidStateError);
  await consumer.close();
});

kafkaTest("an idle poll waits for a message, a signal or its time, and no longer", async (kafka) => {
  const topic = await kafka.createTopic();
  await using consumer = consumerFor(kafka, kafka.name("group"));
  consumer.subscribe([new Topic(topic)]);
  await pollUntil(consumer, () => consumer.tell().size > 0);
  const stop = new AbortController();
  const waiting = consumer.poll({ timeoutMs: 60_000, signal: stop.signal });
  await assert.rejects(consumer.poll(), InvalidStateError);
  stop.abort();
  assert.deepEqual(await waiting, []);
  const next = consumer.poll({ timeoutMs: 60_000 });
  await fill(kafka, topic, [{ value: "late" }]);
  assert.equal((await next)[0]?.payload.text(), "late");
  assert.deepEqual(
    await consumer.poll({ timeoutMs: 60_000, maxMessages: 1, signal: AbortSignal.abort() }),
    [],
  );
});

kafkaTest(
  "a poll that waits for longer than max.poll.interval.ms is polling all the while",
  async (kafka) => {
    const topic = await kafka.createTopic();
    await using consumer = consumerFor(kafka, kafka.name("group"), {
      "session.timeout.ms": MAX_POLL_MS,
      "heartbeat.interval.ms": 200,
      "max.poll.interval.ms": MAX_POLL_MS,
    });
    let lost = false;
    consumer.subscribe([new Topic(topic)], { onLost: () => void (lost = true) });
    await pollUntil(consumer, () => consumer.tell().size > 0);
    await consumer.poll({ timeoutMs: 1.5 * MAX_POLL_MS });
    await consumer.poll();
    assert.equal(lost, false);
    assert.equal(consumer.tell().size, 1);
  },
);

kafkaTest("the ends of partitions are told when asked for", async (kafka) => {
  const topic = await kafka.createTopic();
  await fill(kafka, topic, [{ value: "a" }]);
  await using consumer = consumerFor(kafka, kafka.name("group"), { "enable.partition.eof": true });
  consumer.subscribe([new Topic(topic)]);
  await take(consumer, 1);
  await assert.rejects(
    pollUntil(consumer, () => false),
    (error) =>
      error instanceof EndOfPartition && error.offset === 1 && error.partition === Partition.of(topic, 0),
  );
});

kafkaTest("what messages leave behind is collected when it is due, or left to V8", async (kafka) => {
  const topic = await kafka.createTopic();
  const large = Array.from({ length: 30 }, () => ({ value: "x".repeat(700_000) }));
  await fill(kafka, topic, large, "lz4");
  let forced = 0;
  using _watching = forcedCollections(() => forced++);
  const readAll = async (collect: boolean): Promise<void> => {
    await using consumer = consumerFor(kafka, kafka.name("group"), {
      "arroyo.collect.young.garbage": collect,
    });
    consumer.subscribe([new Topic(topic)]);
    await take(consumer, large.length);
    await consumer.poll();
  };
  const seen = async (collections: number): Promise<void> => {
    while (forced < collections) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await readAll(false);
  collectYoungGarbage();
  await seen(1);
  assert.equal(forced, 1, "this one alone");
  await readAll(true);
  await seen(2);
});

kafkaTest(
  "an offset that retention has passed is an error, or follows the reset policy, as asked for",
  async (kafka) => {
    const topic = await kafka.createTopic();
    await fill(
      kafka,
      topic,
      ["a", "b", "c"].map((value) => ({ value })),
    );
    await kafka.deleteRecords(topic, 0, 2);
    const partition = Partition.of(topic, 0);
    {
      await using strict = consumerFor(kafka, kafka.name("group"));
      strict.subscribe([new Topic(topic)], { onAssign: () => strict.seek(new Map([[partition, 0]])) });
      await assert.rejects(
        pollUntil(strict, () => false),
        (error) => error instanceof OffsetOutOfRange && error.offset === 0 && error.partition === partition,
      );
      await assert.rejects(
        pollUntil(strict, () => false),
        OffsetOutOfRange,
        "it is never a silent stall",
      );
      strict.seek(new Map([[partition, 2]]));
      assert.equal((await take(strict, 1))[0]?.payload.text(), "c");
    }
    await using lenient = consumerFor(kafka, kafka.name("group"), { "arroyo.strict.offset.reset": false });
    lenient.subscribe([new Topic(topic)], { onAssign: () => lenient.seek(new Map([[partition, 0]])) });
    assert.equal((await take(lenient, 1))[0]?.offset, 2);
  },
);

kafkaTest("without a committed offset the reset policy decides", async (kafka) => {
  const topic = await kafka.createTopic();
  await fill(kafka, topic, [{ value: "old" }]);
  {
    await using latest = consumerFor(kafka, kafka.name("group"), { "auto.offset.reset": "latest" });
    latest.subscribe([new Topic(topic)]);
    await pollUntil(latest, () => latest.tell().size > 0);
    await fill(kafka, topic, [{ value: "new" }]);
    assert.equal((await take(latest, 1))[0]?.payload.text(), "new");
  }
  await using none = consumerFor(kafka, kafka.name("group"), { "auto.offset.reset": "error" });
  none.subscribe([new Topic(topic)]);
  await assert.rejects(
    pollUntil(none, () => false),
    /no committed offset.*auto\.offset\.reset/,
  );
});

kafkaTest(
  "a topic that does not exist is a clear error, after a grace for one that was just made",
  async (kafka) => {
    await using consumer = consumerFor(kafka, kafka.name("group"), { "allow.auto.create.topics": false });
    const name = kafka.name("missing");
    consumer.subscribe([new Topic(name)]);
    await assert.rejects(
      pollUntil(consumer, () => false),
      (error: Error) => {
        assert.match(error.message, new RegExp(`"${name}" does not exist`));
        return true;
      },
    );
  },
);

kafkaTest("a topic that is made while a consumer waits for it is read", async (kafka) => {
  await using consumer = consumerFor(kafka, kafka.name("group"));
  const name = kafka.name("later");
  consumer.subscribe([new Topic(name)]);
  await consumer.poll({ timeoutMs: 500 });
  await kafka.createTopic({ name });
  await fill(kafka, name, [{ value: "hello" }]);
  assert.equal((await take(consumer, 1))[0]?.payload.text(), "hello");
});

kafkaTest(
  "two members share the partitions; what is drained is committed before it is handed over",
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: 4 });
    const group = kafka.name("group");
    await fill(
      kafka,
      topic,
      [0, 1, 2, 3].flatMap((partition) => ["a", "b"].map((value) => ({ partition, value }))),
    );
    await using first = consumerFor(kafka, group, { "heartbeat.interval.ms": 200 });
    await using second = consumerFor(kafka, group, { "heartbeat.interval.ms": 200 });
    const log: string[] = [];
    first.subscribe([new Topic(topic)], {
      async onRevoke(partitions) {
        log.push("drain");
        first.stageOffsets(new Map(partitions.map((partition) => [partition, 1])));
        await first.commitOffsets();
        log.push("committed");
      },
      onLost: () => void log.push("lost"),
    });
    await take(first, 8);
    let started: ReadonlyMap<Partition, number> = new Map();
    second.subscribe([new Topic(topic)], {
      onAssign: (partitions) => {
        started = partitions;
        log.push("assigned to the other");
      },
    });
    const polling = pollUntil(first, () => first.tell().size === 2);
    await pollUntil(second, () => second.tell().size === 2);
    await polling;
    assert.deepEqual(log, ["drain", "committed", "assigned to the other"]);
    assert.deepEqual([...started.values()], [1, 1]);
    const both = [...first.tell().keys(), ...second.tell().keys()].map(({ index }) => index);
    assert.deepEqual(
      both.toSorted((a, b) => a - b),
      [0, 1, 2, 3],
    );
  },
);

kafkaTest(
  "closing leaves the group at once: the other member has everything without a session timeout",
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: 2 });
    const group = kafka.name("group");
    const config = { "heartbeat.interval.ms": 200, ...ENDLESS_SESSION };
    const first = consumerFor(kafka, group, config);
    await using second = consumerFor(kafka, group, config);
    first.subscribe([new Topic(topic)]);
    await pollUntil(first, () => first.tell().size === 2);
    second.subscribe([new Topic(topic)]);
    const polling = pollUntil(first, () => first.tell().size === 1);
    await pollUntil(second, () => second.tell().size === 1);
    await polling;
    await first.close();
    await pollUntil(second, () => second.tell().size === 2);
  },
);

kafkaTest("a member that leaves while its join is pending does not hold up the group", async (kafka) => {
  const topic = await kafka.createTopic();
  const group = kafka.name("group");
  const config = { "heartbeat.interval.ms": 200 };
  await using first = consumerFor(kafka, group, config);
  const drained = Promise.withResolvers<void>();
  const revoked = Promise.withResolvers<void>();
  let assignments = 0;
  first.subscribe([new Topic(topic)], {
    onAssign: () => void assignments++,
    onRevoke() {
      revoked.resolve();
      return drained.promise;
    },
  });
  await pollUntil(first, () => assignments === 1);
  const second = consumerFor(kafka, group, config);
  second.subscribe([new Topic(topic)]);
  const again = pollUntil(first, () => assignments === 2);
  // The second member's join is pending now: it waits for the first, which drains.
  await revoked.promise;
  const closedMs = performance.now();
  await second.close(30_000);
  assert.ok(performance.now() - closedMs < 25_000, "closing did not wait for the join");
  drained.resolve();
  await again;
  assert.equal(first.tell().size, 1);
});

kafkaTest("unsubscribing drains, commits and leaves; subscribing again goes on", async (kafka) => {
  const topic = await kafka.createTopic();
  const other = await kafka.createTopic();
  await fill(kafka, topic, [{ value: "a" }]);
  await fill(kafka, other, [{ value: "b" }]);
  await using consumer = consumerFor(kafka, kafka.name("group"));
  const revoked: Partition[] = [];
  consumer.subscribe([new Topic(topic)], { onRevoke: (partitions) => void revoked.push(...partitions) });
  await take(consumer, 1);
  consumer.unsubscribe();
  await pollUntil(consumer, () => revoked.length > 0);
  assert.deepEqual(revoked, [Partition.of(topic, 0)]);
  assert.equal(consumer.tell().size, 0);
  consumer.subscribe([new Topic(other)]);
  assert.equal((await take(consumer, 1))[0]?.payload.text(), "b");
});

kafkaTest(
  "auto commit: the I/O side commits what was stored, on its own time and at close",
  async (kafka) => {
    const topic = await kafka.createTopic();
    const group = kafka.name("group");
    await fill(
      kafka,
      topic,
      ["a", "b", "c"].map((value) => ({ value })),
    );
    const partition = Partition.of(topic, 0);
    {
      await using consumer = consumerFor(kafka, group, {
        "arroyo.enable.auto.commit": true,
        "auto.commit.interval.ms": 100,
      });
      consumer.subscribe([new Topic(topic)]);
      await take(consumer, 3);
      consumer.stageOffsets(new Map([[partition, 1]]));
      await consumer.commitOffsets();
      while ((await kafka.committedOffsets(group, topic)).get(0) !== 1)
        await consumer.poll({ timeoutMs: 50 });
      consumer.stageOffsets(new Map([[partition, 3]]));
      await consumer.commitOffsets();
    }
    assert.deepEqual(await kafka.committedOffsets(group, topic), new Map([[0, 3]]));
  },
);

kafkaTest("a topic named by a pattern is read, also one that is made later", async (kafka) => {
  const prefix = kafka.name("pattern");
  await kafka.createTopic({ name: `${prefix}-a` });
  await fill(kafka, `${prefix}-a`, [{ value: "a" }]);
  await using consumer = consumerFor(kafka, kafka.name("group"), {
    "topic.metadata.refresh.interval.ms": 500,
    "heartbeat.interval.ms": 200,
  });
  consumer.subscribe(new RegExp(`^${prefix}-`));
  assert.equal((await take(consumer, 1))[0]?.payload.text(), "a");
  consumer.stageOffsets(new Map([[Partition.of(`${prefix}-a`, 0), 1]]));
  await consumer.commitOffsets();
  await kafka.createTopic({ name: `${prefix}-b` });
  await fill(kafka, `${prefix}-b`, [{ value: "b" }]);
  assert.equal((await take(consumer, 1))[0]?.payload.text(), "b");
});

kafkaTest("a pattern that matches no topic yet is said to, and waited for", async (kafka) => {
  const prefix = kafka.name("pattern");
  const lines: string[] = [];
  const note = (fields: Readonly<Record<string, unknown>>, message: string): void =>
    void lines.push(`${message} ${String(fields["pattern"])}`);
  await using consumer = new KafkaConsumer(
    {
      "bootstrap.servers": kafka.bootstrapServers,
      "group.id": kafka.name("group"),
      "auto.offset.reset": "earliest",
      "topic.metadata.refresh.interval.ms": 500,
      "heartbeat.interval.ms": 200,
    },
    { logger: { debug() {}, info: note, warn: note, error: note } },
  );
  consumer.subscribe(new RegExp(`^${prefix}-`, "i"));
  const told = `No topic matches the pattern yet: the consumer waits for one. /^${prefix}-/i`;
  await pollUntil(consumer, () => lines.includes(told));
  await kafka.createTopic({ name: `${prefix}-a` });
  await fill(kafka, `${prefix}-a`, [{ value: "a" }]);
  assert.equal((await take(consumer, 1))[0]?.payload.text(), "a");
  assert.equal(lines.filter((line) => line === told).length, 1);
});

kafkaTest("metrics say how often the group was rebalanced", async (kafka) => {
  const topic = await kafka.createTopic();
  const metrics = new RecordingMetrics();
  await using consumer = new KafkaConsumer(
    { "bootstrap.servers": kafka.bootstrapServers, "group.id": kafka.name("group") },
    { metrics, logger: silentLogger },
  );
  consumer.subscribe([new Topic(topic)]);
  await pollUntil(consumer, () => consumer.tell().size > 0);
  assert.equal(metrics.count("arroyo.consumer.kafka.rebalance"), 1);
});
