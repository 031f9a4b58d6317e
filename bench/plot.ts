import { figureOf } from "./report.ts";
import { written, type Results } from "./results.ts";
import type { Figure } from "./scenarios.ts";

const WIDTH = 720;
const LABELS = 250;
const VALUES = 90;
const ROW = 30;
const TOP = 44;

/** On a ground of its own, so that it can be read wherever it is shown; dark where the reader's system is. */
const STYLE = `
  :root { --ground: #ffffff; --ink: #1f2328; --ours: #2563eb; --others: #94a3b8; }
  @media (prefers-color-scheme: dark) {
    :root { --ground: #161b22; --ink: #e6edf3; --ours: #60a5fa; --others: #64748b; }
  }
  svg { font: 13px sans-serif; fill: var(--ink); }
  .ground { fill: var(--ground); }
  .title { font-size: 15px; }
  .ours { fill: var(--ours); }
  .others { fill: var(--others); }
  path { stroke: var(--ink); }
`;

/** A picture (SVG) of a figure: bars for the medians, lines from the lowest to the highest run. */
export function plot(title: string, results: Results, figure: Figure): string {
  const bars = results.measured.map((measured) => ({
    name: measured.name,
    isOurs: measured.version === undefined,
    ...figureOf(measured, figure),
  }));
  const most = Math.max(...bars.map(({ max }) => max));
  const x = (value: number): number => Math.round(LABELS + (value / most) * (WIDTH - LABELS - VALUES));
  const height = TOP + bars.length * ROW + 6;
  const rows = bars.map(({ name, isOurs, median, min, max }, i) => {
    const y = TOP + i * ROW;
    const middle = y + 11;
    return [
      `<text x="${LABELS - 10}" y="${y + 16}" text-anchor="end">${escape(name)}</text>`,
      `<rect class="${isOurs ? "ours" : "others"}" x="${LABELS}" y="${y}" width="${x(median) - LABELS}" height="22"/>`,
      `<path d="M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 5}v10M${x(max)} ${middle - 5}v10"/>`,
      `<text x="${x(max) + 8}" y="${y + 16}">${written(median)}</text>`,
    ].join("");
  });
  const said = bars.map(({ name, median }) => `${name} ${written(median)}`).join(", ");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title said">`,
    `<title id="title">${escape(title)}</title>`,
    `<desc id="said">${escape(said)}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}" rx="6"/>`,
    `<text class="title" x="10" y="24">${escape(title)}</text>`,
    ...rows,
    "</svg>\n",
  ].join("\n");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
