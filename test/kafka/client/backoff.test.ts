import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../../src/kafka/client/backoff.ts";

test("delays double up to the longest, and begin anew after a reset", () => {
  const backoff = new Backoff({ initialMs: 100, maxMs: 1_000, random: () => 0.5 });
  assert.deepEqual(
    Array.from({ length: 6 }, () => backoff.next()),
    [100, 200, 400, 800, 1_000, 1_000],
  );
  assert.equal(backoff.tries, 6);
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

test("jitter spreads a delay by a fifth to both sides, and never beyond the longest", () => {
  const lowest = new Backoff({ initialMs: 100, maxMs: 1_000, random: () => 0 });
  const highest = new Backoff({ initialMs: 100, maxMs: 1_000, random: () => 1 });
  assert.equal(lowest.next(), 80);
  assert.equal(highest.next(), 120);
  for (let i = 0; i < 100; i += 1) assert.ok(highest.next() <= 1_000);
});

test("a first delay of nothing still grows", () => {
  const backoff = new Backoff({ initialMs: 0, maxMs: 1_000, random: () => 0.5 });
  const delays = Array.from({ length: 12 }, () => backoff.next());
  assert.deepEqual(delays.slice(0, 3), [1, 2, 4]);
  assert.equal(delays.at(-1), 1_000);
});
