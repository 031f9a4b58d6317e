import { METRICS } from "../src/metrics/names.ts";

const HEAD = `# Metrics

<!-- Made from the catalogue in src/metrics/names.ts by \`npm run docs\`: change it there. -->

A \`StreamProcessor\` takes a \`Metrics\` (\`increment\`, \`gauge\`, \`timing\`) and calls it at most about once a second per
name, never once per message; without one nothing is gathered. Names that Arroyo has too mean the same here, in the same
unit, so that its dashboards fit. \`MetricName\` holds them for code, \`METRICS\` the whole catalogue.
`;

/** docs/metrics.md, before formatting. */
export function metricsPage(): string {
  const rows = [...METRICS].map(([name, { type, unit, tags, meaning }]) => {
    const tagged = tags.map((tag) => `\`${tag}\``).join(", ");
    return `| \`${name}\` | ${type} | ${unit} | ${tagged} | ${meaning} |`;
  });
  return [HEAD, "| Name | Type | Unit | Tags | Meaning |", "| --- | --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
}
