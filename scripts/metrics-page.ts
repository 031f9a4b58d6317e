import { METRICS } from "../src/metrics/names.ts";
import { prometheusShape } from "../src/metrics/prometheus-names.ts";

const HEAD = `# Metrics

<!-- Made from the catalogue in src/metrics/names.ts by \`npm run docs\`: change it there. -->

A \`StreamProcessor\` takes a \`Metrics\` (\`increment\`, \`gauge\`, \`timing\`) and calls it at most about once a second per
name, never once per message; without one nothing is gathered. Names that Arroyo has too mean the same here, in the same
unit, so that its dashboards fit. \`MetricName\` holds them for code, \`METRICS\` the whole catalogue. How they get to
Prometheus, OpenTelemetry or StatsD: [guides/metrics.md](guides/metrics.md).
`;

/** docs/metrics.md, before formatting. */
export function metricsPage(): string {
  const rows = [...METRICS].map(([name, definition]) => {
    const { type, unit, tags, meaning } = definition;
    const tagged = tags.map((tag) => `\`${tag}\``).join(", ");
    const prometheus = prometheusShape(name, definition).name;
    return `| \`${name}\` | ${type} | ${unit} | ${tagged} | ${meaning} | \`${prometheus}\` |`;
  });
  const head = [
    "| Name | Type | Unit | Tags | Meaning | In Prometheus |",
    "| --- | --- | --- | --- | --- | --- |",
  ];
  return [HEAD, ...head, ...rows].join("\n");
}
