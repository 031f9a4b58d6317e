import type { Consumer } from "../backend/consumer.ts";
import type { Clock } from "../clock.ts";
import { DlqError, ErrorCode, ProducerError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import type { BrokerMessage, Committable, Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { MetricName } from "../metrics/names.ts";
import { UndoneMessages } from "./buffer.ts";
import { DlqLimitState } from "./limits.ts";
import type { DlqPolicy } from "./policy.ts";

const DEFAULT_MAX_BUFFERED_MESSAGES = 10_000;
const DEFAULT_MAX_BUFFERED_BYTES = 16 * 1_024 * 1_024;
/** How long after its producer's queue was full a dead letter is tried again. */
const RETRY_AFTER_MS = 10;
const REPORT_EVERY_MS = 1_000;

export interface DeadLettersOptions<T> {
  readonly policy: DlqPolicy<T>;
  readonly consumer: Consumer<T>;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** A dead letter was delivered: commits may go further, and there may be room again. */
  readonly onDelivered: () => void;
  /** What ends the processor. */
  readonly onError: (error: unknown) => void;
}

/**
 * Sends invalid messages to the dead letter queue, and knows which of them have not arrived yet: no commit may go past
 * one of those. (Arroyo's `DlqPolicyWrapper`.)
 */
export class DeadLetters<T> {
  readonly #options: DeadLettersOptions<T>;
  readonly #undone: UndoneMessages<T>;
  readonly #limits: DlqLimitState;
  /** Offsets of dead letters on their way, per partition. One that failed stays: nothing may be committed past it. */
  readonly #inFlight = new Map<Partition, Set<number>>();
  #count = 0;
  #reportAtMs = 0;
  #settled: (() => void) | undefined;

  constructor(options: DeadLettersOptions<T>) {
    const { policy, consumer } = options;
    const forgets = consumer.reread !== undefined;
    this.#options = options;
    this.#limits = new DlqLimitState(policy.limit);
    this.#undone = new UndoneMessages({
      maxMessages:
        policy.maxBufferedMessagesPerPartition ?? (forgets ? DEFAULT_MAX_BUFFERED_MESSAGES : Infinity),
      maxBytes: policy.maxBufferedBytesPerPartition ?? (forgets ? DEFAULT_MAX_BUFFERED_BYTES : Infinity),
    });
  }

  /** Whether so many are on their way that no more messages should be processed. */
  get full(): boolean {
    return this.#count >= this.#options.policy.maxInFlight;
  }

  /** Partitions were assigned: their counts start anew. */
  assigned(partitions: Committable): void {
    for (const [partition, offset] of partitions) this.#limits.start(partition, offset);
  }

  /** Partitions are not ours any more. What is on its way arrives all the same. */
  removed(partitions: Iterable<Partition>): void {
    for (const partition of partitions) {
      this.#limits.remove(partition);
      this.#undone.remove(partition);
      this.#count -= this.#inFlight.get(partition)?.size ?? 0;
      this.#inFlight.delete(partition);
    }
    this.#settleIfEmpty();
  }

  /**
   * Messages were read. Those that are too old become dead letters, and a filtered message stands in for each of them
   * in what is returned.
   */
  received(messages: readonly BrokerMessage<T>[]): readonly Submitted<T>[] {
    const { metrics, policy, clock } = this.#options;
    for (const [partition, count] of this.#undone.add(messages)) {
      metrics.increment(MetricName.DLQ_BUFFER_EXCEEDED, count, { partition_id: String(partition.index) });
    }
    const { maxAgeMs } = policy;
    if (maxAgeMs === undefined) return messages;
    const tooOldMs = clock.nowMs() - maxAgeMs;
    if (!messages.some(({ timestampMs = Infinity }) => timestampMs < tooOldMs)) return messages;
    return messages.map((message) => {
      if ((message.timestampMs ?? Infinity) >= tooOldMs) return message;
      metrics.increment(MetricName.DLQ_SHED);
      this.#send(message.partition, message.offset, `older than ${maxAgeMs} ms`, message);
      return message.replace(FILTERED_PAYLOAD);
    });
  }

  /**
   * Sends an invalid message on its way.
   *
   * @param message the message itself, if it is at hand.
   * @throws DlqError when there are more than the limit allows.
   */
  add(
    partition: Partition,
    offset: number,
    reason: string | undefined,
    message: BrokerMessage<T> | undefined,
  ): void {
    const passed = this.#limits.record(partition, offset);
    if (passed !== undefined) {
      throw new DlqError(partition, offset, `${passed}, so the processor stops.`, {
        code: ErrorCode.DLQ_LIMIT,
      });
    }
    this.#send(partition, offset, reason, message);
  }

  /** The offset that a partition may not be committed past. */
  commitLimit(partition: Partition): number {
    let limit = Infinity;
    for (const offset of this.#inFlight.get(partition) ?? []) limit = Math.min(limit, offset);
    return limit;
  }

  /** Everything before these offsets is done. */
  done(offsets: Iterable<readonly [Partition, number]>, nowMs: number): void {
    for (const [partition, offset] of offsets) this.#undone.done(partition, offset);
    if (nowMs >= this.#reportAtMs) this.#report(nowMs);
  }

  /** Resolves when none is on its way any more, or when the deadline aborts. */
  async settle(deadline: AbortSignal): Promise<void> {
    if (this.#count === 0 || deadline.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#settled = resolve;
    deadline.addEventListener("abort", () => resolve(), { once: true });
    await promise;
  }

  #send(
    partition: Partition,
    offset: number,
    reason: string | undefined,
    message: BrokerMessage<T> | undefined,
  ): void {
    let inFlight = this.#inFlight.get(partition);
    if (inFlight === undefined) this.#inFlight.set(partition, (inFlight = new Set()));
    if (inFlight.has(offset)) return;
    inFlight.add(offset);
    this.#count++;
    void this.#deliver(partition, offset, reason, message ?? this.#undone.find(partition, offset)).then(
      () => this.#delivered(partition, offset, inFlight),
      (error: unknown) => this.#failed(partition, offset, inFlight, error),
    );
  }

  async #deliver(
    partition: Partition,
    offset: number,
    reason: string | undefined,
    known: BrokerMessage<T> | undefined,
  ): Promise<void> {
    const { policy, clock } = this.#options;
    const message = known ?? (await this.#reread(partition, offset));
    for (;;) {
      try {
        await policy.producer.produce(message, reason);
        return;
      } catch (error) {
        if (!ProducerError.isQueueFull(error)) throw error;
      }
      await new Promise<void>((resolve) => clock.setTimeout(resolve, RETRY_AFTER_MS));
    }
  }

  async #reread(partition: Partition, offset: number): Promise<BrokerMessage<T>> {
    const { consumer, metrics } = this.#options;
    if (consumer.reread === undefined) {
      throw new DlqError(
        partition,
        offset,
        "the message is not remembered any more, and this consumer cannot read it again. " +
          "Raise maxBufferedMessagesPerPartition and maxBufferedBytesPerPartition.",
      );
    }
    metrics.increment(MetricName.DLQ_REREAD);
    return await consumer.reread(partition, offset);
  }

  #delivered(partition: Partition, offset: number, inFlight: Set<number>): void {
    const { metrics, onDelivered } = this.#options;
    metrics.increment(MetricName.DLQ_DELIVERED);
    if (this.#inFlight.get(partition) !== inFlight) return;
    inFlight.delete(offset);
    this.#count--;
    this.#settleIfEmpty();
    onDelivered();
  }

  #failed(partition: Partition, offset: number, inFlight: Set<number>, error: unknown): void {
    const { logger, onError } = this.#options;
    if (this.#inFlight.get(partition) !== inFlight) {
      logger.warn(
        { topic: partition.topic.name, partition: partition.index, offset, err: error },
        "A dead letter failed; its partition is not ours any more, so its new owner comes to it again.",
      );
      return;
    }
    onError(
      error instanceof DlqError
        ? error
        : new DlqError(partition, offset, "it could not be delivered.", { cause: error }),
    );
    // Not waited for any longer, but not committed past either.
    this.#settled?.();
  }

  #settleIfEmpty(): void {
    if (this.#count === 0) this.#settled?.();
  }

  #report(nowMs: number): void {
    const { metrics } = this.#options;
    this.#reportAtMs = nowMs + REPORT_EVERY_MS;
    let partitions = 0;
    for (const [partition, length] of this.#undone.lengths()) {
      partitions++;
      metrics.gauge(MetricName.DLQ_BUFFER_LENGTH, length, { partition_index: String(partition.index) });
    }
    metrics.gauge(MetricName.DLQ_BUFFER_PARTITIONS, partitions);
    metrics.gauge(MetricName.DLQ_IN_FLIGHT, this.#count);
  }
}
