import type { Clock, ClockTimer } from "../clock.ts";

interface Timer {
  readonly dueMs: number;
  /** Timers that are due at the same time run in the order in which they were set. */
  readonly order: number;
  readonly callback: () => void;
}

/** Where {@link MockClock} starts unless it is told otherwise: 2026-01-01T00:00:00Z. */
const START_MS = Date.UTC(2026, 0, 1);

/**
 * A clock that stands still until a test turns it. `monotonicMs()` starts at 0.
 */
export class MockClock implements Clock {
  readonly #startMs: number;
  #elapsedMs = 0;
  #orders = 0;
  #timers: Timer[] = [];

  /** @param startMs what `nowMs()` says at first, in milliseconds since the epoch. */
  constructor(startMs: number = START_MS) {
    this.#startMs = startMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  nowMs(): number {
    return this.#startMs + this.#elapsedMs;
  }

  setTimeout(callback: () => void, delayMs: number): ClockTimer {
    const timer: Timer = {
      dueMs: this.#elapsedMs + Math.max(0, delayMs),
      order: this.#orders++,
      callback,
    };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  /** How many timers are set. */
  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** When the next timer is due, on `monotonicMs()`; undefined when none is set. */
  get nextDueMs(): number | undefined {
    return this.#next(Infinity)?.dueMs;
  }

  /**
   * Goes on by so many milliseconds, and calls the timers that come due on the way, each at its time. What they
   * start asynchronously has not run when this returns: give the event loop its turn.
   */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`MockClock: cannot go on by ${ms} ms; a clock never goes back.`);
    const untilMs = this.#elapsedMs + ms;
    for (let timer = this.#next(untilMs); timer !== undefined; timer = this.#next(untilMs)) {
      const due = timer;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#elapsedMs = Math.max(this.#elapsedMs, due.dueMs);
      due.callback();
    }
    this.#elapsedMs = untilMs;
  }

  #next(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > untilMs) continue;
      if (
        next === undefined ||
        timer.dueMs < next.dueMs ||
        (timer.dueMs === next.dueMs && timer.order < next.order)
      ) {
        next = timer;
      }
    }
    return next;
  }
}
