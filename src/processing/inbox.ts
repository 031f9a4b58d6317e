import type { Clock } from "../clock.ts";
import type { Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { ProcessingStrategy } from "../strategies/strategy.ts";

/** So many messages at most are submitted between two looks at the clock. */
const MAX_STRIDE = 256;
/** A stride that takes longer than this is halved, one that takes less than a quarter of it is doubled. */
const STRIDE_MS = 0.5;

function isOf(message: Submitted<unknown>, partitions: ReadonlySet<Partition>): boolean {
  if (message.partition !== undefined) return partitions.has(message.partition);
  return [...message.committable.keys()].every((partition) => partitions.has(partition));
}

/**
 * What was taken from the consumer, but not yet by the strategies: the rest of the last batch, in its order.
 */
export class Inbox<T> {
  readonly #clock: Clock;
  #messages: readonly Submitted<T>[] = [];
  #at = 0;
  #stride = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get empty(): boolean {
    return this.#at >= this.#messages.length;
  }

  /** The message that is submitted next. */
  get first(): Submitted<T> | undefined {
    return this.#messages[this.#at];
  }

  put(messages: readonly Submitted<T>[]): void {
    this.#messages = messages;
    this.#at = 0;
  }

  /**
   * Submits messages in order until none is left, the time is up, or the strategy throws; the message for which it
   * threw stays. The hot path: no promise, no closure, and a look at the clock only now and then.
   */
  submitTo(strategy: ProcessingStrategy<T>, untilMs: number): void {
    const messages = this.#messages;
    let at = this.#at;
    let strideStartMs = this.#clock.monotonicMs();
    try {
      while (at < messages.length) {
        const end = Math.min(at + this.#stride, messages.length);
        for (; at < end; at++) strategy.submit(messages[at]!);
        const nowMs = this.#clock.monotonicMs();
        if (nowMs - strideStartMs > STRIDE_MS) this.#stride = Math.max(1, this.#stride >> 1);
        else if (nowMs - strideStartMs < STRIDE_MS / 4)
          this.#stride = Math.min(MAX_STRIDE, this.#stride << 1);
        if (nowMs >= untilMs) return;
        strideStartMs = nowMs;
      }
    } finally {
      this.#at = at;
    }
  }

  /** Takes the first message out. */
  drop(): void {
    this.#at++;
  }

  /** Puts another message in the place of the first. */
  replaceFirst(message: Submitted<T>): void {
    this.#messages = this.#messages.with(this.#at, message);
  }

  /** Puts a message before the first. */
  insert(message: Submitted<T>): void {
    this.put([message, ...this.#messages.slice(this.#at)]);
  }

  /** Takes out the messages of these partitions. */
  remove(partitions: ReadonlySet<Partition>): void {
    if (this.empty) return;
    this.put(this.#messages.slice(this.#at).filter((message) => !isOf(message, partitions)));
  }

  /** The offset of the first message of a partition; undefined when there is none. */
  firstOffset(partition: Partition): number | undefined {
    for (let at = this.#at; at < this.#messages.length; at++) {
      const message = this.#messages[at]!;
      if (message.partition === partition) return message.offset;
    }
    return undefined;
  }
}
