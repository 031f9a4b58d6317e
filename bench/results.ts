import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

/** What a measured program prints: numbers by name. */
export type Sample = Readonly<Record<string, number>>;

/** One of those that were measured in turn, and every run of it. */
export interface Measured {
  readonly name: string;
  /** Of whom it comes from, if it is not this library. */
  readonly version?: string;
  readonly samples: readonly Sample[];
}

export interface LeftOut {
  readonly name: string;
  readonly why: string;
}

/** A scenario as it was measured, as it is written to a file. */
export interface Results {
  readonly scenario: string;
  readonly machine: string;
  /** Day, in UTC. */
  readonly date: string;
  readonly measured: readonly Measured[];
  readonly leftOut: readonly LeftOut[];
}

/** Of several runs. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Where the figures are that docs/benchmarks.md is made from. */
export const RESULTS: string = join(import.meta.dirname, "results");

export function writeResults(folder: string, results: Results): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${results.scenario}.json`), `${JSON.stringify(results, rounded, 2)}\n`);
}

/** By scenario. */
export function readResults(folder: string = RESULTS): ReadonlyMap<string, Results> {
  return new Map(
    globSync("*.json", { cwd: folder })
      .toSorted()
      .map((file) => [
        basename(file, ".json"),
        JSON.parse(readFileSync(join(folder, file), "utf8")) as Results,
      ]),
  );
}

export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const [min = NaN] = sorted;
  return { median: sorted[Math.floor(sorted.length / 2)] ?? NaN, min, max: sorted.at(-1) ?? NaN };
}

/** With as many digits as mean something. */
export function written(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value >= 10_000) return (Math.round(value / 1_000) * 1_000).toLocaleString("en");
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 100 ? 2 : 0 });
}

/** A sixth digit is noise, and makes a file of thousands of them hard to compare. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}
