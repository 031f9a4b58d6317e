/** The system's monotonic clock, which all processes on a machine have in common, in whatever language. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
