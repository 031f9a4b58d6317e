import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "./code-blocks.ts";

test("each row of the table of faults names a test, and the test has tests in it", () => {
  const page = readFileSync(join(ROOT, "docs/reliability.md"), "utf8");
  // A table is what stands between empty lines; those of faults say so in their heads.
  const tables = page.split("\n\n").filter((part) => part.startsWith("| Fault"));
  const rows = tables.flatMap((table) => table.trim().split("\n").slice(2));
  assert.ok(rows.length > 15);
  for (const row of rows) {
    const links = [...row.matchAll(/\]\(\.\.\/(test\/[^)]+\.test\.ts)\)/g)].map(([, path = ""]) => path);
    assert.ok(links.length > 0, `no test is named: ${row.slice(0, 80)}`);
    for (const path of links) {
      const source = readFileSync(join(ROOT, path), "utf8");
      assert.match(source, /\b(?:test|it|kafkaTest|ownKafkaTest|securedKafkaTest)\(/, path);
    }
  }
});
