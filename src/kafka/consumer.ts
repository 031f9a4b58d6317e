import { ConsumerError, EndOfPartition, OffsetOutOfRange } from "../errors.ts";
import { limitedLogger, type LimitedLogger } from "../log-limit.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import type { BrokerMessage } from "../message/message.ts";
import { checkOffset, checkOffsets } from "../message/offset.ts";
import { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { guardedCallback, guardedLogger, guardedMetrics } from "../guarded-sinks.ts";
import { noopMetrics, type Metrics } from "../metrics/metrics.ts";
import { systemClock } from "../clock.ts";
import type { Consumer, PollOptions, RebalanceCallbacks, TopicSubscription } from "../backend/consumer.ts";
import { ConsumerStateChecks } from "../backend/consumer-state.ts";
import { Vitals } from "../backend/vitals.ts";
import { openConsumer, type ClientPort } from "./client/io-thread.ts";
import type { ConsumerCommand, ConsumerEvent, PartitionId } from "./client/protocol.ts";
import { arrived } from "./client/port-logger.ts";
import { deserializeError } from "./client/serialized-error.ts";
import { Commits } from "./commits.ts";
import { resolveConsumerConfig, type KafkaConsumerConfig, type ResolvedConsumerConfig } from "./config.ts";
import { Delivery } from "./delivery.ts";
import { OffsetCommits } from "./offset-commits.ts";
import { Rebalancing } from "./rebalancing.ts";
import { Rereads } from "./rereads.ts";
import { consumerStatistics, StatisticsMetrics, type ConsumerStatistics } from "./statistics.ts";
import { YoungGarbage } from "./young-garbage.ts";
import { Waiter } from "../waiter.ts";

const DEFAULT_MAX_MESSAGES = 1_000;
const DEFAULT_CLOSE_MS = 5_000;
const DEFAULT_COMMIT_MS = 60_000;
/** How often a poll that waits, or a callback that runs, says that the main thread is alive. */
const ALIVE_EVERY_MS = 500;

/** What a {@link KafkaConsumer} takes besides its settings. */
export interface KafkaClientOptions {
  /** Where log lines go; standard error by default. */
  readonly logger?: Logger | undefined;
  /** Where metrics go; nowhere by default. */
  readonly metrics?: Metrics | undefined;
  /** Told of the consumer's statistics every `statistics.interval.ms`, on the main thread. */
  readonly onStatistics?: ((statistics: ConsumerStatistics) => void) | undefined;
}

/**
 * Reads topics of Apache Kafka as a member of a group.
 *
 * Sockets, heartbeats, fetching and commits run on a thread of their own, so that a main thread that is busy for longer
 * than `session.timeout.ms` is not thrown out of the group; one that has not polled for `max.poll.interval.ms` leaves it,
 * as it would with librdkafka, and joins again when it polls.
 *
 * The contract is {@link Consumer}'s. The configuration has librdkafka's keys: docs/configuration.md lists them.
 */
export class KafkaConsumer implements Consumer<KafkaPayload> {
  /** What health checks see of it. The I/O thread writes the membership. */
  readonly vitals: Vitals = new Vitals();
  readonly #checks: ConsumerStateChecks;
  readonly #config: ResolvedConsumerConfig;
  readonly #logger: LimitedLogger;
  readonly #metrics: Metrics;
  readonly #statistics: StatisticsMetrics;
  readonly #onStatistics: ((statistics: ConsumerStatistics) => void) | undefined;
  readonly #client: ClientPort;
  readonly #aliveEveryMs: number;
  readonly #delivery: Delivery;
  readonly #rebalancing: Rebalancing;
  readonly #commits: Commits;
  readonly #offsets: OffsetCommits;
  readonly #rereads: Rereads;
  readonly #waiter = new Waiter(systemClock);
  /** Ends of partitions that were reached and not told yet. */
  readonly #ends: EndOfPartition[] = [];
  #subscribed = false;
  #polling = false;
  #memberId = "";
  #closing: Promise<void> | undefined;
  #closed = false;
  #engineClosed: (() => void) | undefined;
  #engineGone = false;
  /** Why this consumer is of no more use, once it is: every poll throws it. */
  #failure: Error | undefined;

  /** @throws ConfigurationError for a key that is unknown, or a value that is out of range, before any connection. */
  constructor(config: KafkaConsumerConfig, options: KafkaClientOptions = {}) {
    this.#config = resolveConsumerConfig(config);
    this.#aliveEveryMs = Math.min(ALIVE_EVERY_MS, this.#config["max.poll.interval.ms"] / 4);
    this.#metrics = guardedMetrics(options.metrics ?? noopMetrics);
    this.#logger = limitedLogger(guardedLogger(options.logger ?? stderrLogger, this.#metrics), systemClock);
    this.#statistics = new StatisticsMetrics(this.#metrics);
    this.#onStatistics =
      options.onStatistics && guardedCallback("onStatistics", options.onStatistics, this.#metrics);
    this.vitals.maxPollIntervalMs = this.#config["max.poll.interval.ms"];
    this.#delivery = new Delivery(
      {
        credit: ({ topic, index }, bytes, emptyAfter) =>
          this.#send({ type: "credit", topic: topic.name, index, bytes, emptyAfter }),
        end: (partition, offset) => {
          if (this.#config["enable.partition.eof"]) this.#ends.push(new EndOfPartition(partition, offset));
        },
        passed: (partition) => this.#offsets.passed(partition),
      },
      this.#config["arroyo.collect.young.garbage"] ? new YoungGarbage() : undefined,
    );
    this.#checks = new ConsumerStateChecks({
      closed: () => this.#closed,
      subscribed: () => this.#subscribed,
      canPoll: () => this.#subscribed || this.#rebalancing.active,
      polling: () => this.#polling,
      has: (partition) => this.#delivery.has(partition),
    });
    this.#commits = new Commits((command) => this.#send(command));
    this.#rereads = new Rereads((command) => this.#send(command));
    this.#rebalancing = new Rebalancing({
      delivery: this.#delivery,
      send: (command) => this.#send(command),
      commitsSettled: (deadline) => this.#commits.settled(deadline),
      wake: () => this.#waiter.wake(),
      removed: (partitions) => {
        this.#offsets.removed(partitions);
        this.#countPartitions();
      },
    });
    this.#offsets = new OffsetCommits({
      delivery: this.#delivery,
      commits: this.#commits,
      send: (command) => this.#send(command),
      assignmentOf: (partition) => this.#rebalancing.assignmentOf(partition),
      isPeriodic: this.#config["arroyo.enable.auto.commit"],
      logger: this.#logger,
      metrics: this.#metrics,
    });
    this.#client = openConsumer(this.#config, this.vitals.buffer, this.#logger, (error) => this.#fail(error));
    this.#client.port.on("message", (event: ConsumerEvent) => this.#receive(event));
  }

  get closed(): boolean {
    return this.#closed;
  }

  get memberId(): string {
    return this.#memberId;
  }

  subscribe(topics: TopicSubscription, callbacks: RebalanceCallbacks = {}): void {
    this.#checks.subscribe(topics);
    this.#subscribed = true;
    this.#rebalancing.callbacks = callbacks;
    const subscription =
      topics instanceof RegExp
        ? { pattern: { source: topics.source, flags: topics.flags } }
        : { topics: [...new Set(topics.map((topic) => topic.name))] };
    this.#send({ type: "subscribe", subscription });
  }

  unsubscribe(): void {
    this.#checks.open("unsubscribe");
    if (!this.#subscribed) return;
    this.#subscribed = false;
    this.#send({ type: "unsubscribe" });
  }

  async poll(options: PollOptions = {}): Promise<readonly BrokerMessage<KafkaPayload>[]> {
    const { timeoutMs = 0, maxMessages = DEFAULT_MAX_MESSAGES, signal } = options;
    this.#checks.poll();
    this.#polling = true;
    this.#alive();
    try {
      const untilMs = performance.now() + timeoutMs;
      for (;;) {
        if (this.#rebalancing.pending) {
          await this.#whileAlive(this.#rebalancing.run());
          this.#countPartitions();
        }
        if (this.#closed) return [];
        if (this.#failure !== undefined) throw this.#failure;
        const end = this.#ends.shift();
        if (end !== undefined) throw end;
        const messages = maxMessages > 0 ? this.#delivery.take(maxMessages) : [];
        if (messages.length > 0) return messages;
        if (this.#ends.length > 0) continue;
        const leftMs = untilMs - performance.now();
        const received = this.#delivery.emptyAfter();
        if (received !== undefined) this.#send({ type: "empty", received });
        if (leftMs <= 0 || signal?.aborted === true) return [];
        // In turns, so that a long wait counts as polling without a timer of its own.
        await this.#waiter.wait(Math.min(leftMs, this.#aliveEveryMs), signal);
        this.#alive();
      }
    } finally {
      this.#polling = false;
      this.#alive();
    }
  }

  pause(partitions: readonly Partition[]): void {
    this.#checks.assigned("pause", partitions);
    for (const partition of partitions) this.#delivery.pause(partition, true);
  }

  resume(partitions: readonly Partition[]): void {
    this.#checks.assigned("resume", partitions);
    for (const partition of partitions) this.#delivery.pause(partition, false);
    this.#waiter.wake();
  }

  paused(): readonly Partition[] {
    this.#checks.open("paused");
    return [...this.#delivery.partitions].filter((partition) => this.#delivery.isPaused(partition));
  }

  tell(): ReadonlyMap<Partition, number> {
    this.#checks.open("tell");
    return this.#delivery.positions();
  }

  seek(offsets: ReadonlyMap<Partition, number>): void {
    this.#checks.assigned("seek", [...offsets.keys()]);
    checkOffsets("seek", offsets);
    for (const [partition, offset] of offsets) this.#delivery.seek(partition, offset, -1);
    this.#rebalancing.fetch([...offsets.keys()]);
  }

  async reread(partition: Partition, offset: number): Promise<BrokerMessage<KafkaPayload>> {
    this.#checks.assigned("reread", [partition]);
    checkOffset("reread", partition, offset);
    if (this.#failure !== undefined) throw this.#failure;
    return await this.#rereads.read(partition, offset);
  }

  /** Messages behind the end of the partition, as of the last answer of its leader; undefined before the first one. */
  lag(partition: Partition): number | undefined {
    this.#checks.assigned("lag", [partition]);
    return this.#delivery.lag(partition);
  }

  stageOffsets(offsets: ReadonlyMap<Partition, number>): void {
    this.#checks.open("stageOffsets");
    checkOffsets("stageOffsets", offsets);
    this.#offsets.stage(offsets);
  }

  async commitOffsets(): Promise<ReadonlyMap<Partition, number>> {
    this.#checks.open("commitOffsets");
    if (this.#failure !== undefined) throw this.#failure;
    return await this.#offsets.commit(this.#rebalancing.commitMs ?? DEFAULT_COMMIT_MS);
  }

  close(timeoutMs: number = DEFAULT_CLOSE_MS): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    this.#subscribed = false;
    this.#rebalancing.abandon();
    this.#offsets.close();
    this.#waiter.wake();
    if (!this.#engineGone) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#engineClosed = resolve;
      this.#send({ type: "close", timeoutMs });
      // The engine keeps the time itself; this is for a thread that is too busy to.
      const timer = setTimeout(resolve, timeoutMs + ALIVE_EVERY_MS);
      await promise;
      clearTimeout(timer);
    }
    this.#commits.fail(
      new ConsumerError("The consumer was closed before the broker had acknowledged the commit."),
    );
    this.#rereads.fail(new ConsumerError("The consumer was closed before it had read the message again."));
    this.#client.port.close();
    this.#client.release();
    this.#logger.flush();
  }

  #receive(event: ConsumerEvent): void {
    switch (event.type) {
      case "records":
        if (this.#delivery.records(Partition.of(event.topic, event.index), event)) this.#waiter.wake();
        break;
      case "progress":
        if (this.#delivery.progress(Partition.of(event.topic, event.index), event)) this.#waiter.wake();
        break;
      case "outOfRange":
        this.#partitionFailed(
          event,
          new OffsetOutOfRange(Partition.of(event.topic, event.index), event.offset, {
            reason: event.reason,
          }),
        );
        break;
      case "assigned":
        this.#memberId = event.memberId;
        this.#rebalancing.assigned(event);
        break;
      case "revoke":
        this.#rebalancing.revoke(event);
        break;
      case "lost":
        this.#rebalancing.lost(event);
        break;
      case "member":
        this.#memberId = event.memberId;
        break;
      case "committed":
        this.#commits.committed(event.id, event.offsets);
        break;
      case "reread":
        this.#rereads.answered(event.id, event.records);
        break;
      case "rereadFailed":
        this.#rereads.failed(event.id, deserializeError(event.error, "consumer"));
        break;
      case "commitFailed":
        this.#commits.failed(event.id, deserializeError(event.error, "consumer"));
        break;
      case "failed":
        this.#partitionFailed(event, deserializeError(event.error, "consumer"));
        break;
      case "fatal":
        this.#failure = deserializeError(event.error, "consumer");
        this.#waiter.wake();
        break;
      case "log":
        this.#logger[event.level](arrived(event.fields, "consumer"), event.message);
        break;
      case "metric":
        this.#metrics[event.kind](event.name, event.value, event.tags);
        break;
      case "statistics": {
        const clientId = this.#config["client.id"];
        const statistics = consumerStatistics(clientId, event.statistics, (at) => this.#delivery.at(at));
        this.#statistics.consumer(statistics);
        this.#onStatistics?.(statistics);
        break;
      }
      case "closed":
        this.#engineClosed?.();
        break;
    }
  }

  #partitionFailed(event: PartitionId & { readonly epoch: number }, error: Error): void {
    const partition = Partition.of(event.topic, event.index);
    if (!this.#delivery.isCurrent(partition, event.epoch)) return;
    this.#delivery.fail(partition, error);
    this.#waiter.wake();
  }

  /** The I/O thread is gone. */
  #fail(cause: Error): void {
    this.#engineGone = true;
    this.vitals.member = "failed";
    this.#failure = new ConsumerError(
      "The I/O thread has failed: this consumer is of no more use, make a new one.",
      { cause },
    );
    this.#commits.fail(this.#failure);
    this.#rereads.fail(this.#failure);
    this.#engineClosed?.();
    this.#waiter.wake();
  }

  /** Says to the I/O thread that the main thread polls. */
  #alive(): void {
    this.vitals.polled();
  }

  #countPartitions(): void {
    this.vitals.partitions = this.#delivery.positions().size;
  }

  /** Something asynchronous counts as polling, as long as the event loop runs. */
  async #whileAlive<T>(work: Promise<T>): Promise<T> {
    const timer = setInterval(() => this.#alive(), this.#aliveEveryMs);
    try {
      return await work;
    } finally {
      clearInterval(timer);
    }
  }

  #send(command: ConsumerCommand): void {
    this.#client.port.postMessage(command);
  }
}
