import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FetchBudget, type BudgetAccount } from "../../../src/kafka/client/fetch-budget.ts";

const LIMIT = 100_000;

test("one partition alone may use three quarters of the budget, and never the reserve of another", () => {
  const budget = new FetchBudget(LIMIT);
  const one = budget.open("one");
  assert.equal(budget.allowance(one, true), 75_000);
  assert.equal(budget.allowance(one, false), 50_000);
  budget.queue(one, 75_000);
  assert.equal(budget.allowance(one, true), 75_000);
  const two = budget.open("two");
  assert.ok(budget.allowance(two, false) >= 25_000);
});

test("what is left of a partition that is not fetched any more takes room until it is given back", () => {
  const budget = new FetchBudget(LIMIT);
  const one = budget.open("one");
  budget.expect(one, 10_000);
  budget.queue(one, 40_000);
  budget.close("one");
  assert.equal(budget.used, 40_000);
  const two = budget.open("two");
  assert.ok(budget.allowance(two, true) < 60_000);
  assert.equal(budget.credit("one", 40_000), false);
  assert.equal(budget.used, 0);
  assert.equal(budget.allowance(two, true), 75_000);
  assert.equal(budget.credit("one", 40_000), false);
});

test("whoever comes and goes, all partitions together stay within the budget, and nobody is left with nothing", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b", "c", "d", "e"),
    action: fc.constantFrom("open", "ask", "ask", "arrive", "credit", "close"),
    isBehind: fc.boolean(),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const budget = new FetchBudget(LIMIT);
      const open = new Map<string, BudgetAccount>();
      const queued = new Map<string, number>();
      for (const { key, action, isBehind, share } of steps) {
        const account = open.get(key);
        if (action === "open") open.set(key, budget.open(key));
        else if (action === "credit") {
          const bytes = Math.floor((queued.get(key) ?? 0) * share);
          queued.set(key, (queued.get(key) ?? 0) - bytes);
          budget.credit(key, bytes);
        } else if (account === undefined) continue;
        else if (action === "close") {
          budget.close(key);
          open.delete(key);
        } else if (action === "ask") {
          const room = budget.allowance(account, isBehind) - account.used;
          if (room > 0) budget.expect(account, Math.floor(room * share));
        } else {
          const bytes = Math.floor(account.expected * share);
          budget.unexpect(account, account.expected);
          budget.queue(account, bytes);
          queued.set(key, (queued.get(key) ?? 0) + bytes);
        }
        // A partition that comes makes the reserves of those that are there smaller than what they hold already.
        const newcomers = LIMIT / 2;
        assert.ok(budget.used <= LIMIT + newcomers, `${budget.used}`);
        for (const other of open.values()) {
          if (other.used === 0)
            assert.ok(budget.allowance(other, false) >= Math.floor(LIMIT / 2 / open.size));
        }
      }
      for (const key of ["a", "b", "c", "d", "e"]) {
        budget.close(key);
        budget.credit(key, queued.get(key) ?? 0);
      }
      assert.equal(budget.used, 0);
    }),
    { numRuns: 2_000 },
  );
});

test("with a fixed set of partitions the budget is never exceeded", () => {
  const step = fc.record({
    index: fc.nat(4),
    isBehind: fc.boolean(),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    consume: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const budget = new FetchBudget(LIMIT);
      const accounts = [0, 1, 2, 3, 4].map((index) => budget.open(String(index)));
      for (const { index, isBehind, share, consume } of steps) {
        const account = accounts[index]!;
        if (consume) budget.credit(String(index), Math.ceil(account.queued * share));
        const room = budget.allowance(account, isBehind) - account.used;
        if (room > 0) budget.queue(account, Math.floor(room * share));
        assert.ok(budget.used <= LIMIT, `${budget.used}`);
      }
    }),
    { numRuns: 2_000 },
  );
});
