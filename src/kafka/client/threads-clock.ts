/**
 * Milliseconds on a clock that never goes back and is the same on every thread of the process. `performance.now()` is not:
 * it begins with its thread.
 */
export function threadsMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
