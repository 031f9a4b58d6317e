import type { Offsets } from "./backend.ts";
import type { Verdict } from "./check.ts";
import { count, type Counts } from "./progress.ts";

function row(name: string, value: number, text: string): string {
  return `${name.padEnd(10)}${count(value).padStart(12)}  ${text}`;
}

function total(offsets: Offsets): number {
  let sum = 0;
  for (const offset of offsets.values()) sum += offset;
  return sum;
}

/** What one run did, and what the topics say to it, as lines to print. */
export function summary(run: Counts, ends: Offsets, committed: Offsets, verdict: Verdict): string[] {
  const partitions = [...ends].map(([index, end]) => `${index}: ${committed.get(index) ?? 0}/${end}`);
  const { expected, missing, repeated } = verdict;
  return [
    row("read", run.read, "orders in this run"),
    row("filtered", run.filtered, "of them, not paid"),
    row("written", run.written, "invoices in this run, each acknowledged by the broker"),
    row(
      "committed",
      total(committed),
      `of ${count(total(ends))} orders by all runs (${partitions.join(", ")})`,
    ),
    row(
      "checked",
      expected - missing,
      `of ${count(expected)} paid orders among those committed have their invoice`,
    ),
    row("repeated", repeated, "orders with more than one invoice: handled again after a crash"),
  ];
}
