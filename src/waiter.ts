import { systemClock, type Clock } from "./clock.ts";

/** The longest that a timer can be set to; who waits for longer looks again then. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Lets one poll sleep until something happens. What happens while nobody waits is seen before the next wait. */
export class Waiter {
  readonly #clock: Clock;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    this.#wake?.();
  }

  /** Resolves on `wake`, when the time is up, or when the signal aborts. */
  wait(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => {
      timer.cancel();
      clearTimeout(alive);
      signal?.removeEventListener("abort", done);
      this.#wake = undefined;
      resolve();
    };
    const timer = this.#clock.setTimeout(done, Math.min(timeoutMs, MAX_TIMER_MS));
    // There is no socket that would keep a process alive whose only work is to wait for messages.
    const alive = this.#clock === systemClock ? setTimeout(() => {}, MAX_TIMER_MS) : undefined;
    signal?.addEventListener("abort", done);
    this.#wake = done;
    return promise;
  }
}
