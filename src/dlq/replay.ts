import type { Consumer } from "../backend/consumer.ts";
import type { Producer } from "../backend/producer.ts";
import { systemClock, type Clock } from "../clock.ts";
import { ProducerError, RecoverableError } from "../errors.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import type { BrokerMessage } from "../message/message.ts";
import { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import { unlessAborted } from "../processing/waits.ts";
import { messageOf, originalPartition, replaysOf } from "./letter.ts";
import { RateLimit } from "./rate-limit.ts";
import { ReplayedPartition, type Pending } from "./replayed-partition.ts";

const DEFAULT_MAX_REPLAYS = 3;
const MAX_IN_FLIGHT = 2_000;
const COMMIT_EVERY_MS = 1_000;
/** How long what is on its way is waited for once the replay should end. */
const DRAIN_MS = 10_000;
/** How long after the producer's queue was full a message is tried again. */
const RETRY_AFTER_MS = 10;

export interface ReplayOptions {
  /** A consumer of the dead letter topic, not subscribed yet, that starts at the earliest message. */
  readonly consumer: Consumer<KafkaPayload>;
  readonly producer: Pick<Producer<KafkaPayload>, "produce">;
  readonly from: Topic | string;
  readonly to: Topic | string;
  /** Where each partition of the dead letter topic ends: what comes later is left for another run. */
  readonly ends: ReadonlyMap<Partition, number>;
  /** How many partitions the topic has that is written to. */
  readonly toPartitions: number;
  /** At most so many messages. Default: all. */
  readonly limit?: number | undefined;
  /** At most so many messages a second. Default: as fast as it goes. */
  readonly ratePerSecond?: number | undefined;
  /** A message that was replayed so often already stays where it is. Default 3. */
  readonly maxReplays?: number | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
  /** Default: lines of JSON on standard error. */
  readonly logger?: Logger | undefined;
}

export interface ReplayProgress {
  /** Messages that were written, and that the broker has acknowledged. */
  readonly replayed: number;
  /** Messages that were passed over, since they were replayed too often already. */
  readonly keptBack: number;
  /**
   * Offsets before the end that are not done, in the partitions that are assigned now: as many messages, or fewer where
   * the log has gaps. Undefined before there is an assignment.
   */
  readonly left: number | undefined;
}

/**
 * How a replay came to its end: everything up to the ends was done, the limit was reached, or it was told to stop.
 */
export type ReplayOutcome = "finished" | "limit" | "stopped";

/**
 * Writes the messages of a dead letter topic back to a topic, at least once: what the broker has acknowledged is
 * committed, so the next replay of the group goes on from there. A message whose topic is the one that is written to goes
 * back to its partition; others where the producer's partitioner puts them.
 *
 * It always comes to an end: it reads no further than the ends that it was given, and a message does not come back more
 * than `maxReplays` times. Any message of the topic is replayed, whether it has the headers of a dead letter or not:
 * its own key, value and headers are all that is needed, and other programs write other headers.
 */
export class Replay {
  readonly #options: ReplayOptions;
  readonly #from: Topic;
  readonly #to: Topic;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #rate: RateLimit;
  readonly #partitions = new Map<Partition, ReplayedPartition>();
  #wasAssigned = false;
  #replayed = 0;
  #keptBack = 0;
  #inFlight = 0;
  #stopping = false;
  #failure: { readonly error: unknown } | undefined;
  /** Until when what is on its way is waited for. */
  #drainUntilMs = Infinity;
  #committing: Promise<void> | undefined;
  #commitAtMs = 0;
  /** Ends the wait for messages, or for room for them. */
  #wakeUp = new AbortController();
  #settled: (() => void) | undefined;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#from = Topic.of(options.from);
    this.#to = Topic.of(options.to);
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? stderrLogger;
    this.#rate = new RateLimit(options.ratePerSecond ?? Infinity, this.#clock);
  }

  get progress(): ReplayProgress {
    let left = 0;
    for (const partition of this.#partitions.values()) left += partition.left;
    return {
      replayed: this.#replayed,
      keptBack: this.#keptBack,
      left: this.#wasAssigned ? left : undefined,
    };
  }

  /**
   * Runs to the end, or until the signal aborts; then what is on its way is waited for, 10 s at most. What is done is
   * committed in any case. The consumer stays subscribed: close it.
   *
   * Rejects with a ProducerError when a message could not be written, and with what the consumer throws.
   */
  async run(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<ReplayOutcome> {
    const { signal } = options;
    const stop = (): void => this.#stop();
    if (signal?.aborted === true) stop();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      await this.#run();
    } catch (error) {
      this.#fail(error);
    }
    signal?.removeEventListener("abort", stop);
    await this.#commitLast();
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#readAll && this.progress.left === 0) return "finished";
    return this.#stopping ? "stopped" : "limit";
  }

  async #run(): Promise<void> {
    const { consumer } = this.#options;
    if (this.#stopping) return;
    this.#commitAtMs = this.#clock.monotonicMs() + COMMIT_EVERY_MS;
    consumer.subscribe([this.#from], {
      onAssign: (offsets) => this.#assigned(offsets),
      onRevoke: (partitions, deadline) => this.#revoked(partitions, deadline),
      onLost: (partitions) => this.#removed(partitions),
    });
    while (!this.#over) {
      for (const message of await this.#poll()) this.#take(message);
      this.#passed(consumer.tell());
      this.#commitIfDue();
    }
  }

  /** Whether nothing more is to be read. */
  get #doneReading(): boolean {
    const { limit = Infinity } = this.#options;
    return (
      this.#stopping ||
      this.#failure !== undefined ||
      this.#replayed + this.#inFlight >= limit ||
      this.#readAll
    );
  }

  /** Without partitions it is another member that reads them, which may give them back. */
  get #readAll(): boolean {
    if (this.#partitions.size === 0) return false;
    for (const partition of this.#partitions.values()) if (!partition.atEnd) return false;
    return true;
  }

  get #over(): boolean {
    if (!this.#doneReading) return false;
    return this.#inFlight === 0 || this.#clock.monotonicMs() >= this.#drainUntilMs;
  }

  /** Polls also while nothing is to be read: that keeps the partitions ours. */
  async #poll(): Promise<readonly BrokerMessage<KafkaPayload>[]> {
    const { consumer, limit = Infinity } = this.#options;
    const reads = this.#doneReading
      ? 0
      : Math.min(
          MAX_IN_FLIGHT - this.#inFlight,
          limit - this.#replayed - this.#inFlight,
          this.#rate.available,
        );
    const waitsForRate = !this.#doneReading && this.#rate.waitMs > 0;
    const timeoutMs = waitsForRate ? Math.min(this.#rate.waitMs, COMMIT_EVERY_MS) : COMMIT_EVERY_MS;
    this.#wakeUp = new AbortController();
    try {
      return await consumer.poll({ maxMessages: reads, timeoutMs, signal: this.#wakeUp.signal });
    } catch (error) {
      if (!RecoverableError.is(error)) throw error;
      this.#logger.warn({ err: error }, "The consumer goes on after an error.");
      return [];
    }
  }

  #take({ partition, offset, payload }: BrokerMessage<KafkaPayload>): void {
    const state = this.#partitions.get(partition);
    if (state === undefined || offset >= state.end) return;
    if (replaysOf(payload) >= (this.#options.maxReplays ?? DEFAULT_MAX_REPLAYS)) {
      this.#keptBack++;
      return;
    }
    this.#rate.take();
    this.#inFlight++;
    const pending = state.started(offset);
    void this.#write(payload).then(
      () => this.#written(state, pending),
      (error: unknown) => {
        this.#inFlight--;
        const what = `The message at offset ${offset} of ${partition} cannot be written to ${this.#to.name}`;
        this.#fail(new ProducerError(`${what}: ${(error as Error).message}`, { cause: error }));
      },
    );
  }

  async #write(letter: KafkaPayload): Promise<void> {
    const { producer, toPartitions } = this.#options;
    const index = originalPartition(letter, this.#to.name) ?? Infinity;
    const destination = index < toPartitions ? Partition.of(this.#to, index) : this.#to;
    const message = messageOf(letter);
    for (;;) {
      try {
        await producer.produce(destination, message);
        return;
      } catch (error) {
        if (!ProducerError.isQueueFull(error)) throw error;
      }
      await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, RETRY_AFTER_MS));
    }
  }

  #written(state: ReplayedPartition, pending: Pending): void {
    state.finished(pending);
    this.#replayed++;
    this.#inFlight--;
    this.#settled?.();
    // Only a poll that waits for room or for the end is to be woken: others wait for messages.
    if (this.#inFlight === MAX_IN_FLIGHT - 1 || (this.#inFlight === 0 && this.#doneReading)) {
      this.#wakeUp.abort();
    }
  }

  /** Notes how far was read, and stops the delivery of what is beyond the end. */
  #passed(positions: ReadonlyMap<Partition, number>): void {
    for (const [partition, position] of positions) {
      const state = this.#partitions.get(partition);
      if (state === undefined || state.atEnd) continue;
      state.position = position;
      if (state.atEnd) this.#options.consumer.pause([partition]);
    }
  }

  #assigned(offsets: ReadonlyMap<Partition, number>): void {
    const { consumer, ends } = this.#options;
    for (const [partition, offset] of offsets) {
      // A partition that was not there at the start has nothing from before it.
      const state = new ReplayedPartition(ends.get(partition) ?? 0, offset);
      this.#partitions.set(partition, state);
      if (state.atEnd) consumer.pause([partition]);
    }
    this.#wasAssigned = true;
    this.#wakeUp.abort();
  }

  /** Another member gets them: what is on its way should be committed before. */
  async #revoked(partitions: readonly Partition[], deadline: AbortSignal): Promise<void> {
    const states = partitions.map((partition) => this.#partitions.get(partition));
    while (states.some((state) => state?.pending === true) && this.#failure === undefined) {
      const { promise, resolve } = Promise.withResolvers<true>();
      this.#settled = () => resolve(true);
      if ((await unlessAborted(promise, deadline)) === undefined) break;
    }
    this.#settled = undefined;
    try {
      await this.#commit();
    } catch (error) {
      this.#logger.warn(
        { err: error },
        "Partitions were given back before everything was committed: some of it will be replayed again.",
      );
    }
    this.#removed(partitions);
  }

  #removed(partitions: readonly Partition[]): void {
    for (const partition of partitions) this.#partitions.delete(partition);
  }

  #commitIfDue(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#commitAtMs || this.#committing !== undefined) return;
    this.#commitAtMs = nowMs + COMMIT_EVERY_MS;
    this.#committing = this.#commit()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => (this.#committing = undefined));
  }

  async #commit(): Promise<void> {
    const { consumer } = this.#options;
    const offsets = new Map<Partition, number>();
    for (const [partition, state] of this.#partitions) {
      const offset = state.takeCommit();
      if (offset !== undefined) offsets.set(partition, offset);
    }
    if (offsets.size === 0) return;
    consumer.stageOffsets(offsets);
    await consumer.commitOffsets();
  }

  async #commitLast(): Promise<void> {
    try {
      await this.#committing;
      await this.#commit();
    } catch (error) {
      this.#fail(error);
    }
  }

  #stop(): void {
    this.#stopping = true;
    this.#drain();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#settled?.();
    this.#drain();
  }

  #drain(): void {
    if (this.#drainUntilMs === Infinity) this.#drainUntilMs = this.#clock.monotonicMs() + DRAIN_MS;
    this.#wakeUp.abort();
  }
}
