import { InvalidMessage, MessageRejected } from "../errors.ts";
import { silentLogger, type Logger } from "../logger.ts";
import { ONCE_PER_SECOND, type CommitPolicy } from "../commit/policy.ts";
import { BrokerMessage, type Submitted } from "../message/message.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { isAbout } from "../strategies/invalid.ts";
import type { ProcessingStrategy, StrategyRuntime } from "../strategies/strategy.ts";
import { MockClock } from "./mock-clock.ts";
import { RecordingMetrics } from "./recording-metrics.ts";

/** How often something is tried that does not get on before it counts as stuck. */
const MAX_TRIES = 1_000;
/** How long after a rejection a message is submitted again when nobody asks for a poll, in ms. */
const RETRY_AFTER_MS = 10;

/** Gives everything that can settle its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export interface DriverOptions {
  /** Polls before each message, not only when the strategy asks for it. Default false. */
  readonly pollsOften?: boolean | undefined;
  readonly commitPolicy?: CommitPolicy | undefined;
}

/**
 * Calls a chain of strategies as the processor does, on a clock of its own: attaches it, submits again what was
 * rejected, polls when it is asked to, takes note of invalid messages, and terminates the chain at any other error.
 */
export class StrategyDriver<T> implements StrategyRuntime {
  readonly clock: MockClock = new MockClock();
  readonly metrics: RecordingMetrics = new RecordingMetrics();
  readonly logger: Logger = silentLogger;
  readonly commitPolicy: CommitPolicy;
  /** Every InvalidMessage that came out, in order. */
  readonly reported: InvalidMessage[] = [];
  /** Called with each of them, as it comes. */
  onReported: ((error: InvalidMessage) => void) | undefined;
  readonly #head: ProcessingStrategy<T>;
  readonly #pollsOften: boolean;
  readonly #inbox: Submitted<T>[] = [];
  #woken = false;
  #wakeAtMs = Infinity;
  /** Terminated or joined: not to be called any more. */
  #over = false;

  constructor(head: ProcessingStrategy<T>, options: DriverOptions = {}) {
    this.#head = head;
    this.#pollsOften = options.pollsOften ?? false;
    this.commitPolicy = options.commitPolicy ?? ONCE_PER_SECOND;
    for (let step: ProcessingStrategy<never> | undefined = head; step !== undefined; step = step.next) {
      step.attach?.(this);
    }
  }

  wake(): void {
    this.#woken = true;
  }

  wakeAt(monotonicMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, monotonicMs);
  }

  /**
   * Submits messages in order, each until it is taken or found invalid; one after another in the same turn of the event
   * loop, as long as none is rejected.
   */
  async submit(messages: Iterable<Submitted<T>>): Promise<void> {
    for (const message of messages) {
      this.#inbox.push(message);
      this.#pollIfAsked();
      if (!this.#submitFirst() || this.#inbox.length > 0) await this.#emptyInbox();
    }
  }

  /** Lets time pass, and polls when it is asked to. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ms;
    for (;;) {
      await turn();
      this.#pollIfAsked();
      const nowMs = this.clock.monotonicMs();
      if (nowMs >= untilMs) return;
      const askedMs = this.#over ? Infinity : this.#wakeAtMs;
      const dueMs = Math.min(untilMs, askedMs, this.clock.nextDueMs ?? Infinity);
      this.clock.advance(Math.max(0, dueMs - nowMs));
    }
  }

  poll(): void {
    if (this.#over) return;
    this.#woken = false;
    if (this.#wakeAtMs <= this.clock.monotonicMs()) this.#wakeAtMs = Infinity;
    this.#orReport(() => this.#head.poll());
  }

  /**
   * Closes and joins, until that is done. With `afterMs` the deadline comes after so long; without one the join must
   * come to its end by itself.
   */
  async finish(afterMs?: number): Promise<void> {
    await this.#emptyInbox();
    this.#head.close();
    const deadline = new AbortController();
    if (afterMs === 0) deadline.abort();
    else if (afterMs !== undefined) this.clock.setTimeout(() => deadline.abort(), afterMs);
    for (let calls = 0; ; calls++) {
      if (calls === MAX_TRIES) throw new Error("is stuck: its join rejects with InvalidMessage for ever");
      try {
        await this.#whileJoining(this.#head.join(deadline.signal));
        return;
      } catch (error) {
        if (!InvalidMessage.is(error)) this.#fail(error);
        this.#report(error);
      }
    }
  }

  terminate(): void {
    if (this.#over) return;
    this.#over = true;
    this.#head.terminate();
  }

  async #whileJoining(joined: Promise<void>): Promise<void> {
    let ended = false;
    const end = joined.then(
      () => {
        this.#over = true;
        ended = true;
      },
      (error: unknown) => {
        ended = true;
        throw error;
      },
    );
    // Its rejection is for the caller, who waits for it below.
    end.catch(() => {});
    for (let tries = 0; ; tries++) {
      await turn();
      if (!ended) await this.#passTime();
      // First of all: a poll must not bring on anything before what the join found invalid is reported.
      if (ended) return await end;
      if (tries === MAX_TRIES) throw new Error("is stuck: its join neither ends nor gets on");
      this.poll();
    }
  }

  /** After a rejection. */
  async #getOn(): Promise<void> {
    await turn();
    await this.#passTime();
    this.poll();
  }

  /** To when something is asked for, or at most to a little later. */
  async #passTime(): Promise<void> {
    if (this.#woken) return;
    const nowMs = this.clock.monotonicMs();
    const dueMs = Math.min(nowMs + RETRY_AFTER_MS, this.#wakeAtMs, this.clock.nextDueMs ?? Infinity);
    this.clock.advance(Math.max(0, dueMs - nowMs));
    await turn();
  }

  #pollIfAsked(): void {
    if (this.#pollsOften || this.#woken || this.#wakeAtMs <= this.clock.monotonicMs()) this.poll();
  }

  async #emptyInbox(): Promise<void> {
    for (let tries = 0; this.#inbox.length > 0; tries++) {
      if (tries === MAX_TRIES) throw new Error("is stuck: it rejects a message for ever");
      if (!this.#submitFirst()) await this.#getOn();
    }
  }

  /** Returns whether that brought anything on. */
  #submitFirst(): boolean {
    const first = this.#inbox[0]!;
    try {
      this.#head.submit(first);
      this.#inbox.shift();
      return true;
    } catch (error) {
      if (MessageRejected.is(error)) return false;
      if (!InvalidMessage.is(error)) this.#fail(error);
      if (isAbout(error, first)) this.#inbox.shift();
      this.#report(error);
      return false;
    }
  }

  #orReport(call: () => void): void {
    try {
      call();
    } catch (error) {
      if (!InvalidMessage.is(error)) this.#fail(error);
      this.#report(error);
    }
  }

  #report(error: InvalidMessage): void {
    this.reported.push(error);
    this.onReported?.(error);
    if (!error.needsCommit) return;
    // Nobody in the chain sees to its commit: a filtered message in its place does.
    const { partition, offset } = error;
    this.#inbox.unshift(new BrokerMessage(FILTERED_PAYLOAD, partition, offset));
  }

  #fail(error: unknown): never {
    this.terminate();
    throw error;
  }
}
