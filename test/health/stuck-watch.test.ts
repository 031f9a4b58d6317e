import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { Vitals } from "../../src/backend/vitals.ts";
import { MockClock } from "../../src/testing/index.ts";
import { StuckWatch, type StuckState } from "../../src/watch/stuck-watch.ts";

const LIMIT_MS = 10_000;

let clock: MockClock;
let vitals: Vitals;
let told: (StuckState & { readonly isFirst: boolean })[];
let freeAfterMs: number[];
/** What the main thread would do if it were not blocked. */
let answer: (() => void) | undefined;
let giveStack: ((stack: string) => void) | undefined;
let watch: StuckWatch;

beforeEach(() => {
  clock = new MockClock();
  vitals = new Vitals();
  told = [];
  freeAfterMs = [];
  answer = giveStack = undefined;
  watch = new StuckWatch({
    vitals,
    timeoutMs: LIMIT_MS,
    clock,
    ask: (answered) => (answer = answered),
    takeStack: (taken) => {
      giveStack = taken;
      return { [Symbol.dispose]: () => (giveStack = undefined) };
    },
    stuck: (state, isFirst) => told.push({ ...state, isFirst }),
    free: (silentMs) => freeAfterMs.push(silentMs),
  });
});

describe("the stuck detector", () => {
  it("says nothing of a main thread that polls, however seldom, within the limit", () => {
    for (let i = 0; i < 30; i++) {
      clock.advance(LIMIT_MS - 500);
      vitals.polled();
    }
    clock.advance(LIMIT_MS - 500);
    assert.equal(answer, undefined);
    assert.deepEqual(told, []);
  });

  it("takes one stack per episode, and says when it is over", () => {
    for (const stack of ["at first", "at second"]) {
      told = [];
      clock.advance(LIMIT_MS - 250);
      assert.equal(giveStack, undefined, "the main thread has a moment to answer");
      clock.advance(1_000);
      giveStack!(stack);
      clock.advance(5 * LIMIT_MS);
      assert.deepEqual(told, [{ kind: "blocked", stack, isFirst: true }]);
      vitals.polled();
      clock.advance(500);
    }
    assert.equal(freeAfterMs.length, 2);
  });

  it("does not call blocked what only waits", () => {
    clock.advance(LIMIT_MS);
    answer!();
    clock.advance(5 * LIMIT_MS);
    assert.deepEqual(told, [{ kind: "waiting", isFirst: true }]);
    assert.equal(giveStack, undefined);
  });

  it("says that it is in a native call, and where, when that has returned", () => {
    clock.advance(LIMIT_MS + 250 + 1_000 + 500);
    assert.deepEqual(told, [{ kind: "native", isFirst: true }]);
    answer!();
    giveStack!("at late");
    assert.deepEqual(told.slice(1), [{ kind: "blocked", stack: "at late", isFirst: false }]);
  });

  it("drops a stack that was taken after the block", () => {
    clock.advance(LIMIT_MS + 750);
    vitals.polled();
    giveStack!("at anywhere");
    clock.advance(1_000);
    assert.deepEqual(told, []);
    assert.equal(giveStack, undefined, "nobody waits for it any more");
    assert.equal(freeAfterMs.length, 1);
  });

  it("ends in the middle of an episode", () => {
    clock.advance(LIMIT_MS + 750);
    watch.stop();
    assert.equal(giveStack, undefined);
    clock.advance(5 * LIMIT_MS);
    assert.deepEqual(told, []);
    assert.equal(clock.pendingTimers, 0);
  });
});
