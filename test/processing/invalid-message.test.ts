import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvalidMessage, InvalidStateError } from "../../src/errors.ts";
import { isFiltered } from "../../src/message/message.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { Bench, P0, P1 } from "./fixtures.ts";

describe("an InvalidMessage", () => {
  it("about the message that was submitted takes it out, and the others go on", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onSubmit = (message) => {
      if (message.payload === "bad") throw InvalidMessage.from(message, { needsCommit: false });
    };
    bench.consumer.send(P0, "a", "bad", "b");
    await bench.settle();
    assert.deepEqual(bench.chain.payloads, ["a", "b"]);
    await bench.advance(1_000);
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 1);
    assert.equal(bench.logger.lines.filter((line) => line === "error A message is invalid.").length, 1);
  });

  it("is logged ten times a minute at most, however many there are; all of them are counted", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onSubmit = (message) => {
      if (message.payload === "bad") throw InvalidMessage.from(message, { needsCommit: false });
    };
    const told = (): number =>
      bench.logger.lines.filter((line) => line.includes("A message is invalid.")).length;
    bench.consumer.send(P0, ...Array.from({ length: 50 }, () => "bad"));
    await bench.settle();
    assert.equal(told(), 10);
    await bench.advance(60_000);
    assert.equal(told(), 11, "the last of them, when the minute is over");
    bench.consumer.send(P0, ...Array.from({ length: 20 }, () => "bad"));
    await bench.settle();
    assert.equal(told(), 21);
    bench.processor.signalShutdown();
    await bench.settle();
    assert.deepEqual(bench.ended, { error: undefined });
    assert.equal(told(), 22, "and at the end");
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 70);
  });

  it("whose commit is still to be made is committed in its turn, as a filtered message", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onSubmit = (message) => {
      if (message.payload === "bad") throw InvalidMessage.from(message);
    };
    bench.consumer.send(P0, "a", "bad");
    await bench.settle();
    assert.deepEqual(bench.chain.payloads, ["a", "-"]);
    await bench.advance(1_000);
    assert.deepEqual(bench.consumer.commits, ["0:2"]);
  });

  it("is dropped when a strategy throws it about the filtered message too", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    let bad = 0;
    bench.chain.onSubmit = (message) => {
      if (message.payload !== "a" || message.offset === 0) {
        bad++;
        throw InvalidMessage.from(message);
      }
    };
    bench.consumer.send(P0, "bad", "a");
    await bench.settle();
    assert.equal(bad, 2);
    assert.deepEqual(bench.chain.payloads, ["a"]);
    await bench.advance(1_000);
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 1, "one message, counted once");
  });

  it("about an earlier message does not stand for the one that was submitted", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onSubmit = (message) => {
      if (message.offset !== 1) return;
      bench.chain.onSubmit = undefined;
      throw new InvalidMessage(P0, 0, { needsCommit: false });
    };
    bench.consumer.send(P0, "a", "b", "c");
    await bench.settle();
    assert.deepEqual(bench.chain.payloads, ["a", "b", "c"]);
  });

  it("from poll is followed by another poll before the next message", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const calls: string[] = [];
    bench.chain.onPoll = () => {
      calls.push("poll");
      if (calls.length === 1) throw new InvalidMessage(P1, 0, { needsCommit: false });
    };
    bench.chain.onSubmit = (message) => void calls.push(isFiltered(message) ? "-" : message.payload);
    bench.chain.runtime!.wake();
    bench.consumer.send(P0, "a");
    await bench.settle();
    assert.deepEqual(calls.slice(0, 3), ["poll", "poll", "a"]);
  });

  it("from poll, whose commit is still to be made, is committed behind what was submitted before", async () => {
    await using bench = new Bench();
    await bench.start(P0, P1);
    bench.chain.holds = true;
    bench.consumer.send(P0, "a", "b");
    await bench.settle();
    bench.chain.onPoll = () => {
      bench.chain.onPoll = undefined;
      throw new InvalidMessage(P0, 1);
    };
    bench.chain.runtime!.wake();
    await bench.settle();
    assert.deepEqual(bench.chain.described, ['"a" -> 0:1', '"b" -> 0:2', "- -> 0:2"]);
  });

  it("that was logged already is not logged again, but counted", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onSubmit = (message) => {
      throw InvalidMessage.from(message, { logged: true, needsCommit: false });
    };
    bench.consumer.send(P0, "a", "b");
    await bench.advance(1_000);
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 2);
    assert.ok(!bench.logger.has("invalid"));
  });

  it("from another copy of this library is recognised", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onSubmit = (message) => {
      if (message.payload !== "bad") return;
      throw Object.assign(new Error("foreign"), {
        code: "ARROYO_INVALID_MESSAGE",
        partition: { topic: { name: "orders" }, index: 0 },
        offset: message.offset,
        needsCommit: true,
      });
    };
    bench.consumer.send(P0, "bad", "a");
    await bench.settle();
    assert.deepEqual(bench.chain.payloads, ["-", "a"]);
  });

  it("that a strategy reports for ever is an error, not a loop without an end", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onPoll = () => {
      throw new InvalidMessage(P0, 3, { needsCommit: false });
    };
    await bench.advance(1_000);
    assert.ok(InvalidStateError.is(bench.ended?.error));
    assert.match(bench.ended.error.message, /orders:0 offset 3.*again and again/);
  });
});
