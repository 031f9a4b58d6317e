import assert from "node:assert/strict";
import {
  CommitOffsets,
  CommitPolicy,
  RunTask,
  StreamProcessor,
  silentLogger,
  type Message,
} from "../../../src/index.ts";
import { KafkaConsumer, type KafkaPayload } from "../../../src/kafka/index.ts";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { ApiKeys, KafkaProxy } from "../proxy.ts";
import { assertHandledOnceInOrder } from "./judge.ts";
import type { HandledMessage } from "./journal.ts";

interface Run {
  readonly handled: readonly HandledMessage[];
  readonly processor: StreamProcessor<KafkaPayload>;
  readonly ended: Promise<void>;
}

/** Runs the seed page's pipeline through the proxy, until it has handled so many messages. */
function run(proxy: KafkaProxy, topic: string, group: string, until: number, policy?: CommitPolicy): Run {
  const handled: HandledMessage[] = [];
  const processor: StreamProcessor<KafkaPayload> = new StreamProcessor({
    consumer: new KafkaConsumer(
      {
        "bootstrap.servers": proxy.bootstrapServers,
        "group.id": group,
        "auto.offset.reset": "earliest",
        // Connections are to be lost here, and no membership.
        "session.timeout.ms": 45_000,
        "heartbeat.interval.ms": 500,
      },
      { logger: silentLogger },
    ),
    topic,
    logger: silentLogger,
    commitPolicy: policy,
    factory: {
      createWithPartitions: (commit) =>
        new RunTask((message: Message<KafkaPayload>) => {
          const { partition, offset, payload } = message;
          handled.push({ partition: partition?.index ?? -1, offset: offset ?? -1, value: payload.text() });
          if (handled.length === until) processor.signalShutdown();
          return payload;
        }, new CommitOffsets(commit)),
    },
  });
  return { handled, processor, ended: processor.run() };
}

/** A topic with two batches, of which the second one has a text in it that a proxy finds. */
async function fillTwoBatches(kafka: KafkaTest): Promise<string> {
  const topic = await kafka.createTopic();
  const batch = (prefix: string): { value: string }[] =>
    Array.from({ length: 5 }, (_, i) => ({ value: `${prefix}-${i}` }));
  await fill(kafka, topic, batch("sound"));
  await fill(kafka, topic, batch("fragile"));
  return topic;
}

/** Flips a bit of a record in Fetch's answers, until so many began with its batch. Returns how many have. */
function corrupt(proxy: KafkaProxy, times: number): () => number {
  let done = 0;
  proxy.intercept = ({ api, direction, payload }) => {
    if (api !== ApiKeys.FETCH || direction !== "answer" || done === times) return "pass";
    const at = payload.indexOf("fragile-3");
    if (at < 0) return "pass";
    payload[at] = (payload[at] ?? 0) ^ 1;
    // Where a sound batch comes before it, that one is taken, and only the next answer begins with the damaged one.
    if (payload.indexOf("sound-0") < 0) done++;
    return "pass";
  };
  return () => done;
}

kafkaTest(
  "a batch that always comes damaged: run() rejects and says which, nothing is skipped",
  async (kafka) => {
    const topic = await fillTwoBatches(kafka);
    const group = kafka.name("group");
    await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
    const corrupted = corrupt(proxy, Infinity);
    const { handled, ended } = run(proxy, topic, group, 10);
    await assert.rejects(ended, (error: Error & { code?: string }) => {
      assert.equal(error.code, "ARROYO_CORRUPT_BATCH");
      assert.match(error.message, new RegExp(`${topic}\\[0\\].*offset 5\\b|offset 5\\b.*${topic}\\[0\\]`));
      return true;
    });
    assert.equal(corrupted(), 3);
    assert.deepEqual(
      handled.map(({ offset }) => offset),
      [0, 1, 2, 3, 4],
    );
    assert.deepEqual(await kafka.committedOffsets(group, topic), new Map([[0, 5]]));
  },
);

kafkaTest(
  "a batch that comes damaged at first is fetched again: everything is handled once, in order",
  async (kafka) => {
    const topic = await fillTwoBatches(kafka);
    const group = kafka.name("group");
    await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
    const corrupted = corrupt(proxy, 1);
    const { handled, ended } = run(proxy, topic, group, 10);
    await ended;
    assert.equal(corrupted(), 1);
    assertHandledOnceInOrder(handled);
    assert.deepEqual(await kafka.committedOffsets(group, topic), new Map([[0, 10]]));
  },
);

kafkaTest(
  "the coordinator's connection is cut in the middle of commits: they arrive, and nothing is handled twice",
  async (kafka) => {
    const topic = await kafka.createTopic();
    const group = kafka.name("group");
    const count = 2_000;
    await fill(
      kafka,
      topic,
      Array.from({ length: count }, (_, i) => ({ value: String(i) })),
    );
    await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
    const cuts = { request: 0, answer: 0 };
    proxy.intercept = ({ api, direction }) => {
      if (api !== ApiKeys.OFFSET_COMMIT || cuts[direction] === 3) return "pass";
      // Three are never heard of; three are done, and nobody hears that they are.
      if (direction === "answer" && cuts.request < 3) return "pass";
      cuts[direction]++;
      return "cut";
    };
    const policy = new CommitPolicy({ everyMs: 200, everyMessages: 100 });
    const { handled, processor, ended } = run(proxy, topic, group, Infinity, policy);
    let over = false;
    ended.finally(() => (over = true)).catch(() => {});
    const committed = async (): Promise<number | undefined> =>
      (await kafka.committedOffsets(group, topic)).get(0);
    while (!over && ((await committed()) !== count || cuts.answer < 3));
    processor.signalShutdown();
    await ended;
    assert.deepEqual(cuts, { request: 3, answer: 3 });
    assertHandledOnceInOrder(handled);
    assert.equal(handled.length, count);
    assert.deepEqual(await kafka.committedOffsets(group, topic), new Map([[0, count]]));
  },
);
