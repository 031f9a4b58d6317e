import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigurationError, InvalidMessage, InvalidStateError } from "../../src/errors.ts";
import type { Message } from "../../src/message/message.ts";
import { Noop } from "../../src/strategies/noop.ts";
import { Reduce } from "../../src/strategies/reduce.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import { Sink, TestRuntime, at, attach, filteredAt, noDeadline, thrownBy } from "./fixtures.ts";

const LIMITS = { maxBatchSize: 3, maxBatchTimeMs: 1_000 };

function sum(total: number, message: Message<number>): number {
  if (message.payload < 0) throw InvalidMessage.from(message, { reason: "negative" });
  return total + message.payload;
}

function setUp() {
  const sink = new Sink<number>();
  const runtime = new TestRuntime();
  const step = new Reduce({ ...LIMITS, accumulator: sum, initialValue: () => 0 }, sink);
  attach(step, runtime);
  return { sink, runtime, step };
}

describe("Reduce", () => {
  it("makes one message of many, from a fresh value each time", () => {
    const { sink, step } = setUp();
    for (let i = 0; i < 6; i++) step.submit(at(i, i));
    assert.deepEqual(sink.described, ["3 -> 0:3", "12 -> 0:6"]);
  });

  it("closes a batch by time", () => {
    const { sink, runtime, step } = setUp();
    step.submit(at(4, 0));
    runtime.clock.advance(1_000);
    step.poll();
    assert.deepEqual(sink.described, ["4 -> 0:1"]);
  });

  it("commits an invalid message with the open batch", () => {
    const { sink, step } = setUp();
    step.submit(at(1, 0));
    const error = thrownBy(() => step.submit(at(-1, 1)));
    assert.ok(InvalidMessage.is(error) && error.offset === 1 && !error.needsCommit);
    step.submit(at(2, 2));
    step.submit(at(3, 3));
    assert.deepEqual(sink.described, ["6 -> 0:4"]);
  });

  it("commits an invalid message in its place when no batch is open", () => {
    const { sink, runtime, step } = setUp();
    sink.reject(1);
    assert.ok(InvalidMessage.is(thrownBy(() => step.submit(at(-1, 0)))));
    assert.ok(runtime.wakes > 0);
    step.poll();
    step.poll();
    assert.deepEqual(sink.described, ["- -> 0:1"]);
  });

  it("commits a batch whose last message is an invalid one", async () => {
    const { sink, step } = setUp();
    step.submit(at(1, 0));
    assert.ok(InvalidMessage.is(thrownBy(() => step.submit(at(-1, 1)))));
    step.submit(filteredAt(2));
    step.close();
    await step.join(noDeadline());
    assert.deepEqual(sink.described, ["1 -> 0:3"]);
  });

  it("lets the accumulator's own errors through", () => {
    const failure = new Error("no");
    const step = new Reduce(
      {
        ...LIMITS,
        initialValue: () => 0,
        accumulator: (): number => {
          throw failure;
        },
      },
      new Noop(),
    );
    assert.equal(
      thrownBy(() => step.submit(at(1, 0))),
      failure,
    );
  });

  it("says so when a step behind it wants one message out of the value, after having reported it", () => {
    const bad = at(7, 1);
    const task = new RunTask((total: Message<number>): number => {
      if (total.payload > 5) throw InvalidMessage.from(bad);
      return total.payload;
    }, new Sink<number>());
    const step = new Reduce({ ...LIMITS, accumulator: sum, initialValue: () => 0 }, task);
    step.submit(at(1, 0));
    step.submit(bad);
    step.submit(at(1, 2));
    assert.ok(InvalidMessage.is(thrownBy(() => step.poll())));
    const error = thrownBy(() => step.poll());
    assert.ok(InvalidStateError.is(error));
    assert.match(error.message, /Reduce.*orders:0 offset 1.*BatchStep/);
    assert.ok(InvalidMessage.is(error.cause));
  });

  it("refuses async functions, in types and at run time", () => {
    const next = new Sink<number>();
    // @ts-expect-error: a promise is no value
    const step = new Reduce({ ...LIMITS, initialValue: () => 0, accumulator: async () => 1 }, next);
    assert.throws(
      () => step.submit(at(1, 0)),
      (error) => InvalidStateError.is(error) && error.message.includes("Reduce returned a promise"),
    );
    assert.throws(
      // @ts-expect-error: a promise is no value
      () => new Reduce({ ...LIMITS, initialValue: async () => 0, accumulator: sum }, next),
      (error) => InvalidStateError.is(error),
    );
  });

  it("infers what it makes, and refuses a next step for something else", () => {
    const next = new Sink<Map<string, number>>();
    new Reduce(
      {
        ...LIMITS,
        initialValue: () => new Map<string, number>(),
        accumulator: (counts, message: Message<string>) =>
          counts.set(message.payload, (counts.get(message.payload) ?? 0) + 1),
      },
      next,
    );
    new Reduce(
      {
        ...LIMITS,
        initialValue: () => "",
        accumulator: (text: string, message: Message<string>) => text + message.payload,
      },
      // @ts-expect-error: the next step takes maps
      next,
    );
  });

  it("refuses a limit that is none, and names it", () => {
    assert.throws(
      () =>
        new Reduce(
          { maxBatchSize: -1, maxBatchTimeMs: 1, accumulator: sum, initialValue: () => 0 },
          new Noop(),
        ),
      (error) => error instanceof ConfigurationError && error.message.includes("Reduce: maxBatchSize is -1"),
    );
  });

  it("refuses a size that is none", () => {
    const step = new Reduce(
      { ...LIMITS, accumulator: sum, initialValue: () => 0, computeBatchSize: () => NaN },
      new Noop(),
    );
    assert.throws(() => step.submit(at(1, 0)), /computeBatchSize returned NaN/);
  });
});
