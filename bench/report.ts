import { summarize, written, type Measured, type Results, type Summary } from "./results.ts";
import type { Figure, Scenario } from "./scenarios.ts";

/** The median of one that was measured, with the lowest and the highest run. */
export function figureOf(measured: Measured, figure: Figure): Summary {
  return summarize(measured.samples.map((sample) => figure.of(sample)));
}

/** How many times the first one's figure is of this one's. */
export function ratioOf(results: Results, other: Measured, figure: Figure): number {
  const [first] = results.measured;
  return first === undefined ? NaN : figureOf(first, figure).median / figureOf(other, figure).median;
}

/** A table of a figure for people, in Markdown. */
export function figureTable(results: Results, figure: Figure): string {
  const hasOthers = results.measured.length > 1;
  const head = ["", `${figure.name}, ${figure.unit}`, "lowest", "highest"];
  if (hasOthers) head.push("first to it");
  const rows = results.measured.map((measured, i) => {
    const { median, min, max } = figureOf(measured, figure);
    const row = [measured.name, written(median), written(min), written(max)];
    if (hasOthers) row.push(i === 0 ? "" : `${ratioOf(results, measured, figure).toFixed(2)} x`);
    return row;
  });
  return markdownTable(head, rows);
}

/** @param texts how many of the first columns hold words; the others are numbers. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  texts: number = 1,
): string {
  const rule = head.map((_, i) => (i < texts ? "---" : "---:"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** For the terminal. */
export function report(name: string, { what, figures }: Scenario, results: Results): string {
  const tables = figures.map((figure) => `${figureTable(results, figure)}\n`);
  if (figures.length === 0) tables.push(`${JSON.stringify(results.measured[0]?.samples[0])}\n`);
  return `\n${name}: ${what}\n\n${tables.join("\n")}`;
}
