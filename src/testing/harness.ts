import type { Producer } from "../backend/producer.ts";
import type { CommitPolicy } from "../commit/policy.ts";
import { IMMEDIATE } from "../commit/policy.ts";
import { DlqPolicy } from "../dlq/policy.ts";
import type { DlqProducer } from "../dlq/producer.ts";
import { LocalBroker } from "../local/broker.ts";
import { silentLogger, type Logger } from "../logger.ts";
import type { BrokerMessage } from "../message/message.ts";
import { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import { StreamProcessor } from "../processing/processor.ts";
import type { ProcessingStrategyFactory } from "../strategies/strategy.ts";
import { WatchedChain } from "./harness-chain.ts";
import { HarnessConsumer } from "./harness-consumer.ts";
import { HarnessProducer } from "./harness-producer.ts";
import { MockClock } from "./mock-clock.ts";
import { RecordingMetrics } from "./recording-metrics.ts";

/** What {@link harness} works with. */
export interface HarnessOptions {
  /** Topics that the pipeline reads, with their numbers of partitions. Default `{ input: 1 }`. */
  readonly topics?: Readonly<Record<string, number>> | undefined;
  /** Topics that it writes, likewise. One that it writes and that is not named here has one partition. */
  readonly outputs?: Readonly<Record<string, number>> | undefined;
  /** One chain for each partition, as with StreamProcessor. Default false. */
  readonly perPartition?: boolean | undefined;
  /** What happens to invalid messages: by default they go to `deadLetters`. */
  readonly dlqPolicy?: DlqPolicy<KafkaPayload> | undefined;
  /** Default IMMEDIATE, so that `committed` says at once what is done. */
  readonly commitPolicy?: CommitPolicy | undefined;
  /** Default: none. */
  readonly logger?: Logger | undefined;
}

/** What a pipeline under test is made with: the same as by `arroyo run` (`RunTools`). */
export interface HarnessTools {
  /** Writes to the embedded broker; `output` says what it has written. */
  readonly producer: Producer<KafkaPayload>;
  readonly clock: MockClock;
  readonly logger: Logger;
  readonly metrics: RecordingMetrics;
}

type Factory = ProcessingStrategyFactory<KafkaPayload>;

/** Where a message of a test goes, and when it was written. */
export interface SendOptions {
  /** Default: the first of the harness's topics. */
  readonly topic?: string | undefined;
  /** Default 0. */
  readonly partition?: number | undefined;
}

/** An invalid message. */
export interface DeadLetter {
  readonly message: BrokerMessage<KafkaPayload>;
  readonly reason: string | undefined;
}

const GROUP = "harness";
/** So many turns of the event loop without anything going on mean that nothing moves any more. */
const QUIET_TURNS = 20;
/** How long something that is asynchronous in real time (a file, a socket) is waited for, in real ms. */
const REAL_WAIT_MS = 2_000;
const REAL_STEP_MS = 10;
/** How far the clock is turned, at most, to let a shutdown come to its end. */
const SHUTDOWN_STEPS = 60;

class Crash extends Error {}

/**
 * A pipeline under test: the real StreamProcessor on an embedded broker, with only the clock faked. Get it from
 * {@link harness}.
 */
export class Harness implements AsyncDisposable {
  readonly clock: MockClock = new MockClock();
  readonly metrics: RecordingMetrics = new RecordingMetrics();
  readonly #options: HarnessOptions;
  readonly #topics: Readonly<Record<string, number>>;
  readonly #broker: LocalBroker;
  readonly #producer: HarnessProducer;
  readonly #makeFactory: (tools: HarnessTools) => Factory | Promise<Factory>;
  readonly #deadLetters: DeadLetter[] = [];
  readonly #sending: Promise<unknown>[] = [];
  #chain: WatchedChain | undefined;
  #consumer: HarnessConsumer | undefined;
  #processor: StreamProcessor<KafkaPayload> | undefined;
  #running: Promise<void> = Promise.resolve();
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #moves = 0;
  #heldAllowed = false;

  /** @internal */
  constructor(makeFactory: (tools: HarnessTools) => Factory | Promise<Factory>, options: HarnessOptions) {
    this.#makeFactory = makeFactory;
    this.#options = options;
    this.#topics = options.topics ?? { input: 1 };
    this.#broker = new LocalBroker({ clock: this.clock, logger: silentLogger });
    this.#producer = new HarnessProducer(this.#broker, () => void this.#moves++);
  }

  /** @internal */
  async start(): Promise<void> {
    for (const [topic, partitions] of Object.entries({ ...this.#topics, ...this.#options.outputs })) {
      await this.#broker.createTopic(topic, partitions);
    }
    await this.#run();
    await this.#quiet();
  }

  /** Sends a message to the pipeline. It is taken with the next `advance` or `settle`. */
  send(payload: KafkaPayload, options: SendOptions = {}): void {
    const topic = options.topic ?? Object.keys(this.#topics)[0] ?? "input";
    const partition = Partition.of(topic, options.partition ?? 0);
    this.#moves++;
    this.#sending.push(this.#broker.producer().produce(partition, payload));
  }

  /** Turns the clock, and lets everything that is due happen, until nothing moves any more. */
  async advance(milliseconds: number): Promise<void> {
    await this.#quiet();
    const untilMs = this.clock.monotonicMs() + milliseconds;
    for (;;) {
      const nextMs = this.clock.nextDueMs;
      if (nextMs === undefined || nextMs > untilMs) break;
      this.clock.advance(Math.max(0, nextMs - this.clock.monotonicMs()));
      await this.#quiet();
    }
    this.clock.advance(untilMs - this.clock.monotonicMs());
    await this.#quiet();
    this.#throwFailure();
  }

  /**
   * Waits until everything that was sent is done, without turning the clock.
   *
   * @throws Error naming the strategy that still holds messages when nothing moves any more.
   */
  async settle(): Promise<void> {
    // In steps, not until a time: a machine that stands still for as long has not waited.
    for (let leftMs = REAL_WAIT_MS; ; leftMs -= REAL_STEP_MS) {
      await this.#quiet();
      this.#throwFailure();
      const held = this.#held();
      if (held === undefined) return;
      if (leftMs <= 0) throw new Error(held);
      await new Promise((resolve) => setTimeout(resolve, REAL_STEP_MS));
    }
  }

  /** The last strategy rejects the next so many messages: back-pressure from the tail. */
  rejectNext(times: number = 1): void {
    this.#chain?.rejectNext(times);
  }

  /** Takes partitions away as a rebalance does: drained and committed before it resolves. */
  async revoke(...partitions: readonly Partition[]): Promise<void> {
    await this.#ordered(this.#consumer?.revoke(partitions, new AbortController().signal));
  }

  /** Takes partitions away as when the group has thrown the member out: nothing of theirs is committed any more. */
  async lose(...partitions: readonly Partition[]): Promise<void> {
    await this.#ordered(this.#consumer?.lose(partitions));
  }

  /** Gives partitions back that were taken away, at what is committed. */
  async assign(...partitions: readonly Partition[]): Promise<void> {
    const committed = this.#broker.committedOffsets(GROUP);
    const offsets = new Map(partitions.map((partition) => [partition, committed.get(partition) ?? 0]));
    await this.#ordered(this.#consumer?.assign(offsets));
  }

  /** Crashes the process, as it were, and starts it again: what was not committed comes once more. */
  async restart(): Promise<void> {
    await this.#crash();
    this.#throwFailure();
    await this.#run();
    await this.#quiet();
  }

  /** The next message that the pipeline produces fails with this error. */
  failProduce(error: Error): void {
    this.#producer.failNext(error);
  }

  /** The next commit fails with this error. */
  failCommit(error: Error): void {
    this.#consumer?.failCommit(error);
  }

  /**
   * What the processor has failed with; fails itself when it has not. A failure that is not asked for fails the test.
   */
  async failure(): Promise<unknown> {
    await this.#quiet();
    const failure = this.#failure;
    if (failure === undefined) throw new Error("The processor has not failed.");
    this.#failure = undefined;
    return failure.error;
  }

  /** That strategies still hold messages at the end of the test is meant to be so. */
  allowHeld(): void {
    this.#heldAllowed = true;
  }

  /** `topic:partition` to the offset that is committed. */
  get committed(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.#broker.committedOffsets(GROUP)].map(([partition, offset]) => [String(partition), offset]),
    );
  }

  /** The messages that were found invalid, in the order in which they were, with the reasons. */
  get deadLetters(): readonly DeadLetter[] {
    return this.#deadLetters;
  }

  /** What the pipeline has written to a topic, in the order in which the broker took it. */
  output(topic: string): readonly KafkaPayload[] {
    return this.#producer.output(topic);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#quiet();
    const held = this.#failure === undefined && !this.#heldAllowed ? this.#held() : undefined;
    if (held === undefined && !this.#heldAllowed) await this.#shutDown();
    else await this.#crash();
    await this.#broker.close();
    this.#throwFailure();
    if (held !== undefined) throw new Error(`${held} Declare it with allowHeld() if that is meant to be so.`);
  }

  async #run(): Promise<void> {
    const tools: HarnessTools = {
      producer: this.#producer,
      clock: this.clock,
      logger: this.#options.logger ?? silentLogger,
      metrics: this.metrics,
    };
    const factory = await this.#makeFactory(tools);
    const moved = (): void => void this.#moves++;
    const inner = this.#broker.consumer({ "group.id": GROUP, "auto.offset.reset": "earliest" });
    const chain = new WatchedChain(factory, moved);
    const consumer = new HarnessConsumer(inner, moved);
    const processor = new StreamProcessor({
      consumer,
      topic: Object.keys(this.#topics).map((name) => new Topic(name)),
      factory: chain,
      commitPolicy: this.#options.commitPolicy ?? IMMEDIATE,
      dlqPolicy: this.#options.dlqPolicy ?? new DlqPolicy({ producer: this.#dlqProducer() }),
      perPartition: this.#options.perPartition,
      clock: this.clock,
      metrics: this.metrics,
      logger: tools.logger,
    });
    this.#chain = chain;
    this.#consumer = consumer;
    this.#processor = processor;
    this.#ended = false;
    this.#running = processor.run().then(
      () => void (this.#ended = true),
      (error: unknown) => {
        this.#ended = true;
        this.#moves++;
        if (!(error instanceof Crash)) this.#failure = { error };
      },
    );
  }

  #dlqProducer(): DlqProducer<KafkaPayload> {
    return {
      produce: (message, reason) => {
        this.#moves++;
        this.#deadLetters.push({ message, reason });
        return Promise.resolve();
      },
    };
  }

  async #ordered(order: Promise<void> | undefined): Promise<void> {
    const through = { so: false };
    void order?.then(() => (through.so = true));
    await this.#quiet();
    // A drain may wait for a time that only the clock can bring.
    for (let step = 0; !through.so && !this.#ended && step < SHUTDOWN_STEPS; step++) {
      this.clock.advance(1_000);
      await this.#quiet();
    }
    await this.#quiet();
    this.#throwFailure();
  }

  async #crash(): Promise<void> {
    if (!this.#ended) {
      void this.#consumer?.order(() => {
        throw new Crash();
      });
    }
    await this.#untilEnded();
  }

  async #shutDown(): Promise<void> {
    this.#processor?.signalShutdown();
    await this.#untilEnded();
  }

  async #untilEnded(): Promise<void> {
    await this.#quiet();
    for (let step = 0; !this.#ended && step < SHUTDOWN_STEPS; step++) {
      this.clock.advance(1_000);
      await this.#quiet();
    }
    if (!this.#ended) throw new Error("The processor does not come to its end.");
    await this.#running;
  }

  #held(): string | undefined {
    const chain = this.#chain;
    if (chain === undefined || this.#ended) return undefined;
    const { holder } = chain;
    if (holder !== undefined) return `${holder} still holds messages, and nothing moves any more.`;
    for (const [partition, position] of this.#consumer?.tell() ?? []) {
      const end = this.#broker.endOffsets(partition.topic).get(partition) ?? 0;
      if (
        Math.max(position, chain.takenUpTo(partition) ?? 0) < end ||
        position > (chain.takenUpTo(partition) ?? position)
      ) {
        return `${chain.first ?? "The processor"} does not take the messages of ${partition}, and nothing moves any more.`;
      }
    }
    return undefined;
  }

  /** Gives the event loop its turns until nothing has gone on for a while. */
  async #quiet(): Promise<void> {
    await Promise.all(this.#sending.splice(0));
    let seen = this.#moves;
    for (let turn = 0; turn < QUIET_TURNS; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#moves !== seen) {
        seen = this.#moves;
        turn = 0;
      }
    }
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
  }
}

/**
 * Runs a pipeline for a test: no broker, no sleeping, and time that goes on only when the test says so.
 *
 * ```ts
 * await using t = await harness(({ producer }) => pipeline().map(parse).produce(producer, "out").commit());
 * t.send(new KafkaPayload("k", '{"id":1}'));
 * await t.settle();
 * assert.deepEqual(t.committed, { "input:0": 1 });
 * ```
 *
 * @param factory the pipeline, or a function that makes it with the harness's producer and clock: called again by
 * `restart`.
 */
export async function harness(
  factory:
    | ProcessingStrategyFactory<KafkaPayload>
    | ((
        tools: HarnessTools,
      ) => ProcessingStrategyFactory<KafkaPayload> | Promise<ProcessingStrategyFactory<KafkaPayload>>),
  options: HarnessOptions = {},
): Promise<Harness> {
  const made = new Harness(typeof factory === "function" ? factory : () => factory, options);
  await made.start();
  return made;
}
