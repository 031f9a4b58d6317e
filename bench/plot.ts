// node bench/plot.ts FILE: makes docs/images/bench-NAME.svg of each scenario that was measured beside others.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Report } from "./report.ts";
import { written, type Result } from "./run.ts";

const WIDTH = 720;
const LABELS = 250;
const VALUES = 90;
const ROW = 30;
const TOP = 44;

const [file] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write("Usage: node bench/plot.ts FILE, which npm run bench -- --json FILE has written\n");
  process.exit(2);
}
const report = JSON.parse(readFileSync(file, "utf8")) as Report;
const images = join(import.meta.dirname, "../docs/images");
mkdirSync(images, { recursive: true });
for (const [name, { what, figure, results }] of Object.entries(report.scenarios)) {
  if (results.length < 2) continue;
  writeFileSync(join(images, `bench-${name}.svg`), plot(`${what}: ${figure}`, results));
}

/** Bars for the medians, and lines from the lowest to the highest run. */
function plot(title: string, results: readonly Result[]): string {
  const most = Math.max(...results.map(({ max }) => max));
  const x = (value: number): number => Math.round(LABELS + (value / most) * (WIDTH - LABELS - VALUES));
  const height = TOP + results.length * ROW + 6;
  const rows = results.map(({ name, median, min, max }, i) => {
    const y = TOP + i * ROW;
    const middle = y + 11;
    return [
      `<text x="${LABELS - 10}" y="${y + 16}" text-anchor="end">${escape(name)}</text>`,
      `<rect x="${LABELS}" y="${y}" width="${x(median) - LABELS}" height="22" fill="${i === 0 ? "#2563eb" : "#94a3b8"}"/>`,
      `<path d="M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 5}v10M${x(max)} ${middle - 5}v10" stroke="#111827"/>`,
      `<text x="${x(max) + 8}" y="${y + 16}">${written(median)}</text>`,
    ].join("");
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">` +
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>` +
    `<text x="10" y="24" font-size="15">${escape(title)}</text>${rows.join("")}</svg>\n`
  );
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
