import assert from "node:assert/strict";
import { test } from "node:test";
import { PollWatch } from "../../../src/kafka/client/poll-watch.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";

function fixture(limitMs: number): {
  clock: MockClock;
  watch: PollWatch;
  poll: () => void;
  expired: number[];
} {
  const shared = new SharedArrayBuffer(4);
  const polls = new Int32Array(shared);
  const clock = new MockClock();
  const expired: number[] = [];
  const watch = new PollWatch(shared, limitMs, clock, () => expired.push(clock.monotonicMs()));
  return { clock, watch, poll: () => void Atomics.add(polls, 0, 1), expired };
}

test("a main thread that polls is left alone", () => {
  const { clock, watch, poll, expired } = fixture(10_000);
  watch.start();
  for (let second = 0; second < 60; second++) {
    clock.advance(1_000);
    poll();
  }
  assert.deepEqual(expired, []);
});

test("one that has stopped is found once, at most a twentieth of the limit late", () => {
  const { clock, watch, poll, expired } = fixture(10_000);
  watch.start();
  clock.advance(4_000);
  poll();
  clock.advance(30_000);
  assert.equal(expired.length, 1);
  const atMs = expired[0] ?? 0;
  assert.ok(atMs >= 14_000 && atMs <= 15_000, `noticed at ${atMs} ms`);
});

test("a watch that was stopped finds nothing, and one that is started anew counts from then", () => {
  const { clock, watch, expired } = fixture(1_000);
  watch.start();
  clock.advance(900);
  watch.stop();
  clock.advance(5_000);
  assert.deepEqual(expired, []);
  watch.start();
  clock.advance(900);
  assert.deepEqual(expired, []);
  clock.advance(300);
  assert.equal(expired.length, 1);
});
