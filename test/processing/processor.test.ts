import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CommitPolicy, IMMEDIATE } from "../../src/commit/policy.ts";
import {
  ConfigurationError,
  EndOfPartition,
  InvalidStateError,
  MESSAGE_REJECTED,
  OffsetOutOfRange,
  RecoverableError,
} from "../../src/errors.ts";
import { Topic } from "../../src/message/topic.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { StreamProcessor } from "../../src/processing/processor.ts";
import { FakeConsumer } from "./fake-consumer.ts";
import { Bench, Factory, P0, P1, turn } from "./fixtures.ts";

describe("StreamProcessor", () => {
  it("hands every message to the strategies, in order, and commits them", async () => {
    await using bench = new Bench();
    bench.consumer.send(P0, "a", "b");
    bench.consumer.send(P1, "x");
    await bench.start(P0, P1);
    assert.deepEqual(bench.chain.payloads, ["a", "b", "x"]);
    bench.consumer.send(P1, "y");
    await bench.settle();
    assert.deepEqual(bench.chain.payloads, ["a", "b", "x", "y"]);
    await bench.stop();
    assert.deepEqual(bench.ended, { error: undefined });
    assert.deepEqual(bench.consumer.commits, ["0:2, 1:2"]);
    assert.deepEqual(bench.chain.calls, ["close", "join"]);
    assert.deepEqual(bench.consumer.calls, ["subscribe", "close"]);
    assert.equal(bench.factory.shutdowns, 1);
  });

  it("gives each strategy of the chain its runtime before the first message", async () => {
    await using bench = new Bench({ commitPolicy: IMMEDIATE });
    await bench.start(P0);
    assert.equal(bench.chain.runtime?.clock, bench.clock);
    assert.equal(bench.chain.runtime.commitPolicy, IMMEDIATE);
    await bench.stop();
  });

  it("subscribes to what it is told: a name, topics, several, a pattern", async () => {
    for (const [topic, expected] of [
      ["orders", ["orders"]],
      [new Topic("orders"), ["orders"]],
      [
        ["orders", new Topic("refunds")],
        ["orders", "refunds"],
      ],
      [/^order/, /^order/],
    ] as const) {
      await using bench = new Bench({ topic });
      await bench.start();
      const { subscription } = bench.consumer;
      assert.deepEqual(Array.isArray(subscription) ? subscription.map(String) : subscription, expected);
      await bench.stop();
    }
  });

  it("checks its options", () => {
    const required = { consumer: new FakeConsumer<string>(), factory: new Factory() };
    assert.throws(() => new StreamProcessor({ ...required, topic: [] }), ConfigurationError);
    assert.throws(() => new StreamProcessor({ ...required, topic: "no spaces" }), ConfigurationError);
    assert.throws(() => new StreamProcessor({ ...required, topic: "orders", joinTimeoutMs: -1 }), {
      message: /joinTimeoutMs is -1/,
    });
  });

  it("runs once", async () => {
    await using bench = new Bench();
    await bench.start();
    await assert.rejects(bench.processor.run(), InvalidStateError);
    await bench.stop();
    await assert.rejects(bench.processor.run(), InvalidStateError);
  });

  describe("the loop", () => {
    it("polls the strategies within a turn of the event loop when one of them asks for it", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      const { polls } = bench.chain;
      await bench.settle();
      assert.equal(bench.chain.polls, polls, "does nothing by itself");
      bench.chain.runtime!.wake();
      bench.chain.runtime!.wake();
      await turn();
      await turn();
      assert.equal(bench.chain.polls, polls + 1);
      await bench.stop();
    });

    it("polls the strategies at each time that one of them asks for", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      const times: number[] = [];
      bench.chain.onPoll = () => void times.push(bench.clock.monotonicMs());
      bench.chain.runtime!.wakeAt(300);
      bench.chain.runtime!.wakeAt(120.5);
      bench.chain.runtime!.wakeAt(121);
      await bench.advance(400);
      assert.deepEqual(times, [121, 300]);
      await bench.stop();
    });

    it("polls the strategies at least once a second", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      const { polls } = bench.chain;
      await bench.advance(10_000);
      assert.ok(bench.chain.polls - polls >= 9, `${bench.chain.polls - polls} polls in ten seconds`);
      await bench.stop();
    });

    it("gives the event loop its turn in the middle of a long backlog", async () => {
      await using bench = new Bench();
      bench.consumer.send(P0, ...Array.from({ length: 50_000 }, (_, i) => String(i)));
      let turns = 0;
      let running = true;
      bench.run();
      bench.consumer.assign(P0);
      while (running) {
        await turn();
        turns++;
        running = bench.factory.chains.length === 0 || bench.chain.messages.length < 50_000;
      }
      assert.ok(turns > 3, `${turns} turns of the event loop`);
      assert.equal(bench.chain.payloads.at(-1), "49999");
      await bench.stop();
    });

    it("ends a slice after a few milliseconds also in the middle of a batch", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      const order: string[] = [];
      bench.chain.onSubmit = (message) => {
        bench.clock.advance(3);
        order.push(String(message.payload));
      };
      bench.chain.onPoll = () => void order.push("poll");
      bench.consumer.send(P0, "a", "b", "c", "d", "e", "f", "g", "h");
      await bench.settle();
      const between = order.join("").replaceAll("poll", "|").split("|");
      assert.equal(between.join(""), "abcdefgh");
      assert.ok(
        between.every((messages) => messages.length <= 2),
        between.join(" "),
      );
    });

    it("goes on after errors that go away by themselves", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      for (const error of [new RecoverableError("a hiccup"), new EndOfPartition(P0, 0)]) {
        bench.consumer.pollError = error;
        bench.consumer.send(P0, error.name);
        await bench.settle();
      }
      assert.deepEqual(bench.chain.payloads, ["RecoverableError", "EndOfPartition"]);
      await bench.stop();
      assert.deepEqual(bench.ended, { error: undefined });
    });

    it("ends with the consumer's error", async () => {
      await using bench = new Bench();
      bench.consumer.send(P0, "a");
      await bench.start(P0);
      const error = new OffsetOutOfRange(P0, 7);
      bench.consumer.pollError = error;
      bench.consumer.send(P0, "never seen");
      await bench.settle();
      assert.equal(bench.ended?.error, error);
      assert.deepEqual(bench.chain.calls, ["terminate"]);
      assert.deepEqual(bench.consumer.commits, ["0:1"], "what was done is done");
      assert.equal(bench.factory.shutdowns, 1);
    });

    it("refuses messages of partitions that were never assigned", async () => {
      await using bench = new Bench();
      await bench.start();
      bench.consumer.assign(P0);
      bench.consumer.send(P0, "a");
      bench.factory.onCreate = () => assert.fail("must not be asked");
      bench.consumer.subscribe([]);
      await bench.settle();
      assert.ok(InvalidStateError.is(bench.ended?.error));
    });
  });

  describe("commits", () => {
    it("go by time, also on a topic that went quiet", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      bench.consumer.send(P0, "a", "b");
      await bench.settle();
      await bench.advance(999);
      assert.deepEqual(bench.consumer.commits, []);
      await bench.advance(1);
      assert.deepEqual(bench.consumer.commits, ["0:2"]);
      await bench.advance(10_000);
      assert.deepEqual(bench.consumer.commits, ["0:2"], "nothing new, nothing to commit");
      await bench.stop();
    });

    it("go by the number of messages, over all partitions", async () => {
      await using bench = new Bench({ commitPolicy: new CommitPolicy({ everyMessages: 4 }) });
      await bench.start(P0, P1);
      bench.consumer.send(P0, "a", "b");
      bench.consumer.send(P1, "x");
      await bench.settle();
      assert.deepEqual(bench.consumer.commits, []);
      bench.consumer.send(P1, "y");
      await bench.settle();
      assert.deepEqual(bench.consumer.commits, ["0:2, 1:2"]);
      await bench.stop();
    });

    it("go one at a time: what is done meanwhile goes with the next one", async () => {
      await using bench = new Bench({ commitPolicy: IMMEDIATE });
      await bench.start(P0);
      const held = Promise.withResolvers<void>();
      bench.consumer.onCommit = () => held.promise;
      bench.consumer.send(P0, "a", "b", "c");
      await bench.settle();
      bench.consumer.send(P0, "d");
      await bench.settle();
      assert.equal(bench.chain.messages.length, 4, "processing goes on");
      assert.deepEqual(bench.consumer.commits, []);
      held.resolve();
      await bench.settle();
      assert.deepEqual(bench.consumer.commits, ["0:1", "0:4"]);
      await bench.stop();
    });

    it("that take longer than their rhythm are not asked for again and again", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      const held = Promise.withResolvers<void>();
      bench.consumer.onCommit = () => held.promise;
      bench.consumer.send(P0, "a");
      await bench.settle();
      await bench.advance(1_000);
      bench.consumer.send(P0, "b");
      await bench.settle();
      bench.consumer.polls.length = 0;
      await bench.advance(10_000);
      assert.ok(bench.consumer.polls.length <= 12, `${bench.consumer.polls.length} polls in ten seconds`);
      held.resolve();
      await bench.settle();
      assert.deepEqual(bench.consumer.commits, ["0:1", "0:2"], "the next one is long due");
    });

    it("never go back within an assignment", async () => {
      await using bench = new Bench({ commitPolicy: IMMEDIATE });
      await bench.start(P0);
      bench.consumer.send(P0, "a", "b", "c");
      await bench.settle();
      bench.chain.commit(new Map([[P0, 1]]), { force: true });
      await bench.settle();
      assert.deepEqual(bench.consumer.commits, ["0:1", "0:3"]);
      await bench.stop();
      assert.deepEqual(bench.consumer.commits, ["0:1", "0:3"]);
    });

    it("go at once when they are forced", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      bench.consumer.send(P0, "a");
      await bench.settle();
      bench.chain.commit(new Map(), { force: true });
      await bench.settle();
      assert.deepEqual(bench.consumer.commits, ["0:1"]);
      await bench.stop();
    });

    it("end the processor when they fail", async () => {
      await using bench = new Bench({ commitPolicy: IMMEDIATE });
      await bench.start(P0);
      const failure = new Error("coordinator gone for good");
      bench.consumer.onCommit = () => {
        throw failure;
      };
      bench.consumer.send(P0, "a");
      await bench.settle();
      assert.equal(bench.ended?.error, failure);
      assert.deepEqual(bench.chain.calls, ["terminate"]);
      assert.equal(bench.metrics.count(MetricName.COMMIT_STATUS, { status: "error" }), 2);
    });
  });

  describe("back-pressure", () => {
    it("keeps a rejected message and those behind it, and goes on polling for the group's sake", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      bench.chain.reject(Infinity);
      bench.consumer.send(P0, "a", "b", "c");
      await bench.settle();
      bench.consumer.polls.length = 0;
      await bench.advance(1_000);
      const { polls } = bench.consumer;
      assert.ok(polls.length >= 10, `${polls.length} polls in a second`);
      assert.ok(polls.every(({ maxMessages }) => maxMessages === 0));
      assert.deepEqual(bench.chain.payloads, []);
      bench.chain.reject(0);
      await bench.advance(20);
      assert.deepEqual(bench.chain.payloads, ["a", "b", "c"]);
      bench.consumer.send(P0, "d");
      await bench.settle();
      assert.deepEqual(bench.chain.payloads, ["a", "b", "c", "d"]);
      await bench.stop();
    });

    it("tries again within a turn of the event loop when a strategy asks for a poll", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      bench.chain.reject(Infinity);
      bench.consumer.send(P0, "a");
      await bench.advance(500);
      bench.chain.reject(0);
      bench.chain.runtime!.wake();
      await bench.settle();
      assert.deepEqual(bench.chain.payloads, ["a"]);
      await bench.stop();
    });

    it("tries again a few milliseconds later when nobody asks, as for a function that rejects", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      let asked = 0;
      bench.chain.onSubmit = () => {
        if (++asked <= 5) throw MESSAGE_REJECTED;
      };
      bench.consumer.send(P0, "a");
      await bench.advance(30);
      assert.deepEqual(bench.chain.payloads, ["a"]);
      await bench.stop();
    });

    it("shows in the metrics, also while it lasts", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      bench.chain.reject(Infinity);
      bench.consumer.send(P0, "a");
      await bench.advance(7_000);
      const during = bench.metrics.timings(MetricName.BACKPRESSURE_TIME);
      assert.ok(during.length >= 5 && during.every((seconds) => seconds <= 1.1));
      assert.equal(bench.metrics.count(MetricName.PAUSE), 1);
      bench.chain.reject(0);
      await bench.advance(2_000);
      const total = bench.metrics
        .timings(MetricName.BACKPRESSURE_TIME)
        .reduce((sum, seconds) => sum + seconds, 0);
      assert.ok(Math.abs(total - 7) < 0.05, `${total} s of back-pressure`);
      assert.equal(bench.metrics.count(MetricName.RESUME), 1);
      await bench.stop();
    });

    it("is no excuse for poll: a rejection that comes out of it is an error that names the strategy", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      bench.chain.onPoll = () => {
        throw MESSAGE_REJECTED;
      };
      await bench.advance(1_000);
      assert.ok(InvalidStateError.is(bench.ended?.error));
      assert.match(bench.ended.error.message, /Sink\.poll\(\)/);
    });
  });

  describe("an error of a strategy", () => {
    for (const from of ["submit", "poll"] as const) {
      it(`from ${from} ends the processor with that very error, and commits what was done before`, async () => {
        await using bench = new Bench();
        await bench.start(P0);
        const broken = new Error("disk full");
        bench.consumer.send(P0, "a");
        await bench.settle();
        bench.chain[from === "submit" ? "onSubmit" : "onPoll"] = () => {
          throw broken;
        };
        bench.consumer.send(P0, "b", "c");
        await bench.advance(1_000);
        assert.equal(bench.ended?.error, broken);
        assert.deepEqual(bench.chain.calls, ["terminate"]);
        assert.equal(bench.consumer.committed.get(P0), from === "submit" ? 1 : 3);
        assert.deepEqual(bench.consumer.calls, ["subscribe", "close"]);
        assert.equal(bench.factory.shutdowns, 1);
      });
    }

    it("while the consumer hangs still ends the processor in time", async () => {
      await using bench = new Bench();
      bench.consumer.onCommit = () => new Promise(() => {});
      bench.consumer.onClose = () => new Promise(() => {});
      await bench.start(P0);
      bench.consumer.send(P0, "a");
      await bench.settle();
      const broken = new Error("disk full");
      bench.chain.onSubmit = () => {
        throw broken;
      };
      bench.consumer.send(P0, "b");
      await bench.advance(4_500);
      assert.equal(bench.ended?.error, broken);
      assert.equal(bench.factory.shutdowns, 1);
    });

    it("does not hide behind one from terminate, close or shutdown", async () => {
      await using bench = new Bench();
      await bench.start(P0);
      const broken = new Error("the first");
      bench.chain.onSubmit = () => {
        throw broken;
      };
      bench.chain.terminate = () => {
        throw new Error("from terminate");
      };
      bench.consumer.onClose = () => {
        throw new Error("from close");
      };
      bench.factory.shutdown = () => {
        throw new Error("from shutdown");
      };
      bench.consumer.send(P0, "a");
      await bench.settle();
      assert.equal(bench.ended?.error, broken);
      assert.ok(bench.logger.has("A strategy threw while it was terminated."));
      assert.ok(bench.logger.has("Failed to close the consumer."));
      assert.ok(bench.logger.has("Failed to shut the factory down."));
    });
  });

  it("passes metrics on once a second, times in seconds", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    await bench.advance(10_000);
    const polls = bench.metrics.timings(MetricName.POLL_TIME);
    assert.ok(polls.length >= 9 && polls.length <= 10, `${polls.length} reports in ten seconds`);
    assert.ok(polls.reduce((sum, seconds) => sum + seconds, 0) > 8);
    assert.equal(bench.metrics.count(MetricName.PARTITIONS_ASSIGNED), 1);
    assert.equal(bench.metrics.timings(MetricName.CREATE_STRATEGY).length, 1);
    assert.equal(
      bench.metrics.timings(MetricName.CALLBACK, { callback_name: "on_partitions_assigned" }).length,
      1,
    );
    await bench.stop();
    assert.ok(bench.metrics.timings(MetricName.SHUTDOWN_TIME).length > 0);
    assert.equal(bench.metrics.timings(MetricName.CLOSE_STRATEGY).length, 1);
  });
});
