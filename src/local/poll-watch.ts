import type { Clock, ClockTimer } from "../clock.ts";

/** Sees whether a member polls often enough. A poll that waits, or runs a callback, is a poll all the while. */
export class PollWatch {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #expired: () => void;
  #timer: ClockTimer | undefined;
  #polling = false;
  #lastPollMs = 0;

  constructor(clock: Clock, intervalMs: number, expired: () => void) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#expired = expired;
  }

  start(): void {
    this.#lastPollMs = this.#clock.monotonicMs();
    this.#arm(this.#intervalMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** A poll begins. Time may be up already, if the event loop was blocked and no timer could say so. */
  begin(): void {
    this.#look();
    this.#polling = true;
  }

  end(): void {
    this.#polling = false;
    this.#lastPollMs = this.#clock.monotonicMs();
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimeout(() => {
      const leftMs = this.#look();
      if (this.#timer !== undefined) this.#arm(leftMs);
    }, delayMs);
  }

  /** Returns how long it can be until the time is up. */
  #look(): number {
    if (this.#polling || this.#timer === undefined) return this.#intervalMs;
    const leftMs = this.#lastPollMs + this.#intervalMs - this.#clock.monotonicMs();
    if (leftMs > 0) return leftMs;
    this.stop();
    this.#expired();
    return this.#intervalMs;
  }
}
