import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvalidMessage, MESSAGE_REJECTED } from "../../src/errors.ts";
import type { Message } from "../../src/message/message.ts";
import { BatchStep } from "../../src/strategies/batch.ts";
import { FilterStep } from "../../src/strategies/filter-step.ts";
import { StrategyGuard } from "../../src/strategies/guard.ts";
import { Produce } from "../../src/strategies/produce.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import type { ProcessingStrategy } from "../../src/strategies/strategy.ts";
import { UnbatchStep } from "../../src/strategies/unbatch.ts";
import { part, Unfold } from "../../src/strategies/unfold.ts";
import { P0, Sink, TestRuntime, at, attach, filteredAt, noDeadline, thrownBy, turn } from "./fixtures.ts";

// What the properties of chains brought to light, one test for each fault.

type Batch = readonly Message<string>[];

const ONE = { maxBatchSize: 1, maxBatchTimeMs: 1_000 };

/** Finds the message `x` invalid. */
function refusesX(message: Message<string>): string {
  if (message.payload === "x") throw InvalidMessage.from(message);
  return message.payload;
}

/** A strategy that only has a submit of its own. */
function but(
  next: ProcessingStrategy<string>,
  submit: ProcessingStrategy<string>["submit"],
): ProcessingStrategy<string> {
  return {
    submit,
    poll: () => next.poll(),
    close: () => next.close(),
    terminate: () => next.terminate(),
    join: (deadline) => next.join(deadline),
  };
}

/** Polls until nothing is reported any more, and returns the offsets that were. */
async function reportedBy(chain: ProcessingStrategy<never>): Promise<number[]> {
  const offsets: number[] = [];
  for (let quiet = 0; quiet < 3; quiet++) {
    await turn();
    const error = thrownBy(() => chain.poll());
    if (error === undefined) continue;
    assert.ok(InvalidMessage.is(error));
    offsets.push(error.offset);
    assert.ok(offsets.length < 10, "reported for ever");
    quiet = 0;
  }
  return offsets;
}

describe("chains", () => {
  it("leave an invalid message out of its batch also behind a step that holds batches", async () => {
    const sink = new Sink<string>();
    const join = new RunTask(
      (batch: Message<Batch>) => batch.payload.map((item) => refusesX(item)).join(""),
      sink,
    );
    const producer = { produce: async () => ({ partition: P0, offset: 0, timestampMs: 0 }) };
    const chain = new BatchStep<string>(
      { maxBatchSize: 3, maxBatchTimeMs: 1_000 },
      new Produce<Batch>({ producer, topic: "out" }, join),
    );
    attach(chain);
    for (const [i, payload] of ["a", "x", "b"].entries()) chain.submit(at(payload, i));
    assert.deepEqual(await reportedBy(chain), [1]);
    assert.deepEqual(sink.described, ['"ab" -> 0:3']);
  });

  it("leave an invalid message out of a batch that is a part", async () => {
    const sink = new Sink<Batch>();
    sink.onSubmit = (message) => {
      if (Array.isArray(message.payload)) for (const item of message.payload as Batch) refusesX(item);
    };
    const chain = new BatchStep<string>(
      { maxBatchSize: 2, maxBatchTimeMs: 1_000 },
      new Unfold((batch: Message<Batch>) => [part(batch.payload)], sink),
    );
    attach(chain);
    chain.submit(at("a", 0));
    chain.submit(at("x", 1));
    assert.deepEqual(await reportedBy(chain), [1]);
    assert.deepEqual(
      sink.messages.map((message) => [(message.payload as Batch).length, message.committable.get(P0)]),
      [[1, 2]],
    );
  });

  it("do not go back behind an invalid message with what a filter dropped before it", async () => {
    const sink = new Sink<string>();
    const second = new FilterStep<string>((message) => refusesX(message) !== "", sink);
    const first = new FilterStep<string>((message) => message.payload !== "-", second);
    attach(first);
    first.submit(at("-", 0));
    assert.ok(InvalidMessage.is(thrownBy(() => first.submit(at("x", 1)))));
    first.close();
    await first.join(noDeadline());
    assert.deepEqual(sink.described, ["- -> 0:2"]);
  });

  it("ask a filter once about a message that is rejected, also when a filtered one comes between two tries", () => {
    const sink = new Sink<string>();
    const asked: string[] = [];
    const second = new FilterStep<string>((message) => asked.push(message.payload) > 0, sink);
    attach(second);
    const message = at("a", 3);
    sink.reject(1);
    assert.equal(
      thrownBy(() => second.submit(message)),
      MESSAGE_REJECTED,
    );
    second.submit(filteredAt(2));
    second.submit(message);
    assert.deepEqual(asked, ["a"]);
    assert.deepEqual(sink.described, ["- -> 0:3", '"a" -> 0:4']);
  });

  it("commit nothing past an invalid message before it is reported", () => {
    const sink = new Sink<string>();
    const chain = new BatchStep<string>(ONE, new UnbatchStep(new RunTask(refusesX, sink)));
    const runtime = new TestRuntime();
    attach(chain, runtime);
    sink.reject(1);
    chain.submit(at("a", 0));
    chain.submit(at("x", 1));
    const error = thrownBy(() => chain.poll());
    assert.ok(InvalidMessage.is(error) && error.offset === 1);
    assert.deepEqual(sink.described, ['"a" -> 0:1']);
    chain.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', "- -> 0:2"]);
  });

  it("commit nothing past it either when the word comes back to what a guard passes on", () => {
    const sink = new Sink<string>();
    const refusesY = (message: Message<string>): string => {
      if (message.payload === "y") throw InvalidMessage.from(message);
      return message.payload;
    };
    const chain = new StrategyGuard<string, string>(
      (next) => but(next, (message) => next.submit(message.replace(refusesY(message as Message<string>)))),
      new BatchStep<string>(ONE, new UnbatchStep(new RunTask(refusesX, sink))),
    );
    attach(chain);
    chain.submit(at("x", 0));
    assert.equal((thrownBy(() => chain.submit(at("y", 1))) as InvalidMessage).offset, 1);
    assert.equal((thrownBy(() => chain.poll()) as InvalidMessage).offset, 0);
    assert.deepEqual(sink.described, []);
    chain.poll();
    assert.deepEqual(sink.described, ["- -> 0:1", "- -> 0:2"]);
  });

  it("report an invalid message in a join whose deadline has passed already", async () => {
    const sink = new Sink<string>();
    const chain = new BatchStep<string>(ONE, new UnbatchStep(new RunTask(refusesX, sink)));
    attach(chain);
    chain.submit(at("x", 0));
    chain.close();
    await assert.rejects(chain.join(AbortSignal.abort()), (error) => InvalidMessage.is(error));
    assert.deepEqual(sink.described, []);
    await chain.join(AbortSignal.abort());
    assert.deepEqual(sink.described, ["- -> 0:1"]);
  });
});
