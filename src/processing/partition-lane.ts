import { InvalidMessage } from "../errors.ts";
import type { Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { Fifo } from "../strategies/fifo.ts";
import { OutOfOrder } from "../strategies/lifecycle.ts";
import type { ProcessingStrategy, StrategyRuntime } from "../strategies/strategy.ts";

/** One partition's chain, and the messages that it has not taken yet. */
export class PartitionLane<T> {
  /** Undefined: the chain of a member without partitions. */
  readonly partition: Partition | undefined;
  readonly chain: ProcessingStrategy<T>;
  /** Whether the consumer was asked to deliver nothing more of it. */
  paused = false;
  readonly #waiting = new Fifo<Submitted<T>>();
  /** Put in front of the others; they are few. */
  readonly #ahead: Submitted<T>[] = [];
  #emptied: (() => void) | undefined;
  #closed = false;
  #joined = false;
  /** Whether the chain is past being polled, though its join is not over. */
  #pastPolls = false;

  constructor(partition: Partition | undefined, chain: ProcessingStrategy<T>) {
    this.partition = partition;
    this.chain = chain;
  }

  get waiting(): number {
    return this.#waiting.length + this.#ahead.length;
  }

  /** The message that comes next. */
  get first(): Submitted<T> | undefined {
    return this.#ahead[0] ?? this.#waiting.peek();
  }

  attach(runtime: StrategyRuntime): void {
    for (let step: ProcessingStrategy<never> | undefined = this.chain; step !== undefined; step = step.next) {
      step.attach?.(runtime);
    }
  }

  putLast(message: Submitted<T>): void {
    this.#waiting.push(message);
  }

  putFirst(message: Submitted<T>): void {
    this.#ahead.unshift(message);
  }

  takeFirst(): void {
    if (this.#ahead.length > 0) this.#ahead.shift();
    else this.#waiting.shift();
    if (this.waiting === 0) this.#emptied?.();
  }

  poll(): void {
    if (this.#joined || this.#pastPolls) return;
    try {
      this.chain.poll();
    } catch (error) {
      // Something in the chain has joined its next step already.
      if (!this.#closed || !(error instanceof OutOfOrder) || error.call !== "poll") throw error;
      this.#pastPolls = true;
    }
  }

  /**
   * Hands on what waits (polls do that), then closes and joins the chain. At the deadline it goes on without what still
   * waits. May be called again after an InvalidMessage.
   */
  async join(deadline: AbortSignal): Promise<void> {
    if (this.#joined) return;
    await this.#empty(deadline);
    if (!this.#closed) {
      this.#closed = true;
      this.chain.close();
    }
    try {
      await this.chain.join(deadline);
    } catch (error) {
      if (!InvalidMessage.is(error)) this.#joined = true;
      throw error;
    }
    this.#joined = true;
  }

  #empty(deadline: AbortSignal): Promise<void> {
    if (this.waiting === 0 || deadline.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        deadline.removeEventListener("abort", done);
        this.#emptied = undefined;
        resolve();
      };
      this.#emptied = done;
      deadline.addEventListener("abort", done);
    });
  }
}
