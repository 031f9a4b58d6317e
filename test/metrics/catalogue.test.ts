import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { METRICS, MetricName } from "../../src/metrics/names.ts";

const SOURCES = fileURLToPath(new URL("../../src/", import.meta.url));
const CATALOGUE = "metrics/names.ts";

function sources(): string[] {
  return globSync("**/*.ts", { cwd: SOURCES })
    .filter((path) => path !== CATALOGUE)
    .map((path) => readFileSync(`${SOURCES}${path}`, "utf8"));
}

describe("the catalogue of metrics", () => {
  it("says of every name what it is, and of no other", () => {
    const names = Object.values(MetricName);
    assert.equal(new Set(names).size, names.length, "a name is there twice");
    assert.deepEqual([...METRICS.keys()].sort(), [...names].sort());
    for (const [name, { meaning, unit, type }] of METRICS) {
      assert.match(name, /^arroyo\.[a-z0-9_.]+$/);
      assert.match(meaning, /^[A-Z].*\.$/, `${name} has no sentence for its meaning`);
      // Arroyo notes sizes of batches as timings, too.
      assert.ok(type === "timing" || !unit.startsWith("seconds"), `${name} has an odd unit`);
    }
  });

  it("has no metric that the code does not send", () => {
    const code = sources().join("\n");
    for (const [key, name] of Object.entries(MetricName)) {
      const sent = new RegExp(`\\bMetricName\\.${key}\\b`).test(code) || code.includes(`"${name}"`);
      assert.ok(sent, `nothing sends MetricName.${key}`);
    }
  });

  it("lacks none that the code sends", () => {
    const known = new Set<string>(METRICS.keys());
    // A name that is written out instead of taken from the catalogue.
    const written = sources().flatMap((code) => code.match(/"arroyo\.[a-z0-9_]+\.[a-z0-9_.]+"/g) ?? []);
    const configuration = /^"arroyo\.(strict|enable|collect)\./;
    const unknown = written.filter((name) => !configuration.test(name) && !known.has(name.slice(1, -1)));
    assert.deepEqual(unknown, []);
  });
});
