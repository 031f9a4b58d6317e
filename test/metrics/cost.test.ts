import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Metrics } from "../../src/metrics/metrics.ts";
import { Bench, P0 } from "../processing/fixtures.ts";

type Call = (sink: Metrics) => void;

/** What a processor hands to its metrics in so many seconds, in which so many messages come. */
async function callsFor(messages: number, seconds: number): Promise<Call[]> {
  const calls: Call[] = [];
  const metrics: Metrics = {
    increment: (...call) => void calls.push((sink) => sink.increment(...call)),
    gauge: (...call) => void calls.push((sink) => sink.gauge(...call)),
    timing: (...call) => void calls.push((sink) => sink.timing(...call)),
  };
  await using bench = new Bench({ metrics });
  await bench.start(P0);
  await bench.advance(2_000);
  calls.length = 0;
  for (let second = 0; second < seconds; second++) {
    bench.consumer.send(P0, ...Array.from({ length: messages / seconds }, () => "x"));
    await bench.advance(1_000);
  }
  assert.equal(bench.chain.payloads.length, messages);
  return [...calls];
}

describe("what metrics cost", () => {
  it("does not grow with the messages: a backend is called some times a second", async () => {
    const few = await callsFor(10, 10);
    const many = await callsFor(20_000, 10);
    assert.ok(few.length > 0);
    assert.ok(
      many.length <= few.length + 10,
      `${many.length} calls for 20,000 messages, ${few.length} for 10`,
    );
    assert.ok(many.length <= 10 * 20, `${many.length} calls in 10 s`);
  });
});
