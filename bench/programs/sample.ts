const LOOK_EVERY_MS = 100;
const PARTS = 10;

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

/** What a process costs while time passes. */
export interface OverTime extends Readonly<Record<string, number>> {
  readonly seconds: number;
  readonly percent: number;
  readonly peakMegabytes: number;
  /** From the second tenth of the time to the last one. */
  readonly grownMegabytes: number;
}

/** Besides what it promises, `megabytes1` to `megabytes10`: what was held in each tenth of the time, the median of many looks. */
export async function overTime(ms: number): Promise<OverTime> {
  const held: number[] = [];
  const startedMs = performance.now();
  const looking = setInterval(() => held.push(process.memoryUsage.rss() / 1e6), LOOK_EVERY_MS);
  const percent = await cpuPercent(ms);
  clearInterval(looking);
  const seconds = (performance.now() - startedMs) / 1_000;
  const size = held.length / PARTS;
  const parts = Array.from({ length: PARTS }, (_, i) =>
    median(held.slice(Math.round(i * size), Math.round((i + 1) * size))),
  );
  return {
    seconds,
    percent,
    peakMegabytes: peakMegabytes(),
    grownMegabytes: parts.at(-1)! - parts[1]!,
    ...Object.fromEntries(parts.map((megabytes, i) => [`megabytes${i + 1}`, megabytes])),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
