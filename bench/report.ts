import { written, type Result } from "./run.ts";

/** What was measured, as it is written to a file. */
export interface Report {
  readonly machine: string;
  readonly scenarios: Record<
    string,
    { readonly what: string; readonly figure: string; readonly results: readonly Result[] }
  >;
}

/** For people. Ratios are those to this library: what it is better or worse by depends on the figure. */
export function reportTable({ machine, scenarios }: Report): string {
  const lines = [machine, ""];
  for (const [name, { what, figure, results }] of Object.entries(scenarios)) {
    lines.push(
      `${name}: ${what}`,
      "",
      `| | median, ${figure} | min | max | ours to it |`,
      "|---|---|---|---|---|",
    );
    const ours = results[0]?.median ?? NaN;
    for (const { name: who, median, min, max } of results) {
      const ratio = who === results[0]?.name ? "" : `${(ours / median).toFixed(2)} x`;
      lines.push(`| ${who} | ${written(median)} | ${written(min)} | ${written(max)} | ${ratio} |`);
    }
    lines.push("");
  }
  return lines.join("\n");
}
