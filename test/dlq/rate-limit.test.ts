import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RateLimit } from "../../src/dlq/rate-limit.ts";
import { MockClock } from "../../src/testing/mock-clock.ts";

/** Takes whatever may go, as soon as it may, and says at which ms each went. */
function goings(perSecond: number, forMs: number, clock: MockClock = new MockClock()): number[] {
  const rate = new RateLimit(perSecond, clock);
  const went: number[] = [];
  const startMs = clock.monotonicMs();
  while (clock.monotonicMs() < startMs + forMs) {
    for (let available = rate.available; available > 0; available--) {
      rate.take();
      went.push(clock.monotonicMs());
    }
    assert.ok(rate.waitMs > 0);
    clock.advance(rate.waitMs);
  }
  return went;
}

describe("RateLimit", () => {
  it("lets one after the other go, evenly", () => {
    assert.deepEqual(goings(4, 1_001), [0, 250, 500, 750, 1_000]);
  });

  it("knows less than one a second", () => {
    assert.deepEqual(goings(0.5, 4_001), [0, 2_000, 4_000]);
  });

  it("keeps a high rate to the last one", () => {
    const went = goings(30_000, 10_000);
    assert.ok(went.length >= 299_000 && went.length <= 300_001, `${went.length} went`);
  });

  it("does not make up for a quiet time with more than a tenth of a second's worth", () => {
    const clock = new MockClock();
    const rate = new RateLimit(100, clock);
    clock.advance(60_000);
    assert.equal(rate.available, 10);
  });

  it("without a limit never waits", () => {
    const rate = new RateLimit(Infinity, new MockClock());
    rate.take();
    assert.deepEqual([rate.available, rate.waitMs], [Infinity, 0]);
  });
});
