import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MockClock } from "../../src/testing/index.ts";

describe("MockClock", () => {
  it("stands still until it is turned, and both of its times go on together", () => {
    const clock = new MockClock(5_000);
    assert.deepEqual([clock.monotonicMs(), clock.nowMs()], [0, 5_000]);
    clock.advance(250);
    assert.deepEqual([clock.monotonicMs(), clock.nowMs()], [250, 5_250]);
  });

  it("calls timers in the order of their times, at their times", () => {
    const clock = new MockClock();
    const calls: string[] = [];
    clock.setTimeout(() => calls.push(`c@${clock.monotonicMs()}`), 30);
    clock.setTimeout(() => calls.push(`a@${clock.monotonicMs()}`), 10);
    clock.setTimeout(() => calls.push(`b@${clock.monotonicMs()}`), 10);
    clock.setTimeout(() => calls.push("too early"), 31);
    clock.advance(30);
    assert.deepEqual(calls, ["a@10", "b@10", "c@30"]);
    assert.equal(clock.nextDueMs, 31);
  });

  it("calls timers that timers set, if they come due on the way", () => {
    const clock = new MockClock();
    const calls: number[] = [];
    const tick = (): void => {
      calls.push(clock.monotonicMs());
      clock.setTimeout(tick, 10);
    };
    clock.setTimeout(tick, 10);
    clock.advance(35);
    assert.deepEqual(calls, [10, 20, 30]);
  });

  it("does not call a timer that was cancelled, also from another timer", () => {
    const clock = new MockClock();
    const calls: string[] = [];
    const second = clock.setTimeout(() => calls.push("second"), 20);
    clock.setTimeout(() => second.cancel(), 10);
    clock.advance(100);
    assert.deepEqual(calls, []);
    assert.equal(clock.pendingTimers, 0);
  });

  it("refuses to go back", () => {
    assert.throws(() => new MockClock().advance(-1), RangeError);
  });
});
