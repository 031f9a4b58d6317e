/** The most that the process has held so far. */
export function peakMegabytes(): number {
  return (process.resourceUsage().maxRSS * 1_024) / 1e6;
}

/** What bench/run.ts reads: one line of JSON. */
export function printSample(sample: Readonly<Record<string, number>>): void {
  process.stdout.write(`${JSON.stringify(sample)}\n`);
}

/** CPU time of all threads while `ms` pass, as a share of one core. */
export async function cpuPercent(ms: number): Promise<number> {
  const before = process.cpuUsage();
  const startedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 10 / (performance.now() - startedMs);
}
