import assert from "node:assert/strict";
import {
  CommitOffsets,
  CommitPolicy,
  RunTaskConcurrently,
  StreamProcessor,
  silentLogger,
  type Message,
  type Partition,
} from "../../../src/index.ts";
import { KafkaConsumer, type KafkaPayload } from "../../../src/kafka/index.ts";
import { RecordingMetrics } from "../../../src/testing/index.ts";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { assertNothingLost, handledAgain } from "./judge.ts";
import type { HandledMessage } from "./journal.ts";

const PARTITIONS = 2;
const EACH = 30;
/** The shortest session that a broker allows by default. */
const MAX_POLL_MS = 6_000;

/** A member whose tasks end at once, until the test holds them. */
class Member implements AsyncDisposable {
  readonly handled: HandledMessage[] = [];
  readonly metrics = new RecordingMetrics();
  /** What each assignment began with. */
  readonly assignments: ReadonlyMap<Partition, number>[] = [];
  readonly processor: StreamProcessor<KafkaPayload>;
  readonly ended: Promise<void>;
  /** Called when the chain is told to come to its end. */
  onClose: () => void = () => {};
  /** How many more tasks may end; the others wait for {@link release}. */
  #free: number;
  #gate = Promise.withResolvers<void>();
  #waiting: (() => void)[] = [];

  constructor(kafka: KafkaTest, topic: string, group: string, free: number, maxPollMs: number) {
    this.#free = free;
    this.processor = new StreamProcessor({
      consumer: new KafkaConsumer(
        {
          "bootstrap.servers": kafka.bootstrapServers,
          "group.id": group,
          "auto.offset.reset": "earliest",
          "session.timeout.ms": maxPollMs,
          "max.poll.interval.ms": maxPollMs,
          "heartbeat.interval.ms": 300,
        },
        { logger: silentLogger, metrics: this.metrics },
      ),
      topic,
      logger: silentLogger,
      commitPolicy: new CommitPolicy({ everyMs: 100 }),
      factory: {
        createWithPartitions: (commit, partitions) => {
          const chain = new RunTaskConcurrently(
            (message: Message<KafkaPayload>) => this.#handle(message),
            { concurrency: 4, maxPending: 12 },
            new CommitOffsets(commit),
          );
          const close = chain.close.bind(chain);
          chain.close = () => {
            close();
            this.onClose();
          };
          this.assignments.push(partitions);
          this.#look();
          return chain;
        },
      },
    });
    this.ended = this.processor.run();
    this.ended.catch(() => this.#look());
  }

  release(): void {
    this.#free = Infinity;
    this.#gate.resolve();
  }

  /** Resolves once something is so; it is looked at whenever a task has ended or an assignment has come. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo())
      await Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), this.ended]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    this.processor.signalShutdown();
    await this.ended.catch(() => {});
  }

  async #handle({ partition, offset, payload }: Message<KafkaPayload>): Promise<KafkaPayload> {
    if (this.#free > 0) this.#free--;
    else await this.#gate.promise;
    this.handled.push({ partition: partition?.index ?? -1, offset: offset ?? -1, value: payload.text() });
    this.#look();
    return payload;
  }

  #look(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

async function filledTopic(kafka: KafkaTest): Promise<string> {
  const topic = await kafka.createTopic({ partitions: PARTITIONS });
  await fill(
    kafka,
    topic,
    Array.from({ length: PARTITIONS * EACH }, (_, i) => ({ partition: i % PARTITIONS, value: String(i) })),
  );
  return topic;
}

const ENDS: ReadonlyMap<number, number> = new Map(
  Array.from({ length: PARTITIONS }, (_, index) => [index, EACH]),
);

function positionsOf(assignment: ReadonlyMap<Partition, number> | undefined): Map<number, number> {
  return new Map([...(assignment ?? [])].map(([partition, offset]) => [partition.index, offset]));
}

kafkaTest(
  "a second member joins in the middle of work that can be finished: it begins where the first one committed, and nothing is handled twice",
  async (kafka) => {
    const topic = await filledTopic(kafka);
    const group = kafka.name("group");
    // More than one partition has, so that both have something to hand over.
    await using first = new Member(kafka, topic, group, EACH + 10, 60_000);
    await first.until(() => first.handled.length === EACH + 10);

    const closed = new Promise<void>((resolve) => (first.onClose = resolve));
    await using second = new Member(kafka, topic, group, 0, 60_000);
    await closed;
    assert.equal(second.assignments.length, 0, "the hand-over waits for the drain");
    first.release();
    await second.until(() => second.assignments.length === 1);
    const committed = await kafka.committedOffsets(group, topic);

    const began = positionsOf(second.assignments[0]);
    assert.equal(began.size, 1);
    const [[index = -1, position = -1] = []] = began;
    assert.equal(position, committed.get(index), "where the first one has committed");
    const done = first.handled.filter(({ partition }) => partition === index).map(({ offset }) => offset);
    assert.equal(position, Math.max(...done) + 1, "everything that the first one has handled is committed");

    second.release();
    const total = PARTITIONS * EACH;
    const both = (): HandledMessage[] => [...first.handled, ...second.handled];
    while (both().length < total)
      await Promise.race([
        first.until(() => both().length >= total),
        second.until(() => both().length >= total),
      ]);
    first.processor.signalShutdown();
    second.processor.signalShutdown();
    await Promise.all([first.ended, second.ended]);
    assertNothingLost(both(), ENDS);
    assert.equal(handledAgain(both()), 0);
    assert.deepEqual(await kafka.committedOffsets(group, topic), ENDS);
    assert.equal(first.metrics.count("arroyo.consumer.kafka.lost"), 0);
  },
);

kafkaTest(
  "a second member joins in the middle of work that takes too long: the group goes on in time, and nothing is lost",
  async (kafka) => {
    const topic = await filledTopic(kafka);
    const group = kafka.name("group");
    await using first = new Member(kafka, topic, group, 10, MAX_POLL_MS);
    await first.until(() => first.handled.length === 10);
    const before = [...first.handled];

    const closed = new Promise<void>((resolve) => (first.onClose = resolve));
    await using second = new Member(kafka, topic, group, Infinity, MAX_POLL_MS);
    await closed;
    // The first one's tasks do not end: its share is taken from what it has committed.
    await second.until(() => second.assignments.length > 0);
    for (const [index, position] of positionsOf(second.assignments[0])) {
      const done = before.filter(({ partition }) => partition === index).length;
      assert.ok(position <= done, `partition ${index} begins at ${position}, but ${done} are handled`);
    }
    // What comes late is of no consequence.
    first.release();
    const all = (): HandledMessage[] => [...first.handled, ...second.handled];
    const isComplete = (): boolean => PARTITIONS * EACH === all().length - handledAgain(all());
    while (!isComplete()) await Promise.race([first.until(isComplete), second.until(isComplete)]);
    first.processor.signalShutdown();
    second.processor.signalShutdown();
    await Promise.all([first.ended, second.ended]);
    assertNothingLost(all(), ENDS);
    assert.deepEqual(await kafka.committedOffsets(group, topic), ENDS);
  },
);
