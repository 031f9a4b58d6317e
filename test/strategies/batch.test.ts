import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigurationError, InvalidMessage, MESSAGE_REJECTED } from "../../src/errors.ts";
import type { Message } from "../../src/message/message.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { BatchStep, type BatchOptions } from "../../src/strategies/batch.ts";
import { Noop } from "../../src/strategies/noop.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import type { ProcessingStrategy } from "../../src/strategies/strategy.ts";
import {
  P0,
  P1,
  Sink,
  TestRuntime,
  at,
  attach,
  derived,
  filteredAt,
  invalid,
  noDeadline,
  thrownBy,
} from "./fixtures.ts";

type Batch = readonly Message<string>[];

/** A batch in short: payloads, and what it commits. */
function batches(sink: Sink<Batch>): string[] {
  return sink.messages.map((message) => {
    const payload = Array.isArray(message.payload)
      ? (message.payload as Batch).map((item) => item.payload).join("")
      : "-";
    const offsets = [...message.committable].map(([partition, offset]) => `${partition.index}:${offset}`);
    return `${payload} -> ${offsets.join(", ")}`;
  });
}

function setUp(options: Partial<BatchOptions<string>> = {}) {
  const sink = new Sink<Batch>();
  const runtime = new TestRuntime();
  const step = new BatchStep<string>({ maxBatchSize: 3, maxBatchTimeMs: 1_000, ...options }, sink);
  attach(step, runtime);
  return { sink, runtime, step };
}

describe("BatchStep", () => {
  it("hands a batch on as soon as it is full, without a poll", () => {
    const { sink, step } = setUp();
    for (const [i, payload] of Array.from("abcdefg").entries()) step.submit(at(payload, i));
    assert.deepEqual(batches(sink), ["abc -> 0:3", "def -> 0:6"]);
  });

  it("keeps the messages as they came, and takes the time of the last one", () => {
    const { sink, step } = setUp();
    const messages = [at("a", 0), at("b", 1), at("c", 7, P1)];
    for (const message of messages) step.submit(message);
    assert.deepEqual(sink.messages[0]?.payload, messages);
    assert.equal(sink.messages[0]?.timestampMs, 1_007);
    assert.equal(sink.messages[0]?.partition, undefined);
  });

  it("commits the union of what went in, the highest of each partition", () => {
    const { sink, step } = setUp({ maxBatchSize: 5 });
    step.submit(at("a", 3));
    step.submit(at("b", 8, P1));
    step.submit(
      derived("c", [
        [P0, 5],
        [P1, 2],
      ]),
    );
    step.submit(at("d", 5));
    step.submit(at("e", 9, P1));
    assert.deepEqual(batches(sink), ["abcde -> 0:6, 1:10"]);
  });

  it("hands a batch on when its time since the first message is over, and asks to be polled then", () => {
    const { sink, runtime, step } = setUp();
    runtime.clock.advance(50);
    step.submit(at("a", 0));
    assert.equal(runtime.wakesAt.at(-1), 1_050);
    runtime.clock.advance(999);
    step.submit(at("b", 1));
    step.poll();
    assert.deepEqual(batches(sink), []);
    runtime.clock.advance(1);
    step.poll();
    assert.deepEqual(batches(sink), ["ab -> 0:2"]);
  });

  it("asks for one poll at a time, however many batches come and go, and that one asks for the next", () => {
    const { sink, runtime, step } = setUp({ maxBatchSize: 2 });
    for (let i = 0; i < 5; i++) {
      step.submit(at("a", i));
      runtime.clock.advance(100);
    }
    assert.deepEqual(runtime.wakesAt, [1_000]);
    runtime.clock.advance(500);
    step.poll();
    assert.deepEqual(runtime.wakesAt, [1_000, 1_400]);
    runtime.clock.advance(400);
    step.poll();
    assert.deepEqual(batches(sink), ["aa -> 0:2", "aa -> 0:4", "a -> 0:5"]);
  });

  it("hands a batch on when no message has come for a while", () => {
    const { sink, runtime, step } = setUp({ maxIdleTimeMs: 100 });
    step.submit(at("a", 0));
    runtime.clock.advance(80);
    step.submit(at("b", 1));
    runtime.clock.advance(80);
    step.poll();
    assert.deepEqual(batches(sink), []);
    assert.equal(runtime.wakesAt.at(-1), 180);
    runtime.clock.advance(20);
    step.poll();
    assert.deepEqual(batches(sink), ["ab -> 0:2"]);
  });

  it("does not wait longer than its time for a batch to which messages keep coming", () => {
    const { sink, runtime, step } = setUp({ maxIdleTimeMs: 600, maxBatchSize: 10 });
    for (let i = 0; i < 3; i++) {
      step.submit(at("a", i));
      runtime.clock.advance(500);
      step.poll();
    }
    assert.deepEqual(batches(sink), ["aa -> 0:2"]);
  });

  it("counts sizes of one's own, and closes a batch of size 0 by time too", () => {
    const { sink, runtime, step } = setUp({
      maxBatchSize: 5,
      computeBatchSize: (message) => message.payload.length,
    });
    step.submit(at("aa", 0));
    step.submit(at("bb", 1));
    step.submit(at("c", 2));
    assert.deepEqual(batches(sink), ["aabbc -> 0:3"]);
    step.submit(at("", 3));
    runtime.clock.advance(1_000);
    step.poll();
    assert.deepEqual(batches(sink), ["aabbc -> 0:3", " -> 0:4"]);
  });

  it("passes a filtered message at once when nothing is collected, else with the open batch", () => {
    const { sink, step } = setUp();
    step.submit(filteredAt(0));
    assert.deepEqual(batches(sink), ["- -> 0:1"]);
    step.submit(at("a", 1));
    step.submit(filteredAt(2));
    step.submit(filteredAt(4, P1));
    step.submit(at("b", 3));
    assert.deepEqual(batches(sink), ["- -> 0:1"]);
    step.submit(at("c", 4));
    assert.deepEqual(batches(sink), ["- -> 0:1", "abc -> 0:5, 1:5"]);
  });

  it("holds parts that commit nothing as it holds everything else", async () => {
    const { sink, runtime, step } = setUp();
    step.submit(derived("a", []));
    step.submit(filteredAt(0, P1));
    assert.deepEqual(batches(sink), []);
    runtime.clock.advance(1_000);
    step.poll();
    assert.deepEqual(batches(sink), ["a -> 1:1"]);
    step.submit(derived("b", []));
    step.close();
    await step.join(noDeadline());
    assert.deepEqual(batches(sink), ["a -> 1:1", "b -> "]);
  });

  it("keeps a batch that the next step rejects, and takes nothing until it is gone", () => {
    const { sink, step } = setUp({ maxBatchSize: 2 });
    sink.reject(3);
    step.submit(at("a", 0));
    step.submit(at("b", 1));
    assert.equal(
      thrownBy(() => step.submit(at("c", 2))),
      MESSAGE_REJECTED,
    );
    assert.equal(
      thrownBy(() => step.submit(filteredAt(2))),
      MESSAGE_REJECTED,
    );
    assert.deepEqual(batches(sink), []);
    step.submit(at("c", 2));
    assert.deepEqual(batches(sink), ["ab -> 0:2"]);
    step.submit(at("d", 3));
    assert.deepEqual(batches(sink), ["ab -> 0:2", "cd -> 0:4"]);
  });

  it("polls the next step, with a batch open and with one rejected", () => {
    const { sink, step } = setUp({ maxBatchSize: 2 });
    step.poll();
    step.submit(at("a", 0));
    step.poll();
    sink.reject(2);
    step.submit(at("b", 1));
    step.poll();
    assert.equal(sink.polls, 3);
    step.poll();
    assert.deepEqual(batches(sink), ["ab -> 0:2"]);
  });

  it("hands on what is left when it is joined", async () => {
    const { sink, step } = setUp();
    step.submit(at("a", 0));
    step.close();
    await step.join(noDeadline());
    assert.deepEqual(batches(sink), ["a -> 0:1"]);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("offers what is left again during a join, until the next step takes it", async () => {
    const { sink, step } = setUp();
    step.submit(at("a", 0));
    sink.reject(2);
    step.close();
    const joined = step.join(noDeadline());
    step.poll();
    assert.deepEqual(sink.calls, []);
    step.poll();
    await joined;
    assert.deepEqual(batches(sink), ["a -> 0:1"]);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("gives up what it cannot get rid of at the deadline of the join", async () => {
    const { sink, step } = setUp();
    step.submit(at("a", 0));
    sink.reject(Infinity);
    step.close();
    const deadline = new AbortController();
    const joined = step.join(deadline.signal);
    deadline.abort();
    await joined;
    assert.deepEqual(batches(sink), []);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("drops what it holds when it is terminated in the middle of a join", async () => {
    const { sink, step } = setUp();
    step.submit(at("a", 0));
    sink.reject(Infinity);
    step.close();
    const joined = step.join(noDeadline());
    step.terminate();
    await joined;
    assert.deepEqual(batches(sink), []);
    assert.deepEqual(sink.calls, ["terminate"]);
  });

  it("leaves a message out of its batch that a step behind it finds invalid; the rest goes on, the commit covers it", () => {
    const { sink, runtime, step } = setUp();
    sink.onSubmit = (message) => {
      const bad = (message.payload as Batch).find((item) => item.payload === "b");
      if (bad !== undefined) throw InvalidMessage.from(bad, { reason: "b" });
    };
    step.submit(at("a", 0));
    step.submit(at("b", 1));
    step.submit(at("c", 2));
    assert.ok(runtime.wakes > 0);
    const error = thrownBy(() => step.poll());
    assert.ok(InvalidMessage.is(error));
    assert.equal(error.offset, 1);
    assert.equal(error.needsCommit, false);
    step.poll();
    step.poll();
    assert.deepEqual(batches(sink), ["ac -> 0:3"]);
  });

  it("reports what is invalid before it takes the next message", () => {
    const { sink, step } = setUp({ maxBatchSize: 1 });
    sink.onSubmit = (message) => {
      if (Array.isArray(message.payload)) throw InvalidMessage.from((message.payload as Batch)[0]!);
    };
    step.submit(at("a", 0));
    const error = thrownBy(() => step.submit(at("b", 1)));
    assert.ok(InvalidMessage.is(error));
    assert.equal(error.offset, 0);
    sink.onSubmit = undefined;
    step.submit(at("b", 1));
    assert.deepEqual(batches(sink), ["- -> 0:1", "b -> 0:2"]);
  });

  it("goes on with a filtered message when every message of a batch is invalid, also in a join", async () => {
    const { sink, step } = setUp({ maxBatchSize: 10 });
    const chain: ProcessingStrategy<string> = step;
    sink.onSubmit = (message) => {
      if (Array.isArray(message.payload)) throw InvalidMessage.from((message.payload as Batch)[0]!);
    };
    chain.submit(at("a", 0));
    chain.submit(at("b", 1));
    chain.close();
    const offsets: number[] = [];
    for (let joined = false; !joined;) {
      await chain.join(noDeadline()).then(
        () => (joined = true),
        (error: unknown) => {
          assert.ok(InvalidMessage.is(error));
          offsets.push(error.offset);
        },
      );
    }
    assert.deepEqual(offsets, [0, 1]);
    assert.deepEqual(batches(sink), ["- -> 0:2"]);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("goes together with a RunTask that finds one item invalid", () => {
    const sink = new Sink<string>();
    const task = new RunTask((batch: Message<Batch>) => {
      for (const item of batch.payload) if (item.payload === "x") throw InvalidMessage.from(item);
      return batch.payload.map((item) => item.payload).join("");
    }, sink);
    const step = new BatchStep<string>({ maxBatchSize: 3, maxBatchTimeMs: 1_000 }, task);
    step.submit(at("a", 0));
    step.submit(at("x", 1));
    step.submit(at("b", 2));
    const error = thrownBy(() => step.poll());
    assert.ok(InvalidMessage.is(error) && error.offset === 1 && !error.needsCommit);
    step.poll();
    assert.deepEqual(sink.described, ['"ab" -> 0:3']);
  });

  it("lets a message that computeBatchSize finds invalid be committed in its turn", () => {
    const bad = at("x", 1);
    const { sink, step } = setUp({
      maxBatchSize: 2,
      computeBatchSize: (message) => {
        if (message.payload === "x") throw invalid(bad);
        return 1;
      },
    });
    step.submit(at("a", 0));
    const error = thrownBy(() => step.submit(bad));
    assert.ok(InvalidMessage.is(error) && !error.needsCommit);
    step.submit(at("b", 2));
    assert.deepEqual(batches(sink), ["ab -> 0:3"]);
  });

  it("notes how long a batch took, once a second at most", () => {
    const { runtime, step } = setUp();
    for (let i = 0; i < 6; i++) {
      step.submit(at("a", i));
      runtime.clock.advance(200);
      step.poll();
    }
    assert.deepEqual(runtime.metrics.timings(MetricName.BATCH_TIME, { strategy: "BatchStep" }), [0.4]);
  });

  it("infers what is batched from the next step", () => {
    const task = new RunTask(
      (batch: Message<readonly Message<{ id: number }>[]>) => batch.payload.length,
      new Noop(),
    );
    const step: ProcessingStrategy<{ id: number }> = new BatchStep(
      { maxBatchSize: 3, maxBatchTimeMs: 1_000 },
      task,
    );
    step.submit(at({ id: 1 }, 0));
    // @ts-expect-error: the next step takes batches of ids
    step.submit(at("1", 0));
  });

  for (const [name, options] of [
    ["maxBatchSize", { maxBatchSize: 0 }],
    ["maxBatchSize", { maxBatchSize: NaN }],
    ["maxBatchTimeMs", { maxBatchTimeMs: -1 }],
    ["maxIdleTimeMs", { maxIdleTimeMs: NaN }],
  ] as const) {
    it(`refuses ${JSON.stringify(options)} and names it`, () => {
      assert.throws(
        () => setUp(options),
        (error) => error instanceof ConfigurationError && error.message.includes(`BatchStep: ${name}`),
      );
    });
  }

  it("takes a batch of 10,000 without going through it again and again", () => {
    const sink = new Sink<Batch>();
    let compared = 0;
    class Counted {
      get payload(): string {
        compared++;
        return "a";
      }
    }
    const step = new BatchStep<string>({ maxBatchSize: 10_000, maxBatchTimeMs: 1_000 }, sink);
    for (let i = 0; i < 10_000; i++) {
      step.submit(
        Object.assign(new Counted(), { partition: P0, offset: i, nextOffset: i + 1 }) as Message<string>,
      );
    }
    assert.equal(sink.messages.length, 1);
    assert.ok(compared <= 20_000, `each message was looked at ${compared / 10_000} times`);
  });
});
