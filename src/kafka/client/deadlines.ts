import type { Clock, ClockTimer } from "../../clock.ts";

/** One timer for many deadlines: it is set for the earliest. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #onDue: (nowMs: number) => number;
  #next: { readonly timer: ClockTimer; readonly atMs: number } | undefined;

  /** `onDue` handles what is due, and returns the earliest deadline that is left; Infinity for none. */
  constructor(clock: Clock, onDue: (nowMs: number) => number) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** A deadline, on the monotonic clock. It need not be taken back when it does not matter any more. */
  add(deadlineMs: number): void {
    if (deadlineMs === Infinity || (this.#next !== undefined && this.#next.atMs <= deadlineMs)) return;
    this.#next?.timer.cancel();
    const delayMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
    this.#next = { timer: this.#clock.setTimeout(() => this.#due(deadlineMs), delayMs), atMs: deadlineMs };
  }

  close(): void {
    this.#next?.timer.cancel();
  }

  #due(deadlineMs: number): void {
    this.#next = undefined;
    // A timer may be early by a fraction of a millisecond.
    this.add(this.#onDue(Math.max(deadlineMs, this.#clock.monotonicMs())));
  }
}
