import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

describe("the Grafana dashboard", () => {
  it("asks only for metrics and labels that the Prometheus exporter has", async () => {
    const file = new URL("../../deploy/grafana/arroyo.json", import.meta.url);
    const { panels } = JSON.parse(readFileSync(file, "utf8")) as Dashboard;
    assert.ok(panels.length > 0);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const metrics = new PrometheusMetrics({ registry: new Registry(), labels: { consumer: "orders" } });
    const exported = await metrics.registry.getMetricsAsJSON();
    const names = new Set(exported.map(({ name }) => name));
    for (const { title, targets } of panels) {
      for (const { expr } of targets) {
        const [asked] = expr.match(/arroyo_\w+/) ?? [];
        assert.ok(asked !== undefined, `${title} asks for nothing`);
        assert.ok(names.has(asked.replace(/_bucket$/, "")), `${title} asks for ${asked}`);
        const [, by = ""] = /sum by \(([^)]*)\)/.exec(expr) ?? [];
        const metric = metrics.registry.getSingleMetric(asked.replace(/_bucket$/, ""));
        const { labelNames } = metric as unknown as { readonly labelNames: readonly string[] };
        for (const label of by.split(", ")) {
          assert.ok(label === "le" || labelNames.includes(label), `${title}: ${asked} has no label ${label}`);
        }
      }
    }
  });
});
