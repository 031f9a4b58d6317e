import type { Clock, ClockTimer } from "../../clock.ts";

/** Calls back once in every interval, not before the last call has ended. */
export class StatisticsTimer {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #tick: () => Promise<void> | void;
  #timer: ClockTimer | undefined;
  #dueMs: number;
  #isClosed = false;

  constructor(clock: Clock, intervalMs: number, tick: () => Promise<void> | void) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#tick = tick;
    this.#dueMs = clock.monotonicMs();
    this.#schedule();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    const nowMs = this.#clock.monotonicMs();
    // What was missed is not made up for.
    this.#dueMs = Math.max(this.#dueMs + this.#intervalMs, nowMs);
    this.#timer = this.#clock.setTimeout(() => void this.#run(), this.#dueMs - nowMs);
  }

  async #run(): Promise<void> {
    try {
      await this.#tick();
    } finally {
      this.#schedule();
    }
  }
}
