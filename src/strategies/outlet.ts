import { InvalidMessage, MessageRejected } from "../errors.ts";
import { FILTERED_PAYLOAD, type FilteredPayload } from "../message/filtered.ts";
import type { Submitted } from "../message/message.ts";
import { isAbout, takeOverCommit, withoutItem } from "./invalid.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";

/**
 * What a strategy hands its results on through: keeps the one that the next step did not take yet, so that the work for
 * it is not done twice and nothing overtakes it.
 *
 * What is pushed counts as taken from then on. While something waits, nothing else may be pushed: try again (`retry`
 * in `submit`, `poll` in `poll`), and reject new messages as long as it is there.
 */
export class Outlet<T> {
  readonly #next: ProcessingStrategy<T>;
  #runtime: StrategyRuntime = detachedRuntime;
  #kept: Submitted<T> | undefined;
  /** An InvalidMessage about an earlier message, which came instead of an answer about the one that is kept. */
  #error: InvalidMessage | undefined;
  #nextClosed = false;
  #terminated = false;
  #emptied: (() => void) | undefined;

  constructor(next: ProcessingStrategy<T>) {
    this.#next = next;
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
  }

  /** Whether something is kept that has to go on first. */
  get waiting(): boolean {
    return this.#kept !== undefined;
  }

  /**
   * Hands a message on; keeps it if the next step rejects it.
   *
   * @throws InvalidMessage when the next step finds this very message invalid. A filtered message is kept in its place
   * if its commit was still to be made.
   */
  push(message: Submitted<T>): void {
    try {
      this.#next.submit(message);
    } catch (error) {
      this.#notTaken(message, error);
    }
  }

  /**
   * The work for a message found it invalid: keeps a filtered message in its place, if the error is about this very
   * message and its commit was still to be made. Nothing may wait when this is called.
   */
  standIn(message: Submitted<unknown>, error: InvalidMessage): void {
    if (!isAbout(error, message) || !takeOverCommit(error)) return;
    this.#kept = message.replace(FILTERED_PAYLOAD);
    this.#runtime.wake();
  }

  /**
   * Throws the InvalidMessage that waits for the next call, if there is one: before anything else is called further
   * down, so that nothing is committed past a message that is not reported yet.
   */
  throwDeferred(): void {
    const error = this.#error;
    if (error === undefined) return;
    this.#error = undefined;
    throw error;
  }

  /**
   * Tries again to hand on what is kept. Returns whether nothing waits any more.
   *
   * @throws InvalidMessage about what is kept, or about an earlier message.
   */
  retry(): boolean {
    this.throwDeferred();
    const kept = this.#kept;
    if (kept === undefined) return true;
    this.#kept = undefined;
    try {
      this.push(kept);
      this.throwDeferred();
    } finally {
      if (this.#kept === undefined) this.#emptied?.();
    }
    return this.#kept === undefined;
  }

  /** The next step's poll, then a retry. */
  poll(): void {
    this.throwDeferred();
    this.#next.poll();
    this.retry();
  }

  /** In a join: resolves when nothing is kept any more (the polls that go on see to that), or at the deadline. */
  async settle(deadline: AbortSignal): Promise<void> {
    if (this.retry() || deadline.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#emptied = resolve;
    deadline.addEventListener("abort", () => resolve(), { once: true });
    await promise;
  }

  /** The end of a join: settles, then closes and joins the next step. May be called again after it rejected. */
  async finish(deadline: AbortSignal): Promise<void> {
    await this.settle(deadline);
    if (this.#terminated) return;
    if (!this.#nextClosed) {
      this.#nextClosed = true;
      this.#next.close();
    }
    await this.#next.join(deadline);
  }

  /** Abandons what is kept, and terminates the next step. */
  terminate(): void {
    this.#terminated = true;
    this.#kept = undefined;
    this.#error = undefined;
    this.#emptied?.();
    this.#next.terminate();
  }

  #notTaken(message: Submitted<T>, error: unknown): void {
    if (MessageRejected.is(error)) {
      this.#kept = message;
      return;
    }
    if (!InvalidMessage.is(error)) throw error;
    if (isAbout(error, message)) {
      this.standIn(message, error);
      throw error;
    }
    // About one of a batch: the rest of it still commits that one. Otherwise the next step has not looked at this message
    // yet. In both cases it counts as taken: so the error waits for the next call, where it cannot be mistaken for an
    // answer about the message that comes with it.
    const rest = withoutItem<T | FilteredPayload>(message, error);
    if (rest !== undefined) takeOverCommit(error);
    this.#kept = (rest ?? message) as Submitted<T>;
    this.#error = error;
    this.#runtime.wake();
  }
}
