import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MetricsBuffer } from "../../src/metrics/buffer.ts";
import { MockClock, RecordingMetrics } from "../../src/testing/index.ts";

describe("MetricsBuffer", () => {
  it("passes on one sum per name and tags, once a second, times in seconds", () => {
    const clock = new MockClock();
    const metrics = new RecordingMetrics();
    const buffer = new MetricsBuffer(metrics, clock);
    for (let i = 0; i < 3; i++) {
      buffer.increment("messages", 2);
      buffer.increment("commits", 1, { status: "success" });
      buffer.addTime("poll.time", 250);
      clock.advance(333);
      buffer.flushIfDue(clock.monotonicMs());
    }
    buffer.increment("commits", 1, { status: "error" });
    assert.deepEqual(metrics.calls, []);
    clock.advance(1);
    buffer.flushIfDue(clock.monotonicMs());
    assert.deepEqual(metrics.timings("poll.time"), [0.75]);
    assert.equal(metrics.count("messages"), 6);
    assert.equal(metrics.count("commits", { status: "success" }), 3);
    assert.equal(metrics.count("commits", { status: "error" }), 1);
    assert.equal(metrics.calls.length, 4);

    clock.advance(999);
    buffer.increment("messages");
    buffer.flushIfDue(clock.monotonicMs());
    assert.equal(metrics.count("messages"), 6, "the next second is not over yet");
    clock.advance(1);
    buffer.flushIfDue(clock.monotonicMs());
    assert.equal(metrics.count("messages"), 7);
  });

  it("lets gauges and single durations through at once", () => {
    const metrics = new RecordingMetrics();
    const buffer = new MetricsBuffer(metrics, new MockClock());
    buffer.gauge("lag", 4, { partition: "1" });
    buffer.timing("latency", 0.25);
    assert.equal(metrics.last("lag", { partition: "1" }), 4);
    assert.deepEqual(metrics.timings("latency"), [0.25]);
  });
});
