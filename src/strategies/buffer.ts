import { InvalidMessage, InvalidStateError, MESSAGE_REJECTED, MessageRejected } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { DerivedMessage, isFiltered, type Message, type Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { MetricName } from "../metrics/names.ts";
import { Drain } from "./drain.ts";
import { isAbout, takeOverCommit } from "./invalid.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";

/**
 * What a {@link BufferStep} collects messages in. It knows nothing of offsets, time or the next step: the step sees to
 * them. (Arroyo's `BufferProtocol`.)
 */
export interface MessageBuffer<in T, out U> {
  /** What is handed on as the payload when the buffer is flushed. Read once. */
  readonly value: U;
  /** Whether there is nothing to hand on, because what was appended was dropped: then only its offsets go on. */
  readonly isEmpty: boolean;
  /** Whether it is to be flushed now. Asked after each append, and in each poll while something was appended. */
  readonly isReady: boolean;
  /** How long after the first message it is flushed at the latest, in ms. Default: no limit. */
  readonly maxTimeMs?: number | undefined;
  /** How long after the last message it is flushed at the latest, in ms. Default: no limit. */
  readonly maxIdleTimeMs?: number | undefined;
  /** May throw InvalidMessage about the message: then it must have taken nothing of it. */
  append(message: Message<T>): void;
  /** A new, empty buffer of the same kind, which takes the place of this one. (Arroyo's `new`.) */
  fresh(): MessageBuffer<T, U>;
}

const BATCH_TIME_EVERY_MS = 1_000;

/**
 * Collects messages in a buffer of one's own until that is ready, and hands on what it made of them as one message,
 * whose commit covers all that went in. (Arroyo's `Buffer`.)
 *
 * A filtered message that comes while the buffer holds something is committed together with it. While the next step
 * rejects what the buffer made, new messages are rejected. What is in the buffer at the end of the assignment is handed
 * on too.
 *
 * A step behind this one that throws {@link InvalidMessage} about a message that went into the buffer stops the
 * processor, since nobody can take it out again: use `BatchStep` for that, which keeps the messages apart.
 */
export class BufferStep<T, U> implements ProcessingStrategy<T> {
  readonly next: ProcessingStrategy<U>;
  readonly #lifecycle: Lifecycle;
  readonly #outlet: Outlet<U>;
  readonly #drain = new Drain();
  #runtime: StrategyRuntime = detachedRuntime;
  #buffer: MessageBuffer<T, U>;
  /** Whether something was appended since the last flush. */
  #isOpen = false;
  /** What may be committed once the buffer's content is done; nothing for parts of a message that is not at its end. */
  #committable = new Map<Partition, number>();
  #timestampMs: number | undefined;
  #openedAtMs = 0;
  #lastAtMs = 0;
  /** The poll that was asked for. */
  #wakeAtMs = -Infinity;
  /** What was flushed but not taken by the next step yet. */
  #outgoing: Submitted<U> | undefined;
  /** About something in `#outgoing`; came when the message that is submitted was taken already. */
  #deferred: InvalidMessage | undefined;
  /** The last one that came instead of an answer about `#outgoing`. */
  #unplaced: InvalidMessage | undefined;
  #batchTimeDueAtMs = -Infinity;

  constructor(buffer: MessageBuffer<T, U>, next: ProcessingStrategy<NoInfer<U>>) {
    this.next = next;
    this.#buffer = buffer;
    this.#lifecycle = new Lifecycle(this.name);
    this.#outlet = new Outlet(next);
  }

  get name(): string {
    return "BufferStep";
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
    this.#outlet.attach(runtime);
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (this.#outgoing !== undefined && !this.#handOn()) throw MESSAGE_REJECTED;
    if (isFiltered(message)) {
      if (this.#isOpen) this.#cover(message);
      else this.next.submit(message);
      return;
    }
    this.#append(message);
    if (!this.#buffer.isReady) return;
    this.#flush();
    try {
      this.#handOn();
    } catch (error) {
      if (!InvalidMessage.is(error)) throw error;
      // The message that was submitted is taken, whatever this error is about.
      this.#deferred = error;
      this.#runtime.wake();
    }
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    try {
      // First of all, so that nothing is committed past it before it is reported.
      this.#throwDeferred();
      this.#outlet.poll();
      if (this.#handOn() && this.#isDue()) {
        this.#flush();
        this.#handOn();
      }
    } finally {
      this.#drain.notify();
    }
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    if (!this.#lifecycle.terminate()) return;
    this.#drain.notify();
    this.#outlet.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      this.#throwDeferred();
      await this.#drain.until(() => this.#lifecycle.terminated || this.#finish(), deadline);
      await this.#outlet.finish(deadline);
    });
  }

  /**
   * What is left of something that was flushed when one message is taken out of it; undefined when that message is not
   * in it, or cannot be taken out.
   */
  protected without(_flushed: Submitted<U>, _error: InvalidMessage): Submitted<U> | undefined {
    return undefined;
  }

  #append(message: Message<T>): void {
    try {
      this.#buffer.append(message);
    } catch (error) {
      if (InvalidMessage.is(error) && isAbout(error, message) && takeOverCommit(error)) {
        if (this.#isOpen) {
          this.#cover(message);
        } else {
          this.#outgoing = message.replace(FILTERED_PAYLOAD);
          this.#runtime.wake();
        }
      }
      throw error;
    }
    const { maxTimeMs, maxIdleTimeMs } = this.#buffer;
    if (!this.#isOpen) {
      this.#isOpen = true;
      const nowMs = (this.#openedAtMs = this.#lastAtMs = this.#runtime.clock.monotonicMs());
      this.#wakeWhenDue(nowMs + Math.min(maxTimeMs ?? Infinity, maxIdleTimeMs ?? Infinity), nowMs);
    } else if (maxIdleTimeMs !== undefined) {
      this.#lastAtMs = this.#runtime.clock.monotonicMs();
    }
    this.#cover(message);
    this.#timestampMs = message.timestampMs;
  }

  /** The message is committed with what is in the buffer. */
  #cover(message: Submitted<T>): void {
    if (message.partition !== undefined) {
      this.#committable.set(message.partition, message.nextOffset);
      return;
    }
    for (const [partition, offset] of message.committable) {
      this.#committable.set(partition, Math.max(offset, this.#committable.get(partition) ?? 0));
    }
  }

  #isDue(): boolean {
    if (!this.#isOpen) return false;
    if (this.#buffer.isReady || this.#buffer.isEmpty) return true;
    const { maxTimeMs, maxIdleTimeMs } = this.#buffer;
    const dueAtMs = Math.min(
      this.#openedAtMs + (maxTimeMs ?? Infinity),
      this.#lastAtMs + (maxIdleTimeMs ?? Infinity),
    );
    const nowMs = this.#runtime.clock.monotonicMs();
    if (nowMs >= dueAtMs) return true;
    this.#wakeWhenDue(dueAtMs, nowMs);
    return false;
  }

  /** One poll that was asked for is enough: it asks for the next. */
  #wakeWhenDue(dueAtMs: number, nowMs: number): void {
    if (dueAtMs === Infinity || (this.#wakeAtMs > nowMs && this.#wakeAtMs <= dueAtMs)) return;
    this.#wakeAtMs = dueAtMs;
    this.#runtime.wakeAt(dueAtMs);
  }

  /** Moves what is in the buffer to `#outgoing`, which must be free. */
  #flush(): void {
    const buffer = this.#buffer;
    const payload = buffer.isEmpty ? FILTERED_PAYLOAD : buffer.value;
    this.#buffer = buffer.fresh();
    this.#outgoing = new DerivedMessage(payload, this.#committable, this.#timestampMs) as Submitted<U>;
    this.#committable = new Map();
    this.#isOpen = false;
    this.#noteBatchTime();
  }

  #noteBatchTime(): void {
    const nowMs = this.#runtime.clock.monotonicMs();
    if (nowMs < this.#batchTimeDueAtMs) return;
    this.#batchTimeDueAtMs = nowMs + BATCH_TIME_EVERY_MS;
    this.#runtime.metrics.timing(MetricName.BATCH_TIME, (nowMs - this.#openedAtMs) / 1_000, {
      strategy: this.name,
    });
  }

  /** Offers what was flushed. Returns whether nothing of it is left. */
  #handOn(): boolean {
    this.#throwDeferred();
    const outgoing = this.#outgoing;
    if (outgoing === undefined) return true;
    try {
      this.next.submit(outgoing);
    } catch (error) {
      if (MessageRejected.is(error)) return false;
      if (InvalidMessage.is(error)) this.#takeOut(outgoing, error);
      throw error;
    }
    this.#outgoing = undefined;
    this.#unplaced = undefined;
    return true;
  }

  #throwDeferred(): void {
    const deferred = this.#deferred;
    if (deferred === undefined) return;
    this.#deferred = undefined;
    throw deferred;
  }

  #takeOut(outgoing: Submitted<U>, error: InvalidMessage): void {
    this.#runtime.wake();
    const rest = this.without(outgoing, error);
    if (rest !== undefined) {
      // What is left still commits it.
      takeOverCommit(error);
      this.#outgoing = rest;
      return;
    }
    // About a message further down, then: what is flushed is offered again. But if that gives the same answer, it was
    // about something in it.
    const { partition, offset } = error;
    if (this.#unplaced?.partition === partition && this.#unplaced.offset === offset) {
      throw new InvalidStateError(
        `${this.name}: the step behind it says that ${partition} offset ${offset} is invalid, but that cannot be taken ` +
          "out of what was made of it and other messages. Use BatchStep, or throw InvalidMessage before this step.",
        { cause: error },
      );
    }
    this.#unplaced = error;
  }

  /** The end of a join: flushes whatever is there. Returns whether nothing is left. */
  #finish(): boolean {
    if (!this.#handOn()) return false;
    if (!this.#isOpen) return true;
    this.#flush();
    return this.#handOn();
  }
}
