import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Delivery } from "../../src/backend/producer.ts";
import { IMMEDIATE } from "../../src/commit/policy.ts";
import { KafkaDlqProducer } from "../../src/dlq/kafka-producer.ts";
import { REPLAYS_HEADER, replaysOf } from "../../src/dlq/letter.ts";
import { DlqPolicy } from "../../src/dlq/policy.ts";
import { Replay, type ReplayOptions, type ReplayOutcome } from "../../src/dlq/replay.ts";
import { ErrorCode, InvalidMessage, ProducerError } from "../../src/errors.ts";
import { LocalBroker } from "../../src/local/broker.ts";
import { silentLogger } from "../../src/logger.ts";
import type { Message } from "../../src/message/message.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import type { Topic } from "../../src/message/topic.ts";
import { StreamProcessor } from "../../src/processing/processor.ts";
import { turnOfEventLoop } from "../../src/processing/waits.ts";
import { CommitOffsets } from "../../src/strategies/commit-offsets.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import { MockClock } from "../../src/testing/mock-clock.ts";

const DLQ = "orders-dlq";
const ORDERS = "orders";
const GROUP = "replay";
/** So many turns of the event loop without anything going on mean that nothing moves any more. */
const QUIET_TURNS = 20;

/** A broker with a dead letter topic of so many partitions, and the topic that its messages came from. */
class Desk implements AsyncDisposable {
  readonly clock: MockClock = new MockClock();
  readonly broker: LocalBroker = new LocalBroker({ clock: this.clock, logger: silentLogger });
  readonly producer = this.broker.producer();

  static async open(partitions: number = 1): Promise<Desk> {
    const desk = new Desk();
    await desk.broker.createTopic(DLQ, partitions);
    await desk.broker.createTopic(ORDERS, 2);
    return desk;
  }

  /** Dead letters with these values, one to each partition in turn. */
  async letters(...values: readonly string[]): Promise<void> {
    const partitions = this.broker.topics().get(DLQ)!;
    for (const [i, value] of values.entries()) {
      await this.producer.produce(Partition.of(DLQ, i % partitions), new KafkaPayload(null, value));
    }
  }

  replay(options: Partial<ReplayOptions> = {}): Replay {
    return new Replay({
      consumer: this.broker.consumer({ "group.id": GROUP, "auto.offset.reset": "earliest" }),
      producer: this.producer,
      from: DLQ,
      to: ORDERS,
      ends: this.broker.endOffsets(DLQ),
      toPartitions: 2,
      clock: this.clock,
      logger: silentLogger,
      ...options,
    });
  }

  /** Replays with a consumer that is closed at the end, as that of a process would be. */
  async run(options: Partial<ReplayOptions> = {}): Promise<Replay & { readonly outcome: ReplayOutcome }> {
    await using consumer = this.broker.consumer({ "group.id": GROUP, "auto.offset.reset": "earliest" });
    const replay = this.replay({ consumer, ...options });
    const outcome = await this.finished(replay.run());
    return Object.assign(replay, { outcome });
  }

  /** Turns the clock until it is settled. */
  async finished<R>(work: Promise<R>): Promise<R> {
    let settled = false;
    const settle = (): boolean => (settled = true);
    work.then(settle, settle);
    while (!settled) {
      await this.settle();
      if (!settled) this.clock.advance(this.clock.nextDueMs! - this.clock.monotonicMs());
    }
    return await work;
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < QUIET_TURNS; turn++) await turnOfEventLoop();
  }

  /** The values in a topic, per partition one after the other. */
  async values(topic: string): Promise<string[]> {
    return (await this.messages(topic)).map((payload) => payload.text());
  }

  async messages(topic: string): Promise<KafkaPayload[]> {
    const read = [...this.broker.endOffsets(topic).keys()].map((partition) => this.broker.read(partition));
    return (await Promise.all(read)).flat().map(({ payload }) => payload);
  }

  committed(): Record<string, number> {
    const offsets = [...this.broker.committedOffsets(GROUP)];
    return Object.fromEntries(offsets.map(([partition, offset]) => [String(partition), offset]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.close();
  }
}

/** Writes when it is told to. */
class HeldProducer {
  readonly held: { readonly value: string; release(): Promise<void>; fail(error: Error): void }[] = [];
  readonly #desk: Desk;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  readonly produce = (to: Topic | Partition | string, payload: KafkaPayload): Promise<Delivery> => {
    const { promise, resolve, reject } = Promise.withResolvers<Delivery>();
    this.held.push({
      value: payload.text(),
      release: async () => resolve(await this.#desk.producer.produce(to, payload)),
      fail: reject,
    });
    return promise;
  };
}

const numbered = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `m${from + i}`);

/** What a processor of the topic that finds everything invalid sends to the dead letter topic. */
async function deadLetterAll(desk: Desk): Promise<void> {
  const processor = new StreamProcessor<KafkaPayload>({
    consumer: desk.broker.consumer({ "group.id": "orders", "auto.offset.reset": "earliest" }),
    topic: ORDERS,
    commitPolicy: IMMEDIATE,
    dlqPolicy: new DlqPolicy<KafkaPayload>({ producer: new KafkaDlqProducer(desk.producer, DLQ) }),
    clock: desk.clock,
    logger: silentLogger,
    factory: {
      createWithPartitions: (commit) =>
        new RunTask((message: Message<KafkaPayload>) => {
          throw InvalidMessage.from(message, { reason: "not an order" });
        }, new CommitOffsets(commit)),
    },
  });
  const run = processor.run();
  await desk.settle();
  processor.signalShutdown();
  await desk.finished(run);
}

describe("a replay", () => {
  it("writes every message back as it was, commits that and comes to its end", async () => {
    await using desk = await Desk.open();
    const own = [["trace", "abc"]] as const;
    const payloads = [
      new KafkaPayload("k", "value", own),
      new KafkaPayload("k", null),
      new KafkaPayload(null, "v"),
    ];
    for (const payload of payloads) await desk.producer.produce(Partition.of(ORDERS, 1), payload);
    await deadLetterAll(desk);
    assert.equal((await desk.messages(DLQ)).length, 3);

    const { outcome, progress } = await desk.run();
    assert.equal(outcome, "finished");
    assert.deepEqual(progress, { replayed: 3, keptBack: 0, left: 0 });
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 3 });
    const back = (await desk.broker.read(Partition.of(ORDERS, 1), 3)).map(({ payload }) => payload);
    for (const [i, { key, value, headers }] of payloads.entries()) {
      const expected = new KafkaPayload(key, value, [...headers, [REPLAYS_HEADER, "1"]]);
      assert.ok(back[i]!.equals(expected), `message ${i} is back in its partition`);
    }
  });

  it("replays messages of other programs that are in the topic, too", async () => {
    await using desk = await Desk.open(3);
    await desk.letters(...numbered(7));
    assert.equal((await desk.run()).outcome, "finished");
    assert.deepEqual((await desk.values(ORDERS)).toSorted(), numbered(7));
  });

  it("has nothing to do for an empty topic", async () => {
    await using desk = await Desk.open(2);
    const { outcome, progress } = await desk.run();
    assert.deepEqual([outcome, progress], ["finished", { replayed: 0, keptBack: 0, left: 0 }]);
    assert.deepEqual(desk.committed(), {});
  });

  it("goes on where the last one has ended, with a limit", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(10));
    for (const [upTo, expected] of [
      [4, "limit"],
      [8, "limit"],
      [10, "finished"],
    ] as const) {
      const { outcome, progress } = await desk.run({ limit: 4 });
      assert.equal(outcome, expected);
      assert.equal(progress.left, 10 - upTo);
      assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: upTo });
      assert.deepEqual((await desk.values(ORDERS)).toSorted(), numbered(upTo).toSorted());
    }
  });

  it("says that it is finished when the limit is just reached at the end", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(4));
    assert.equal((await desk.run({ limit: 4 })).outcome, "finished");
  });

  it("keeps to a rate, without bursts", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(101));
    const atMs: number[] = [];
    const producer = {
      produce: (to: Topic | Partition | string, payload: KafkaPayload) => {
        atMs.push(desk.clock.monotonicMs());
        return desk.producer.produce(to, payload);
      },
    };
    assert.equal((await desk.run({ producer, ratePerSecond: 20 })).outcome, "finished");
    assert.equal(atMs.length, 101);
    assert.equal(atMs.at(-1)! - atMs[0]!, 5_000);
    for (let i = 20; i < atMs.length; i++) assert.ok(atMs[i]! - atMs[i - 20]! >= 950, `around message ${i}`);
  });
});

describe("a replay that ended early", () => {
  it("commits nothing past what is not acknowledged, and nothing is missing after a kill", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(10));
    const producer = new HeldProducer(desk);
    const consumer = desk.broker.consumer({ "group.id": GROUP, "auto.offset.reset": "earliest" });
    const killed = desk.replay({ consumer, producer }).run();
    killed.catch(() => {});
    await desk.settle();
    for (const i of [0, 1, 2, 4, 7]) await producer.held[i]!.release();
    desk.clock.advance(1_000);
    await desk.settle();
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 3 });
    await producer.held[8]!.release();
    await consumer.close();
    await assert.rejects(desk.finished(killed));
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 3 });

    const { outcome, progress } = await desk.run();
    assert.deepEqual([outcome, progress.replayed], ["finished", 7]);
    const values = await desk.values(ORDERS);
    assert.deepEqual([...new Set(values)].toSorted(), numbered(10));
    assert.equal(values.length, 13, "4, 7 and 8 twice");
  });

  it("waits for what is on its way when it is told to stop, and commits that", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(5));
    const producer = new HeldProducer(desk);
    const stop = new AbortController();
    const replay = desk.replay({ producer, limit: 3 });
    const run = replay.run({ signal: stop.signal });
    await desk.settle();
    stop.abort();
    await desk.settle();
    assert.deepEqual(desk.committed(), {});
    for (const held of producer.held) await held.release();
    assert.equal(await desk.finished(run), "stopped");
    assert.deepEqual(replay.progress, { replayed: 3, keptBack: 0, left: 2 });
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 3 });
  });

  it("does not wait for ever for what is on its way", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(5));
    const producer = new HeldProducer(desk);
    const stop = new AbortController();
    const run = desk.replay({ producer }).run({ signal: stop.signal });
    await desk.settle();
    await producer.held[0]!.release();
    stop.abort();
    const stoppedAtMs = desk.clock.monotonicMs();
    assert.equal(await desk.finished(run), "stopped");
    assert.equal(desk.clock.monotonicMs() - stoppedAtMs, 10_000);
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 1 });
  });

  it("fails with the message that could not be written, and commits what was before it", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(5));
    const producer = new HeldProducer(desk);
    const run = desk.replay({ producer }).run();
    run.catch(() => {});
    await desk.settle();
    producer.held[2]!.fail(new ProducerError("the message is too large."));
    for (const i of [0, 1, 3, 4]) await producer.held[i]!.release();
    await assert.rejects(desk.finished(run), {
      code: ErrorCode.PRODUCER,
      message:
        /^The message at offset 2 of orders-dlq:0 cannot be written to orders: the message is too large\.$/,
    });
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 2 });
  });

  it("tries again what the producer's queue had no room for", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(3));
    let full = 5;
    const producer = {
      produce: async (to: Topic | Partition | string, payload: KafkaPayload) => {
        if (full-- > 0) throw new ProducerError("full", { code: ErrorCode.PRODUCER_QUEUE_FULL });
        return await desk.producer.produce(to, payload);
      },
    };
    assert.equal((await desk.run({ producer })).outcome, "finished");
    assert.deepEqual((await desk.values(ORDERS)).toSorted(), numbered(3));
  });
});

describe("a replay never goes round in circles:", () => {
  it("what comes to the dead letter topic after the start is left for another run", async () => {
    await using desk = await Desk.open();
    await desk.letters(...numbered(3));
    const producer = {
      produce: async (to: Topic | Partition | string, payload: KafkaPayload) => {
        await desk.producer.produce(DLQ, payload);
        return await desk.producer.produce(to, payload);
      },
    };
    const first = await desk.run({ producer });
    assert.deepEqual([first.outcome, first.progress.replayed], ["finished", 3]);
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 3 });
    assert.equal((await desk.run()).progress.replayed, 3);
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 6 });
  });

  it("a message that was replayed K times is kept back, and passed over", async () => {
    await using desk = await Desk.open();
    await desk.producer.produce(ORDERS, new KafkaPayload("key", "always bad", [["trace", "abc"]]));
    for (let times = 0; times < 4; times++) {
      await deadLetterAll(desk);
      const letter = (await desk.messages(DLQ)).at(-1)!;
      assert.equal(replaysOf(letter), Math.min(times, 2), "the processor has left the header as it was");
      assert.equal(letter.header("trace")?.toString(), "abc");
      const { outcome, progress } = await desk.run({ maxReplays: 2 });
      assert.equal(outcome, "finished");
      assert.deepEqual(
        progress,
        { replayed: times < 2 ? 1 : 0, keptBack: times === 2 ? 1 : 0, left: 0 },
        `run ${times}`,
      );
    }
    assert.equal((await desk.messages(DLQ)).length, 3);
    assert.deepEqual(desk.committed(), { [`${DLQ}:0`]: 3 });
  });

  it("those that are kept back do not count for the limit", async () => {
    await using desk = await Desk.open();
    const tired = new KafkaPayload(null, "tired", [[REPLAYS_HEADER, "3"]]);
    for (let i = 0; i < 5; i++) await desk.producer.produce(DLQ, tired);
    await desk.letters("a", "b");
    const { outcome, progress } = await desk.run({ limit: 1 });
    assert.deepEqual([outcome, progress], ["limit", { replayed: 1, keptBack: 5, left: 1 }]);
    assert.deepEqual(await desk.values(ORDERS), ["a"]);
  });
});

/** As a process would do it. */
async function runAndLeave(
  replay: Replay,
  consumer: AsyncDisposable,
  signal?: AbortSignal,
): Promise<ReplayOutcome> {
  await using _left = consumer;
  return await replay.run({ signal });
}

describe("two replays of one group", () => {
  it("share the partitions, and nothing is missing when one of them leaves", async () => {
    await using desk = await Desk.open(4);
    await desk.letters(...numbered(400));
    const consumer = (): ReturnType<LocalBroker["consumer"]> =>
      desk.broker.consumer({ "group.id": GROUP, "auto.offset.reset": "earliest" });
    const [one, other] = [consumer(), consumer()];
    const stop = new AbortController();
    const first = desk.replay({ consumer: one, ratePerSecond: 50 });
    const firstRun = runAndLeave(first, one, stop.signal);
    await desk.settle();
    desk.clock.advance(200);
    await desk.settle();
    const second = desk.replay({ consumer: other, ratePerSecond: 50 });
    const secondRun = runAndLeave(second, other);
    for (let i = 0; i < 20; i++) {
      desk.clock.advance(50);
      await desk.settle();
    }
    assert.ok(second.progress.replayed > 0, "both are at work");
    stop.abort();
    assert.equal(await desk.finished(firstRun), "stopped");
    assert.equal(await desk.finished(secondRun), "finished");
    assert.deepEqual((await desk.values(ORDERS)).toSorted(), numbered(400).toSorted());
    assert.equal(first.progress.replayed + second.progress.replayed, 400);
  });
});
