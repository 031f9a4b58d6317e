import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LocalBroker, type LocalConsumerConfig } from "../../src/local/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";
import { MockClock } from "../../src/testing/mock-clock.ts";
import { LONG_MS, readNext } from "../contracts/reader.ts";

const PAYLOAD = new KafkaPayload(null, "x");

async function broker(partitions: number): Promise<LocalBroker> {
  const made = new LocalBroker({ logger: silentLogger });
  await made.createTopic("orders", partitions);
  return made;
}

suite("the local broker", () => {
  test("tells its topics, ends of logs and committed offsets, and shows what is in a partition", async () => {
    await using local = await broker(2);
    await local.createTopic(Topic.of("other"), 1);
    assert.deepEqual(
      local.topics(),
      new Map([
        ["orders", 2],
        ["other", 1],
      ]),
    );
    const partition = Partition.of("orders", 1);
    const payloads = ["a", "b", "c"].map((value) => new KafkaPayload(null, value));
    for (const payload of payloads) await local.producer().produce(partition, payload);
    assert.deepEqual(
      local.endOffsets("orders"),
      new Map([
        [Partition.of("orders", 0), 0],
        [partition, 3],
      ]),
    );
    const messages = await local.read(partition);
    assert.deepEqual(
      messages.map(({ payload }) => payload.text()),
      ["a", "b", "c"],
    );
    assert.deepEqual(
      (await local.read(partition, 1, 1)).map(({ offset }) => offset),
      [1],
    );
    assert.deepEqual(await local.read(partition, 3), []);
    assert.deepEqual(local.committedOffsets("nobody"), new Map());
    assert.deepEqual(local.endOffsets("nothing"), new Map());
  });

  test("refuses topics that cannot be, or are there already", async () => {
    await using local = await broker(1);
    await assert.rejects(local.createTopic("orders", 1), { code: "ARROYO_INVALID_STATE" });
    await assert.rejects(local.createTopic("a/b", 1), { code: "ARROYO_CONFIGURATION" });
    for (const partitions of [0, 1.5, -1, NaN, 10_001]) {
      await assert.rejects(local.createTopic("new", partitions), { code: "ARROYO_CONFIGURATION" });
    }
    await assert.rejects(Promise.all([local.createTopic("new", 1), local.createTopic("new", 1)]), {
      code: "ARROYO_INVALID_STATE",
    });
    assert.equal(local.topics().get("new"), 1);
  });

  test("refuses messages that go nowhere, and says what to do", async () => {
    await using local = await broker(1);
    const producer = local.producer();
    await assert.rejects(producer.produce("nothing", PAYLOAD), /Topic "nothing" does not exist: create it/);
    await assert.rejects(
      producer.produce(Partition.of("orders", 1), PAYLOAD),
      /"orders" has no partition 1: it has 1/,
    );
    await assert.rejects(producer.produce("orders", "text" as never), { code: "ARROYO_CONFIGURATION" });
    assert.equal(local.endOffsets("orders").get(Partition.of("orders", 0)), 0);
  });

  test("puts keys where librdkafka puts them, and keyless messages everywhere in turn", async () => {
    await using local = await broker(17);
    const producer = local.producer();
    // From librdkafka's own test of its consistent partitioner (tests/0048-partitioner.c).
    for (const [key, index] of [
      ["23456", 0xb1b451d7 % 17],
      ["this is another string with more length to it perhaps", 0xb0150df7 % 17],
      ["hejsan", 0xd077037e % 17],
    ] as const) {
      const { partition } = await producer.produce("orders", new KafkaPayload(key, "x"));
      assert.equal(partition.index, index);
    }
    const spread = await Promise.all(
      Array.from({ length: 34 }, (_, at) =>
        producer.produce("orders", new KafkaPayload(at % 2 ? "" : null, "x")),
      ),
    );
    assert.deepEqual(new Set(spread.map(({ partition }) => partition.index)).size, 17);
  });

  test("stamps messages by its clock", async () => {
    const clock = new MockClock();
    await using local = new LocalBroker({ clock, logger: silentLogger });
    await local.createTopic("orders", 1);
    clock.advance(1_500);
    assert.equal((await local.producer().produce("orders", PAYLOAD)).timestampMs, clock.nowMs());
  });

  test("says that no topic matches a pattern yet, and reads the first that does", async () => {
    const lines: string[] = [];
    const logger = {
      ...silentLogger,
      warn: (fields: Readonly<Record<string, unknown>>, message: string) =>
        void lines.push(`${message} ${String(fields["pattern"])}`),
    };
    await using local = new LocalBroker({ logger });
    const consumer = local.consumer({ "group.id": "g", "auto.offset.reset": "earliest" });
    consumer.subscribe(/^orders-/);
    assert.deepEqual(lines, ["No topic matches the pattern yet: the consumer waits for one. /^orders-/"]);
    await local.createTopic("orders-a", 1);
    await local.producer().produce("orders-a", PAYLOAD);
    assert.equal((await readNext(consumer, 1))[0]?.payload.text(), "x");
    assert.equal(lines.length, 1);
  });

  test("closing it closes its consumers and producers, and then nothing works but closing", async () => {
    const local = await broker(1);
    const consumer = local.consumer({ "group.id": "group" });
    const producer = local.producer();
    consumer.subscribe([Topic.of("orders")]);
    const waiting = consumer.poll({ timeoutMs: LONG_MS });
    await local.close();
    assert.deepEqual(await waiting, []);
    assert.ok(consumer.closed);
    await assert.rejects(producer.produce("orders", PAYLOAD), { code: "ARROYO_INVALID_STATE" });
    for (const call of [
      () => local.topics(),
      () => local.consumer({ "group.id": "group" }),
      () => local.producer(),
      () => local.endOffsets("orders"),
      () => local.committedOffsets("group"),
    ]) {
      assert.throws(call, { code: "ARROYO_INVALID_STATE" });
    }
    await assert.rejects(local.createTopic("new", 1), { code: "ARROYO_INVALID_STATE" });
    await local.close();
  });

  test("refuses settings that it does not know, or that do not fit, and names the key", async () => {
    await using local = await broker(1);
    for (const [config, message] of [
      [{ "group.id": "" }, /"group\.id" is "", but must be the name of a group/],
      [{}, /"group\.id" is undefined/],
      [{ groupid: "group" }, /no setting "groupid"; the nearest is "group\.id"/],
      [
        { "group.id": "g", "auto.offset.reset": "beginning" },
        /"auto\.offset\.reset" is "beginning".*earliest, latest, error/,
      ],
      [{ "group.id": "g", "max.poll.interval.ms": 0 }, /"max\.poll\.interval\.ms" is 0/],
      [{ "group.id": "g", "auto.commit.interval.ms": 86_400_001 }, /from 1 to 86400000/],
      [
        { "group.id": "g", "enable.partition.eof": "yes" },
        /"enable\.partition\.eof" is "yes", but must be true or false/,
      ],
      [{ "group.id": "g", "partition.assignment.strategy": "roundrobin" }, /range, cooperative-sticky/],
    ] as const) {
      assert.throws(() => local.consumer(config as unknown as LocalConsumerConfig), {
        code: "ARROYO_CONFIGURATION",
        message,
      });
    }
  });

  test("many messages go through it", async () => {
    await using local = await broker(4);
    const producer = local.producer();
    const count = 200_000;
    for (let at = 0; at < count; at++) void producer.produce("orders", new KafkaPayload(null, String(at)));
    await producer.flush();
    const consumer = local.consumer({ "group.id": "group", "auto.offset.reset": "earliest" });
    consumer.subscribe([Topic.of("orders")]);
    const messages = await readNext(consumer, count);
    assert.equal(new Set(messages.map(({ payload }) => payload.text())).size, count);
  });
});
