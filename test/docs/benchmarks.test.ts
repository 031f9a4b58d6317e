import assert from "node:assert/strict";
import { test } from "node:test";
import { missedTargets } from "../../scripts/benchmarks-page.ts";

test("bench/missed.md says of each scenario whose target is missed why, and has nothing to say of others", () => {
  const { missed, explained } = missedTargets();
  assert.deepEqual(explained, missed);
});
