import type { Consumer, TopicSubscription } from "../backend/consumer.ts";
import { Vitals } from "../backend/vitals.ts";
import { deadlineAfter, systemClock, type Clock } from "../clock.ts";
import { ONCE_PER_SECOND, type CommitPolicy } from "../commit/policy.ts";
import { DeadLetters } from "../dlq/dead-letters.ts";
import type { DlqPolicy } from "../dlq/policy.ts";
import { ConfigurationError, DeadlineError, InvalidStateError } from "../errors.ts";
import { limitedLogger, type LimitedLogger } from "../log-limit.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import { Topic } from "../message/topic.ts";
import { MetricsBuffer } from "../metrics/buffer.ts";
import { guardedLogger, guardedMetrics } from "../guarded-sinks.ts";
import { noopMetrics, type Metrics } from "../metrics/metrics.ts";
import type { ProcessingStrategyFactory } from "../strategies/strategy.ts";
import { Assignments } from "./assignments.ts";
import { Committer } from "./committer.ts";
import type { ProcessingContext } from "./context.ts";
import { Events, ProcessorChannel } from "./events.ts";
import { Inbox } from "./inbox.ts";
import { InvalidMessages } from "./invalid-messages.ts";
import { Loop } from "./loop.ts";
import { perPartition } from "./per-partition.ts";
import { Poller } from "./poller.ts";
import { detectStuck } from "./stuck-detector.ts";
import { WakeUp } from "./wake-up.ts";
import { keepAlive, within } from "./waits.ts";

const DEFAULT_JOIN_TIMEOUT_MS = 25_000;
/** With the default join timeout it adds up to 29 s, so that Kubernetes' 30 s are enough. */
const COMMIT_TIMEOUT_MS = 3_000;
const LEAVE_TIMEOUT_MS = 1_000;
/** How long a poll may take to come back once it was told to. */
const POLL_GRACE_MS = 250;
/** How much longer than its timeout something may take before it is left alone. */
const GRACE_MS = 200;

/** What a {@link StreamProcessor} works with. */
export interface StreamProcessorOptions<T> {
  /** Where messages come from. The processor subscribes it, and closes it at the end. */
  readonly consumer: Consumer<T>;
  /** What to read: a topic, several, or every topic whose name matches. */
  readonly topic: string | Topic | readonly (string | Topic)[] | RegExp;
  /** Makes the strategies for each assignment. */
  readonly factory: ProcessingStrategyFactory<NoInfer<T>>;
  /**
   * One chain for each partition: the factory is asked once for each, and a partition that is held up is paused and holds
   * up no other. Default false: one chain for all.
   */
  readonly perPartition?: boolean | undefined;
  /** When to commit. Commits go on beside the processing, one at a time. Default ONCE_PER_SECOND. */
  readonly commitPolicy?: CommitPolicy | undefined;
  /** What to do about invalid messages. Default: they are counted, logged and dropped. */
  readonly dlqPolicy?: DlqPolicy<NoInfer<T>> | undefined;
  /** How long strategies may take to finish on a revocation and at shutdown, in ms. Default 25,000. */
  readonly joinTimeoutMs?: number | undefined;
  /**
   * When the main thread has not polled for so many milliseconds, another thread writes to standard error where it is stuck,
   * and it is counted (`arroyo.consumer.stuck`). Default: nobody looks.
   */
  readonly stuckDetectorTimeoutMs?: number | undefined;
  /** Default: lines of JSON on standard error. */
  readonly logger?: Logger | undefined;
  /** Default: none. */
  readonly metrics?: Metrics | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
}

function subscriptionOf(topic: StreamProcessorOptions<unknown>["topic"]): TopicSubscription {
  if (topic instanceof RegExp) return topic;
  const topics = (
    Array.isArray(topic) ? (topic as readonly (string | Topic)[]) : [topic as string | Topic]
  ).map((one) => Topic.of(one));
  if (topics.length > 0) return topics;
  throw new ConfigurationError(
    "StreamProcessor: topic is an empty list, so there is nothing to read: name a topic.",
  );
}

/**
 * Reads messages as a member of a group, hands them to the strategies that the factory makes, and commits what they have
 * done: at least once, in order per partition. (Arroyo's `StreamProcessor`.)
 *
 * ```ts
 * const processor = new StreamProcessor({ consumer, topic: "orders", factory });
 * process.once("SIGTERM", () => processor.signalShutdown());
 * await processor.run();
 * ```
 */
export class StreamProcessor<T> implements AsyncDisposable {
  /** What health checks see of it, from any thread. */
  readonly vitals: Vitals;
  readonly #context: ProcessingContext<T>;
  readonly #subscription: TopicSubscription;
  readonly #stop = new AbortController();
  readonly #assignments: Assignments<T>;
  readonly #committer: Committer<T>;
  readonly #poller: Poller<T>;
  readonly #loop: Loop<T>;
  /** For what can come with each message. */
  readonly #limitedLogger: LimitedLogger;
  readonly #stuckTimeoutMs: number | undefined;
  #stoppedAtMs: number | undefined;
  #failure: { readonly error: unknown } | undefined;
  #running: Promise<void> | undefined;

  /** @throws ConfigurationError for a topic that Kafka does not allow, or a timeout that is no time. */
  constructor(options: StreamProcessorOptions<T>) {
    const { consumer, clock = systemClock, joinTimeoutMs = DEFAULT_JOIN_TIMEOUT_MS } = options;
    const factory = options.perPartition === true ? perPartition(options.factory, consumer) : options.factory;
    if (!(Number.isFinite(joinTimeoutMs) && joinTimeoutMs >= 0)) {
      throw new ConfigurationError(
        `StreamProcessor: joinTimeoutMs is ${joinTimeoutMs}, but must be a number of milliseconds from 0 up.`,
      );
    }
    this.#stuckTimeoutMs = options.stuckDetectorTimeoutMs;
    if (
      this.#stuckTimeoutMs !== undefined &&
      !(this.#stuckTimeoutMs > 0 && this.#stuckTimeoutMs < Infinity)
    ) {
      throw new ConfigurationError(
        `StreamProcessor: stuckDetectorTimeoutMs is ${this.#stuckTimeoutMs}, but must be a number of milliseconds above 0.`,
      );
    }
    this.#subscription = subscriptionOf(options.topic);
    this.vitals = consumer.vitals ?? new Vitals();
    const sink = guardedMetrics(options.metrics ?? noopMetrics);
    const logger = guardedLogger(options.logger ?? stderrLogger, sink);
    const metrics = new MetricsBuffer(sink, clock);
    const wakeUp = new WakeUp(clock);
    const events = new Events(this);
    const deadLetters =
      options.dlqPolicy === undefined
        ? undefined
        : new DeadLetters<T>({
            policy: options.dlqPolicy,
            consumer,
            clock,
            metrics,
            logger,
            onDelivered: () => this.#deadLetterDelivered(),
            onError: (error) => this.#fail(error),
          });
    const inbox = new Inbox<T>(clock);
    this.#limitedLogger = limitedLogger(logger, clock);
    const invalidMessages = new InvalidMessages(inbox, {
      clock,
      logger: this.#limitedLogger,
      metrics,
      events,
      deadLetters,
    });
    this.#context = {
      consumer,
      vitals: this.vitals,
      factory,
      commitPolicy: options.commitPolicy ?? ONCE_PER_SECOND,
      joinTimeoutMs,
      clock,
      logger,
      metrics,
      wakeUp,
      events,
      deadLetters,
      fail: (error) => this.#fail(error),
      reportInvalid: (error) => invalidMessages.report(error),
    };
    const committer = new Committer(
      this.#context,
      (partition) => deadLetters?.commitLimit(partition) ?? Infinity,
    );
    this.#committer = committer;
    const stopping = this.#stop.signal;
    this.#assignments = new Assignments(this.#context, { inbox, committer, stopping });
    this.#poller = new Poller(this.#context);
    this.#loop = new Loop(this.#context, {
      inbox,
      poller: this.#poller,
      assignments: this.#assignments,
      committer,
      invalidMessages,
      stopping,
      throwIfFailed: () => this.#throwIfFailed(),
    });
  }

  /**
   * Runs until a shutdown is signalled (or `signal` aborts) and everything has come to its end: the strategies have
   * finished within `joinTimeoutMs`, what they have done is committed, the consumer is closed and the factory shut down.
   *
   * Rejects with what a strategy, the factory or the consumer threw, after it has terminated the strategies, committed
   * what was done before, and closed everything. It can run once.
   */
  run(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    if (this.#running !== undefined) {
      return Promise.reject(
        new InvalidStateError("This processor has run already: make a new one, with a new consumer."),
      );
    }
    this.#running = this.#run(options.signal);
    return this.#running;
  }

  /**
   * Asks for the end: drains, commits, leaves the group. May be called at any time, from anywhere, and more than once.
   */
  signalShutdown(): void {
    if (this.#stoppedAtMs !== undefined) return;
    this.#context.logger.info({}, "A shutdown was signalled.");
    this.#end();
  }

  /** Signals a shutdown and waits for its end. What `run` rejects with comes from `run`, not from here. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.signalShutdown();
    if (this.#running === undefined) await this.run();
    else await this.#running.catch(() => {});
  }

  async #run(signal: AbortSignal | undefined): Promise<void> {
    const shutDown = (): void => this.signalShutdown();
    if (signal?.aborted === true) shutDown();
    signal?.addEventListener("abort", shutDown, { once: true });
    using _alive = keepAlive();
    if (this.vitals.phase === "idle") this.vitals.phase = "running";
    try {
      await this.#process();
    } catch (error) {
      this.#fail(error);
      await this.#abandon();
    }
    await this.#attempt("close the consumer", () => this.#close());
    await this.#attempt("shut the factory down", async () => this.#context.factory.shutdown?.());
    this.#context.metrics.flush();
    this.#limitedLogger.flush();
    signal?.removeEventListener("abort", shutDown);
    this.vitals.phase = this.#failure === undefined ? "ended" : "failed";
    this.#context.events.publish(ProcessorChannel.STOPPED, this.#failure ?? {});
    this.#throwIfFailed();
  }

  async #process(): Promise<void> {
    const { logger, metrics } = this.#context;
    using _watch =
      this.#stuckTimeoutMs === undefined
        ? undefined
        : detectStuck({ vitals: this.vitals, timeoutMs: this.#stuckTimeoutMs, logger, metrics });
    if (!this.#stop.signal.aborted) {
      this.#context.consumer.subscribe(this.#subscription, this.#assignments.callbacks);
      await Promise.race([this.#loop.run(), this.#poller.abandoned]);
      this.#throwIfFailed();
    }
    await this.#drain();
    this.#throwIfFailed();
  }

  async #drain(): Promise<void> {
    const { clock, joinTimeoutMs } = this.#context;
    const joinLeftMs = this.#stoppedAtMs! + joinTimeoutMs - clock.monotonicMs();
    using deadline = deadlineAfter(clock, joinLeftMs);
    let over = false;
    const drained = this.#assignments.drain(deadline, COMMIT_TIMEOUT_MS).finally(() => (over = true));
    void this.#loop.keepPolling(() => over);
    // A revocation that is under way may have used up some of the time.
    if (await within(drained, joinLeftMs + COMMIT_TIMEOUT_MS + GRACE_MS, clock)) return;
    over = true;
    drained.catch(() => {});
    throw new DeadlineError("The consumer did not let go of its partitions within the time for a shutdown.");
  }

  /** After an error: nothing goes on, but what is done is committed. */
  async #abandon(): Promise<void> {
    const { logger, clock, joinTimeoutMs } = this.#context;
    const { partition, offset } = this.#loop.failedAt ?? {};
    logger.error(
      { topic: partition?.topic.name, partition: partition?.index, offset, err: this.#failure!.error },
      "The processor stops because of an error.",
    );
    this.#end();
    const leftMs = this.#stoppedAtMs! + joinTimeoutMs + COMMIT_TIMEOUT_MS - clock.monotonicMs();
    try {
      await this.#assignments.terminate(Math.max(0, Math.min(leftMs, COMMIT_TIMEOUT_MS)));
    } catch (error) {
      logger.error({ err: error }, "The last commit failed: what it covers will be handled again.");
    }
  }

  async #close(): Promise<void> {
    const { consumer, clock, logger } = this.#context;
    const closed = consumer.close(LEAVE_TIMEOUT_MS);
    if (await within(closed, LEAVE_TIMEOUT_MS + GRACE_MS, clock)) return;
    closed.catch(() => {});
    logger.warn({}, "The consumer did not close in time; the group will notice that it is gone.");
  }

  /** Does what has to be done whatever came before. The first error is what `run` rejects with. */
  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#context.logger.error({ err: error }, `Failed to ${what}.`);
      this.#fail(error);
    }
  }

  #end(): void {
    if (this.#stoppedAtMs === undefined) {
      this.#stoppedAtMs = this.#context.clock.monotonicMs();
      this.vitals.phase = "stopping";
      this.#context.events.publish(ProcessorChannel.STOPPING, this.#failure ?? {});
    }
    this.#stop.abort();
    this.#context.wakeUp.interrupt();
    this.#leavePoll();
  }

  /** A poll that does not come back must not hold up the shutdown; one in which a drain is running may. */
  #leavePoll(): void {
    const { clock, joinTimeoutMs } = this.#context;
    const untilMs = this.#stoppedAtMs! + joinTimeoutMs + COMMIT_TIMEOUT_MS;
    clock.setTimeout(() => {
      if (!this.#poller.pending) return;
      if (this.#assignments.busy && clock.monotonicMs() < untilMs) this.#leavePoll();
      else this.#poller.abandon();
    }, POLL_GRACE_MS);
  }

  #deadLetterDelivered(): void {
    const { current } = this.#assignments;
    if (current !== undefined) this.#committer.limitsMoved(current);
    this.#context.wakeUp.wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#context.wakeUp.interrupt();
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
