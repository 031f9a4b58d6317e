import { InvalidStateError } from "../errors.ts";

const OPEN = 0;
const CLOSED = 1;
const JOINING = 2;
const JOINED = 3;
const TERMINATED = 4;

const STATES = ["open", "closed", "in the middle of join()", "joined", "terminated"] as const;

/** A call to a strategy that does not fit where it is. */
export class OutOfOrder extends InvalidStateError {
  readonly call: string;

  constructor(strategy: string, call: string, state: string) {
    super(
      `${strategy}.${call}() was called, but this strategy is ${state}. ` +
        "The order is: submit and poll, then close, then join; terminate at any time, and nothing after it.",
    );
    this.name = "InvalidStateError";
    this.call = call;
  }
}

/**
 * Where a strategy is between its first `submit` and the end of its `join`. Refuses what does not fit, in words that
 * name the strategy: a call out of order is a bug in whoever made it, and is found soonest by saying so.
 */
export class Lifecycle {
  readonly #name: string;
  #state: typeof OPEN | typeof CLOSED | typeof JOINING | typeof JOINED | typeof TERMINATED = OPEN;

  constructor(name: string) {
    this.#name = name;
  }

  /** Whether messages may be submitted. On the hot path: `if (!lifecycle.open) lifecycle.refuse("submit")`. */
  get open(): boolean {
    return this.#state === OPEN;
  }

  get terminated(): boolean {
    return this.#state === TERMINATED;
  }

  /** @throws InvalidStateError, always. */
  refuse(call: string): never {
    throw new OutOfOrder(this.#name, call, STATES[this.#state]);
  }

  /** Polls are fine until the join has come to its end. */
  assertPollable(): void {
    if (this.#state >= JOINED) this.refuse("poll");
  }

  close(): void {
    if (this.#state !== OPEN) this.refuse("close");
    this.#state = CLOSED;
  }

  /** Runs what a join does. When that rejects, the join may be called again. */
  async join(work: () => Promise<void>): Promise<void> {
    if (this.#state !== CLOSED) this.refuse("join");
    this.#state = JOINING;
    try {
      await work();
    } catch (error) {
      if (this.#state === JOINING) this.#state = CLOSED;
      throw error;
    }
    if (this.#state === JOINING) this.#state = JOINED;
  }

  /** Returns false when it was terminated before: there is nothing more to do then. */
  terminate(): boolean {
    if (this.#state === TERMINATED) return false;
    this.#state = TERMINATED;
    return true;
  }
}
