/** A timer that was set with {@link Clock.setTimeout}. */
export interface ClockTimer {
  cancel(): void;
}

/**
 * Where time comes from. Strategies, the processor and the embedded broker take theirs from here, so that a test can
 * turn it (`MockClock` in `arroyo/testing`).
 */
export interface Clock {
  /** Milliseconds on a clock that never goes back: for durations and deadlines. */
  monotonicMs(): number;
  /** Milliseconds since the epoch: for timestamps that others read. */
  nowMs(): number;
  /** Calls back once, after at least `delayMs`. Does not keep the process alive. */
  setTimeout(callback: () => void, delayMs: number): ClockTimer;
}

/** The machine's own clocks. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  nowMs: () => Date.now(),
  setTimeout(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/**
 * A signal that aborts when a clock has gone on by `timeoutMs`. Dispose of it when it is no longer needed.
 */
export function deadlineAfter(clock: Clock, timeoutMs: number): AbortSignal & Disposable {
  const controller = new AbortController();
  const timer = clock.setTimeout(() => controller.abort(), Math.max(0, timeoutMs));
  return Object.assign(controller.signal, { [Symbol.dispose]: () => timer.cancel() });
}
