import assert from "node:assert/strict";
import { test } from "node:test";
import type { Results, Sample } from "../../bench/results.ts";
import { HANDLER_ALONE, OURS } from "../../bench/scenarios.ts";
import { TARGETS } from "../../bench/targets.ts";
import { missedTargets } from "../../scripts/benchmarks-page.ts";

test("bench/missed.md says of each scenario whose target is missed why, and has nothing to say of others", () => {
  const { missed, explained } = missedTargets();
  assert.deepEqual(explained, missed);
});

test("of a slow handler's CPU time, what the handler alone takes in the same round is none of the library's", () => {
  const sample = (percent: number): Sample => ({ percent });
  const target = TARGETS.find(({ scenario }) => scenario === "slow")!;
  const measured = [
    { name: OURS, samples: [sample(7), sample(12), sample(8)] },
    { name: HANDLER_ALONE, samples: [sample(4), sample(5), sample(4)] },
  ];
  const results: Results = { scenario: "slow", machine: "", date: "", measured, leftOut: [] };
  assert.deepEqual(target.reached(results), {
    figure: "**4** (3 to 7) % of a core (8 in all, 4 alone)",
    ratio: "0.80 x of the limit",
    isMet: true,
  });
  assert.equal(target.reached({ ...results, measured: measured.slice(0, 1) }), undefined);
});
