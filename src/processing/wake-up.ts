import type { Clock, ClockTimer } from "../clock.ts";

/** Why a wait has ended. Without a reason of its own each abort makes an exception, which takes longer than the wait. */
const WOKEN = "woken";

/**
 * What ends the waits of the loop: strategies that have something to do (now, or at a time), a shutdown, an error.
 *
 * There is no other waiting: nothing sleeps and looks again.
 */
export class WakeUp {
  readonly #clock: Clock;
  readonly #waits = new Set<() => void>();
  #woken = false;
  #scheduled = false;
  /** When polls of the chain are due, in whole milliseconds, in ascending order. */
  #dueMs: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Asks for a poll of the chain. The waits end when the event loop has had its turn, so that everything that came to an
   * end in the same turn is seen by one poll.
   */
  wake(): void {
    this.#woken = true;
    this.#endWaitsSoon();
  }

  /** Ends the waits at once. */
  interrupt(): void {
    this.#woken = true;
    this.#endWaits();
  }

  /** Asks for a poll of the chain at a time on the monotonic clock. */
  at(monotonicMs: number): void {
    const dueMs = Math.ceil(monotonicMs);
    const due = this.#dueMs;
    let at = due.length;
    while (at > 0 && due[at - 1]! > dueMs) at--;
    if (at > 0 && due[at - 1] === dueMs) return;
    due.splice(at, 0, dueMs);
    // Waits know only of what was due when they began.
    if (at === 0) this.#endWaitsSoon();
  }

  /** Whether a poll of the chain is due; forgets that it was. */
  take(nowMs: number): boolean {
    let passed = 0;
    while (passed < this.#dueMs.length && this.#dueMs[passed]! <= nowMs) passed++;
    if (passed > 0) this.#dueMs.splice(0, passed);
    const due = this.#woken || passed > 0;
    this.#woken = false;
    return due;
  }

  /** Forgets what an assignment that has ended asked for. */
  clear(): void {
    this.#woken = false;
    this.#dueMs = [];
  }

  /**
   * Runs something that waits until a time on the monotonic clock at the latest, or until the signal that it is given
   * aborts: on a wake, and when a poll of the chain comes due.
   */
  async waiting<R>(
    untilMs: number,
    wait: (signal: AbortSignal, timeoutMs: number) => Promise<R>,
  ): Promise<R> {
    const controller = new AbortController();
    const end = (): void => controller.abort(WOKEN);
    let timer: ClockTimer | undefined;
    const timeoutMs = this.#timeoutMs(untilMs);
    if (this.#woken || timeoutMs === 0) end();
    else {
      this.#waits.add(end);
      timer = this.#clock.setTimeout(end, timeoutMs);
    }
    try {
      return await wait(controller.signal, timeoutMs);
    } finally {
      timer?.cancel();
      this.#waits.delete(end);
    }
  }

  /** Waits for a wake, for a poll that comes due, or for a time on the monotonic clock. */
  pause(untilMs: number): Promise<void> {
    const timeoutMs = this.#timeoutMs(untilMs);
    if (this.#woken || timeoutMs === 0) return Promise.resolve();
    // Under back-pressure this is called a thousand times a second: without a signal it takes half the time.
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#waits.delete(end);
        resolve();
      };
      const timer = this.#clock.setTimeout(end, timeoutMs);
      this.#waits.add(end);
    });
  }

  #timeoutMs(untilMs: number): number {
    return Math.max(0, Math.min(untilMs, this.#dueMs[0] ?? Infinity) - this.#clock.monotonicMs());
  }

  #endWaitsSoon(): void {
    if (this.#scheduled || this.#waits.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#endWaits();
    });
  }

  #endWaits(): void {
    const waits = [...this.#waits];
    this.#waits.clear();
    for (const end of waits) end();
  }
}
