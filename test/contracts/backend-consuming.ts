import assert from "node:assert/strict";
import type { Consumer } from "../../src/backend/consumer.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import type { Topic } from "../../src/message/topic.ts";
import type { Backend } from "./backend.ts";
import { CLOSE_MS, LONG_MS, Reader, readNext } from "./reader.ts";

type Contract = Readonly<Record<string, (backend: Backend) => Promise<void>>>;

/** A topic with so many messages in each of its partitions; the value of each is its offset. */
async function filledTopic(backend: Backend, partitions: number, perPartition: number): Promise<Topic> {
  const topic = await backend.createTopic(partitions);
  await fill(backend, topic, partitions, 0, perPartition);
  return topic;
}

async function fill(
  backend: Backend,
  topic: Topic,
  partitions: number,
  from: number,
  to: number,
): Promise<void> {
  const producer = backend.producer();
  for (let index = 0; index < partitions; index++) {
    for (let offset = from; offset < to; offset++) {
      void producer.produce(Partition.of(topic, index), new KafkaPayload(`key ${index}`, String(offset)));
    }
  }
  await producer.flush();
}

/** Polls, without taking messages, until the partitions are assigned. */
async function assigned(consumer: Consumer<KafkaPayload>, topics: readonly Topic[]): Promise<void> {
  const done = new AbortController();
  consumer.subscribe(topics, { onAssign: () => done.abort() });
  await consumer.poll({ maxMessages: 0, timeoutMs: LONG_MS, signal: done.signal });
}

const INVALID_STATE = { code: "ARROYO_INVALID_STATE" };

export const consumingContract: Contract = {
  "each message is read once, in order in its partition, from several topics": async (backend) => {
    const topics = [await filledTopic(backend, 3, 50), await filledTopic(backend, 1, 50)];
    const reader = new Reader(backend.consumer(backend.newGroup()), topics).start();
    await reader.until(({ messages }) => messages.length >= 200);
    await reader.stop();
    for (const partition of reader.owned) {
      const read = reader.messages.filter((message) => message.partition === partition);
      assert.deepEqual(
        read.map(({ offset, payload }) => [offset, payload.text()]),
        Array.from({ length: 50 }, (_, at) => [at, String(at)]),
      );
    }
    assert.equal(reader.owned.size, 4);
    assert.deepEqual([...reader.consumer.tell().values()], [50, 50, 50, 50]);
  },

  "a pattern subscribes to every topic that it matches": async (backend) => {
    const wanted = [await filledTopic(backend, 1, 2), await filledTopic(backend, 1, 2)];
    await filledTopic(backend, 1, 2);
    const pattern = new RegExp(`^(${wanted.map(({ name }) => name.replaceAll(".", "\\.")).join("|")})$`, "g");
    const reader = new Reader(backend.consumer(backend.newGroup()), pattern).start();
    await reader.until(({ messages }) => messages.length >= 4);
    await reader.stop();
    assert.deepEqual(new Set(reader.messages.map(({ partition }) => partition.topic)), new Set(wanted));
  },

  "every group reads everything": async (backend) => {
    const topic = await filledTopic(backend, 1, 5);
    for (const group of [backend.newGroup(), backend.newGroup()]) {
      const consumer = backend.consumer(group);
      consumer.subscribe([topic]);
      assert.equal((await readNext(consumer, 5)).at(-1)?.offset, 4);
    }
  },

  "the first time, reading starts where auto.offset.reset says": async (backend) => {
    const topic = await filledTopic(backend, 1, 3);
    const partition = Partition.of(topic, 0);
    const earliest = backend.consumer(backend.newGroup(), { "auto.offset.reset": "earliest" });
    await assigned(earliest, [topic]);
    assert.deepEqual(earliest.tell(), new Map([[partition, 0]]));

    const latest = backend.consumer(backend.newGroup(), { "auto.offset.reset": "latest" });
    await assigned(latest, [topic]);
    assert.deepEqual(latest.tell(), new Map([[partition, 3]]));
    await backend.producer().produce(topic, new KafkaPayload(null, "new"));
    assert.equal((await readNext(latest, 1))[0]?.payload.text(), "new");

    const neither = backend.consumer(backend.newGroup(), { "auto.offset.reset": "error" });
    neither.subscribe([topic]);
    await assert.rejects(neither.poll({ timeoutMs: LONG_MS }), (error: Error & { code?: string }) => {
      assert.equal(error.code, "ARROYO_CONSUMER");
      assert.ok(error.message.includes(topic.name), error.message);
      return true;
    });
  },

  "what was committed is where the group goes on, and nothing else is": async (backend) => {
    const topic = await filledTopic(backend, 2, 10);
    const group = backend.newGroup();
    const [one, other] = [Partition.of(topic, 0), Partition.of(topic, 1)];
    const first = backend.consumer(group);
    first.subscribe([topic]);
    await readNext(first, 20);
    assert.deepEqual(await first.commitOffsets(), new Map(), "nothing is staged");
    first.stageOffsets(new Map([[one, 3]]));
    first.stageOffsets(
      new Map([
        [one, 4],
        [other, 7],
      ]),
    );
    assert.deepEqual(
      await first.commitOffsets(),
      new Map([
        [one, 4],
        [other, 7],
      ]),
    );
    first.stageOffsets(new Map([[one, 9]]));
    await first.close(CLOSE_MS);
    assert.deepEqual(
      await backend.committed(group, topic),
      new Map([
        [0, 4],
        [1, 7],
      ]),
      "what is only staged is not committed at close",
    );

    const second = backend.consumer(group);
    await assigned(second, [topic]);
    assert.deepEqual(
      second.tell(),
      new Map([
        [one, 4],
        [other, 7],
      ]),
    );
    assert.equal((await readNext(second, 9)).filter(({ partition }) => partition === one)[0]?.offset, 4);
  },

  "staged offsets of partitions that are not ours are dropped, and the others committed": async (backend) => {
    const topic = await filledTopic(backend, 1, 3);
    const group = backend.newGroup();
    const consumer = backend.consumer(group);
    await assigned(consumer, [topic]);
    const ours = Partition.of(topic, 0);
    const foreign = Partition.of(topic, 1);
    consumer.stageOffsets(
      new Map([
        [foreign, 1],
        [ours, 2],
      ]),
    );
    assert.deepEqual(await consumer.commitOffsets(), new Map([[ours, 2]]));
    assert.deepEqual(await backend.committed(group, topic), new Map([[0, 2]]));
    assert.throws(() => consumer.stageOffsets(new Map([[ours, -1]])), { code: "ARROYO_CONFIGURATION" });
  },

  "with auto commit, commitOffsets only notes, and close commits": async (backend) => {
    const topic = await filledTopic(backend, 1, 3);
    const group = backend.newGroup();
    const consumer = backend.consumer(group, {
      "arroyo.enable.auto.commit": true,
      "auto.commit.interval.ms": LONG_MS,
    });
    await assigned(consumer, [topic]);
    consumer.stageOffsets(new Map([[Partition.of(topic, 0), 2]]));
    assert.deepEqual(await consumer.commitOffsets(), new Map([[Partition.of(topic, 0), 2]]));
    assert.deepEqual(await backend.committed(group, topic), new Map());
    await consumer.close(CLOSE_MS);
    assert.deepEqual(await backend.committed(group, topic), new Map([[0, 2]]));
  },

  "a poll takes no more messages than it is asked for, and no message twice": async (backend) => {
    const topic = await filledTopic(backend, 2, 10);
    const consumer = backend.consumer(backend.newGroup());
    await assigned(consumer, [topic]);
    const seen = new Set<string>();
    while (seen.size < 20) {
      const messages = await consumer.poll({ timeoutMs: LONG_MS, maxMessages: 3 });
      assert.ok(messages.length <= 3);
      for (const { partition, offset } of messages) {
        assert.ok(!seen.has(`${partition}@${offset}`));
        seen.add(`${partition}@${offset}`);
      }
    }
    assert.deepEqual(await consumer.poll(), []);
  },

  "a poll that waits ends when there is a message, or when its signal aborts": async (backend) => {
    const topic = await backend.createTopic(1);
    const consumer = backend.consumer(backend.newGroup());
    await assigned(consumer, [topic]);
    assert.deepEqual(await consumer.poll(), [], "it does not wait unless it is told to");

    const forMessage = consumer.poll({ timeoutMs: LONG_MS });
    await backend.producer().produce(topic, new KafkaPayload(null, "here"));
    assert.equal((await forMessage)[0]?.payload.text(), "here");

    const impatient = new AbortController();
    const aborted = consumer.poll({ timeoutMs: LONG_MS, signal: impatient.signal });
    impatient.abort();
    assert.deepEqual(await aborted, []);
    assert.deepEqual(await consumer.poll({ timeoutMs: LONG_MS, signal: impatient.signal }), []);
  },

  "what is paused is not delivered until it is resumed, then nothing of it is missing": async (backend) => {
    const topic = await filledTopic(backend, 2, 10);
    const [one, other] = [Partition.of(topic, 0), Partition.of(topic, 1)];
    const consumer = backend.consumer(backend.newGroup());
    await assigned(consumer, [topic]);
    assert.deepEqual(consumer.paused(), []);
    consumer.pause([one]);
    assert.deepEqual(consumer.paused(), [one]);
    assert.deepEqual(
      new Set((await readNext(consumer, 10)).map(({ partition }) => partition)),
      new Set([other]),
    );
    assert.deepEqual(await consumer.poll(), []);
    assert.equal(consumer.tell().get(one), 0);

    const waiting = consumer.poll({ timeoutMs: LONG_MS, maxMessages: 1 });
    consumer.resume([one]);
    assert.deepEqual((await waiting)[0]?.offset, 0, "resuming ends the wait");
    assert.deepEqual(
      (await readNext(consumer, 9)).map(({ offset }) => offset),
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.deepEqual(consumer.paused(), []);
  },

  "after a seek, reading goes on there and nothing from before comes": async (backend) => {
    const topic = await filledTopic(backend, 1, 100);
    const partition = Partition.of(topic, 0);
    const consumer = backend.consumer(backend.newGroup());
    await assigned(consumer, [topic]);
    await readNext(consumer, 10);
    for (const offset of [90, 0, 50]) {
      consumer.seek(new Map([[partition, offset]]));
      assert.deepEqual(consumer.tell(), new Map([[partition, offset]]));
      assert.equal((await readNext(consumer, 1))[0]?.offset, offset);
      assert.equal((await readNext(consumer, 1))[0]?.offset, offset + 1);
    }
    consumer.pause([partition]);
    consumer.seek(new Map([[partition, 20]]));
    consumer.resume([partition]);
    assert.equal((await readNext(consumer, 1))[0]?.offset, 20);
  },

  "pause, resume and seek are all or nothing": async (backend) => {
    const topic = await filledTopic(backend, 1, 5);
    const ours = Partition.of(topic, 0);
    const foreign = Partition.of(topic, 1);
    const consumer = backend.consumer(backend.newGroup());
    await assigned(consumer, [topic]);
    assert.throws(() => consumer.pause([ours, foreign]), INVALID_STATE);
    assert.deepEqual(consumer.paused(), []);
    consumer.pause([ours]);
    assert.throws(() => consumer.resume([ours, foreign]), INVALID_STATE);
    assert.deepEqual(consumer.paused(), [ours]);
    for (const [offsets, error] of [
      [
        new Map([
          [ours, 2],
          [foreign, 0],
        ]),
        INVALID_STATE,
      ],
      [new Map([[ours, -1]]), { code: "ARROYO_CONFIGURATION" }],
      [new Map([[ours, 1.5]]), { code: "ARROYO_CONFIGURATION" }],
    ] as const) {
      assert.throws(() => consumer.seek(offsets), error);
      assert.deepEqual(consumer.tell(), new Map([[ours, 0]]));
    }
  },

  "the end of a partition is told once each time that it is reached, if asked for": async (backend) => {
    const topic = await backend.createTopic(1);
    const partition = Partition.of(topic, 0);
    const reader = new Reader(backend.consumer(backend.newGroup(), { "enable.partition.eof": true }), [
      topic,
    ]).start();
    await reader.until(({ ends }) => ends.length > 0);
    await fill(backend, topic, 1, 0, 3);
    await reader.until(({ ends }) => ends.at(-1)?.offset === 3);
    await fill(backend, topic, 1, 3, 5);
    await reader.until(({ ends }) => ends.at(-1)?.offset === 5);
    await reader.stop();
    const offsets = reader.ends.map(({ offset }) => offset);
    assert.equal(offsets[0], 0, "the end of an empty partition, too");
    assert.deepEqual(
      offsets,
      [...new Set(offsets)].toSorted((a, b) => a - b),
      "no end twice",
    );
    assert.ok(
      reader.ends.every((end) => end.partition === partition && end.code === "ARROYO_END_OF_PARTITION"),
    );
    assert.equal(reader.messages.length, 5);
  },

  "an offset that the log does not have is an error, and can be put right": async (backend) => {
    const topic = await filledTopic(backend, 1, 3);
    const partition = Partition.of(topic, 0);
    const consumer = backend.consumer(backend.newGroup());
    await assigned(consumer, [topic]);
    consumer.seek(new Map([[partition, 1_000]]));
    await assert.rejects(consumer.poll({ timeoutMs: LONG_MS }), {
      code: "ARROYO_OFFSET_OUT_OF_RANGE",
      partition,
      offset: 1_000,
    });
    assert.deepEqual(consumer.tell(), new Map([[partition, 1_000]]));
    consumer.seek(new Map([[partition, 1]]));
    assert.equal((await readNext(consumer, 1))[0]?.offset, 1);
  },

  "an offset that the log does not have follows the reset policy if that is allowed": async (backend) => {
    const topic = await filledTopic(backend, 1, 3);
    const consumer = backend.consumer(backend.newGroup(), { "arroyo.strict.offset.reset": false });
    await assigned(consumer, [topic]);
    consumer.seek(new Map([[Partition.of(topic, 0), 1_000]]));
    assert.equal((await readNext(consumer, 1))[0]?.offset, 0);
  },

  "calls that do not fit the state say so": async (backend) => {
    const topic = await backend.createTopic(1);
    const consumer = backend.consumer(backend.newGroup());
    assert.equal(consumer.memberId, "");
    assert.deepEqual(consumer.tell(), new Map());
    await assert.rejects(consumer.poll(), INVALID_STATE);
    assert.throws(() => consumer.subscribe([]), INVALID_STATE);
    assert.throws(() => consumer.pause([Partition.of(topic, 0)]), INVALID_STATE);
    consumer.unsubscribe();

    await assigned(consumer, [topic]);
    assert.notEqual(consumer.memberId, "");
    assert.throws(() => consumer.subscribe([topic]), INVALID_STATE);
    const controller = new AbortController();
    const running = consumer.poll({ timeoutMs: LONG_MS, signal: controller.signal });
    await assert.rejects(consumer.poll(), INVALID_STATE);
    controller.abort();
    await running;

    await consumer.close();
    assert.ok(consumer.closed);
    await consumer.close();
    await assert.rejects(consumer.poll(), INVALID_STATE);
    await assert.rejects(consumer.commitOffsets(), INVALID_STATE);
    assert.throws(() => consumer.subscribe([topic]), INVALID_STATE);
    assert.throws(() => consumer.unsubscribe(), INVALID_STATE);
    assert.throws(() => consumer.tell(), INVALID_STATE);
    assert.throws(() => consumer.paused(), INVALID_STATE);
    assert.throws(() => consumer.seek(new Map()), INVALID_STATE);
    assert.throws(() => consumer.pause([]), INVALID_STATE);
    assert.throws(() => consumer.resume([]), INVALID_STATE);
    assert.throws(() => consumer.stageOffsets(new Map()), INVALID_STATE);
  },

  "close ends a poll that waits, and calls no callback": async (backend) => {
    const topic = await backend.createTopic(1);
    const reader = new Reader(backend.consumer(backend.newGroup()), [topic]);
    const { consumer } = reader;
    assert.ok(!consumer.closed);
    const assignment = new AbortController();
    const first = consumer.poll({ timeoutMs: LONG_MS, signal: assignment.signal });
    await reader.until(({ owned }) => owned.size === 1);
    assignment.abort();
    await first;
    const waiting = consumer.poll({ timeoutMs: LONG_MS });
    await consumer.close();
    assert.deepEqual(await waiting, []);
    assert.equal(reader.events.length, 1, reader.events.join("; "));
  },
};
