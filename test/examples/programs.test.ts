import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";

/** What each example prints, as its comments promise. */
const PROGRAMS: Readonly<Record<string, readonly RegExp[]>> = {
  "enrich-over-http": [
    /^196 orders priced, 4 dead letters \(articles that nobody knows\)$/m,
    // A request that takes too long, as where the machine stands still, is tried again as well.
    /^[2-4]\d\d requests, 28 of which failed and were tried again$/m,
  ],
  "batch-into-sqlite": [
    /^store: [2-9][0-9] transactions; the table has 10000 orders worth 49995000 cents$/m,
    /^store-again: [2-9][0-9] transactions; the table has 10000 orders worth 49995000 cents$/m,
  ],
  "parse-in-workers": [/^500 logs with 100000 events, 5000 of them errors$/m],
  "fan-out-with-dlq": [
    /^200 in warehouse-north, 100 in warehouse-south, 0 in warehouse-west, 100 in orders-dlq$/m,
    /^Replayed 100 messages from orders-dlq to orders/m,
    /^300 in warehouse-north, 200 in warehouse-south, 100 in warehouse-west, 100 in orders-dlq$/m,
  ],
};

describe("the examples", () => {
  for (const [name, lines] of Object.entries(PROGRAMS)) {
    it(`${name} does what it says`, () => {
      const path = fileURLToPath(new URL(`../../examples/${name}/main.ts`, import.meta.url));
      const { status, stdout, stderr } = spawnSync(process.execPath, [path], {
        encoding: "utf8",
        timeout: 240_000,
      });
      assert.equal(status, 0, stderr);
      for (const line of lines) assert.match(stdout, line);
    });
  }
});
