import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { METRICS } from "../../src/metrics/names.ts";
import { prometheusShape } from "../../src/metrics/prometheus-names.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const file = new URL("../../deploy/grafana/arroyo.json", import.meta.url);
const { panels } = JSON.parse(readFileSync(file, "utf8")) as { readonly panels: readonly Panel[] };
const charts = panels.filter(({ type }) => type !== "row");

/** The metric that an expression asks for, as it is called in Prometheus. */
function askedBy(expr: string): string {
  return expr.match(/arroyo_\w+/)![0].replace(/_bucket$/, "");
}

describe("the Grafana dashboard", () => {
  it("asks only for metrics and labels that the Prometheus exporter has", async () => {
    assert.ok(charts.length > 0);
    const metrics = new PrometheusMetrics({ registry: new Registry(), labels: { consumer: "orders" } });
    const exported = await metrics.registry.getMetricsAsJSON();
    const names = new Set(exported.map(({ name }) => name));
    for (const { title, targets = [] } of charts) {
      assert.ok(targets.length > 0, `${title} asks for nothing`);
      for (const { expr, legendFormat } of targets) {
        const asked = askedBy(expr);
        assert.ok(names.has(asked), `${title} asks for ${asked}`);
        const by = /sum by \(([^)]*)\)/.exec(expr)![1]!.split(", ");
        const metric = metrics.registry.getSingleMetric(asked);
        const { labelNames } = metric as unknown as { readonly labelNames: readonly string[] };
        for (const label of by) {
          assert.ok(label === "le" || labelNames.includes(label), `${title}: ${asked} has no label ${label}`);
        }
        for (const [, shown] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
          assert.ok(by.includes(shown!), `${title}: the legend shows ${shown}, which is summed away`);
        }
      }
    }
  });

  it("shows everything that is known of Kafka, of brokers and of producers", () => {
    const shown = new Set(charts.flatMap(({ targets = [] }) => targets.map(({ expr }) => askedBy(expr))));
    const missing = [...METRICS]
      .filter(([name]) => /^arroyo\.(consumer\.)?kafka\.|^arroyo\.producer\./.test(name))
      .filter(([name, definition]) => !shown.has(prometheusShape(name, definition).name));
    assert.deepEqual(missing, []);
  });

  it("has its panels side by side, and each with a number of its own", () => {
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const taken = new Set<string>();
    for (const { title, gridPos } of panels) {
      assert.ok(gridPos.x + gridPos.w <= 24, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(!taken.has(`${x},${y}`), `${title} lies on another panel`);
          taken.add(`${x},${y}`);
        }
      }
    }
  });
});
