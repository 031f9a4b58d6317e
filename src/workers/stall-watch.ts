import type { Clock, ClockTimer } from "../clock.ts";

/** How often to look in the time that a stall takes. */
const LOOKS = 4;

/**
 * Watches that something goes on while work is under way: calls back once when it has stood still for a time
 * (noticed at most a quarter of it late).
 */
export class StallWatch {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #progress: () => number;
  readonly #onStall: () => void;
  #timer: ClockTimer | undefined;
  #seen = 0;
  #seenAtMs = 0;

  constructor(clock: Clock, limitMs: number, progress: () => number, onStall: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#progress = progress;
    this.#onStall = onStall;
  }

  start(): void {
    this.#note(this.#progress());
    this.#again();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(): void {
    const progress = this.#progress();
    if (progress !== this.#seen) {
      this.#note(progress);
    } else if (this.#clock.monotonicMs() - this.#seenAtMs >= this.#limitMs) {
      this.stop();
      this.#onStall();
      return;
    }
    this.#again();
  }

  #note(progress: number): void {
    this.#seen = progress;
    this.#seenAtMs = this.#clock.monotonicMs();
  }

  #again(): void {
    this.#timer = this.#clock.setTimeout(() => this.#look(), this.#limitMs / LOOKS);
  }
}
