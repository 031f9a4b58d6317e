import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CommitPolicy, IMMEDIATE } from "../../src/commit/policy.ts";
import { InvalidMessage, InvalidStateError, MESSAGE_REJECTED } from "../../src/errors.ts";
import type { Message } from "../../src/message/message.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { FilterStep } from "../../src/strategies/filter-step.ts";
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
  turn,
} from "./fixtures.ts";

const NEVER = new CommitPolicy({});

const truthy = (message: Message<boolean>): boolean => message.payload;

describe("FilterStep", () => {
  it("hands on what the predicate lets pass, and drops the rest", () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep(truthy, sink, { commitPolicy: NEVER });
    for (const [offset, payload] of [true, false, true, false].entries()) step.submit(at(payload, offset));
    step.poll();
    assert.deepEqual(sink.described, ["true -> 0:1", "true -> 0:3"]);
  });

  it("passes on what was filtered further up, without asking the predicate", () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep<boolean>((): boolean => assert.fail("asked"), sink);
    step.submit(filteredAt(0));
    assert.deepEqual(sink.described, ["- -> 0:1"]);
  });

  it("commits what was dropped in the processor's rhythm, from poll, on a topic that is all filtered", () => {
    const sink = new Sink<boolean>();
    const runtime = new TestRuntime(new CommitPolicy({ everyMs: 1_000 }));
    const step = new FilterStep(truthy, sink);
    attach(step, runtime);
    step.submit(at(false, 0));
    step.submit(at(false, 7, P1));
    step.submit(at(false, 1));
    step.poll();
    assert.deepEqual(sink.messages, []);
    assert.ok(runtime.wakesAt.includes(1_000), "asks to be polled when the commit is due");
    runtime.clock.advance(1_000);
    step.poll();
    assert.deepEqual(sink.described, ["- -> 0:2, 1:8"]);
    runtime.clock.advance(5_000);
    step.poll();
    assert.equal(sink.messages.length, 1, "nothing new, nothing to commit");
  });

  it("commits what was dropped by the number of messages, right when they are dropped", () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep(truthy, sink, { commitPolicy: new CommitPolicy({ everyMessages: 3 }) });
    step.submit(at(false, 0, P1));
    step.submit(at(false, 0));
    assert.deepEqual(sink.messages, []);
    step.submit(at(false, 1));
    assert.deepEqual(sink.described, ["- -> 1:1, 0:2"]);
    step.submit(at(false, 2));
    step.submit(at(false, 3));
    assert.equal(sink.messages.length, 1);
    step.submit(at(false, 4));
    assert.deepEqual(sink.described.slice(1), ["- -> 0:5"]);
  });

  it("lets a message that passes commit what was dropped before it", () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep(truthy, sink, { commitPolicy: new CommitPolicy({ everyMessages: 3 }) });
    for (const [offset, payload] of [true, false, true, false, true, false].entries()) {
      step.submit(at(payload, offset));
    }
    assert.deepEqual(sink.described, ["true -> 0:1", "true -> 0:3", "- -> 0:4", "true -> 0:5"]);
  });

  it("keeps apart what the partitions of a derived message have dropped", () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep(truthy, sink, { commitPolicy: IMMEDIATE });
    const both = [
      [P0, 4],
      [P1, 9],
    ] as const;
    step.submit(derived(false, both));
    step.submit(derived(true, both));
    assert.deepEqual(sink.described, ["- -> 0:4, 1:9", "true -> 0:4, 1:9"]);
  });

  it("asks the predicate once about a message that the next step rejects", () => {
    const sink = new Sink<boolean>();
    let asked = 0;
    const step = new FilterStep<boolean>(() => ++asked > 0, sink);
    const message = at(true, 0);
    sink.reject(2);
    for (let i = 0; i < 2; i++) {
      assert.equal(
        thrownBy(() => step.submit(message)),
        MESSAGE_REJECTED,
      );
    }
    step.submit(message);
    step.submit(at(true, 1));
    assert.equal(asked, 2);
    assert.deepEqual(sink.described, ["true -> 0:1", "true -> 0:2"]);
  });

  it("keeps the offsets that the next step rejected, ahead of what comes after", () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep(truthy, sink, { commitPolicy: IMMEDIATE });
    sink.reject(2);
    step.submit(at(false, 0));
    assert.equal(
      thrownBy(() => step.submit(at(true, 1))),
      MESSAGE_REJECTED,
    );
    step.submit(at(true, 1));
    assert.deepEqual(sink.described, ["- -> 0:1", "true -> 0:2"]);
  });

  it("commits a message that the predicate finds invalid like one that it dropped", () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep(
      (message: Message<boolean>) => {
        if (!message.payload) throw InvalidMessage.from(message);
        return true;
      },
      sink,
      { commitPolicy: NEVER },
    );
    const error = thrownBy(() => step.submit(at(false, 0)));
    assert.ok(InvalidMessage.is(error) && !error.needsCommit);
    step.close();
    return step.join(noDeadline()).then(() => assert.deepEqual(sink.described, ["- -> 0:1"]));
  });

  it("takes over the commit of a message that the next step finds invalid", async () => {
    const sink = new Sink<boolean>();
    sink.onSubmit = (message) => {
      if (message === bad) throw invalid(bad);
    };
    const bad = at(true, 0);
    const step = new FilterStep(truthy, sink, { commitPolicy: NEVER });
    const error = thrownBy(() => step.submit(bad));
    assert.ok(InvalidMessage.is(error) && !error.needsCommit);
    step.close();
    await step.join(noDeadline());
    assert.deepEqual(sink.described, ["- -> 0:1"]);
  });

  it("counts what it dropped, once per poll", () => {
    const runtime = new TestRuntime();
    const step = new FilterStep(truthy, new Sink<boolean>());
    attach(step, runtime);
    for (let offset = 0; offset < 5; offset++) step.submit(at(offset === 0, offset));
    step.poll();
    assert.equal(runtime.metrics.count(MetricName.FILTER_DROPPED), 4);
    assert.equal(runtime.metrics.calls.length, 1);
  });

  it("refuses a predicate that returns a promise", async () => {
    const step = new FilterStep(
      (() => Promise.reject(new Error("late"))) as unknown as () => boolean,
      new Sink(),
    );
    assert.ok(InvalidStateError.is(thrownBy(() => step.submit(at(true, 0)))));
    await turn();
  });

  it("forwards at join what is still to be committed, and waits while that is rejected", async () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep(truthy, sink, { commitPolicy: NEVER });
    step.submit(at(false, 0));
    step.submit(at(false, 1));
    sink.reject(2);
    step.close();
    const joined = step.join(noDeadline());
    await turn();
    step.poll();
    await joined;
    assert.deepEqual(sink.described, ["- -> 0:2"]);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("forwards at join what was dropped behind something that the next step had rejected", async () => {
    const sink = new Sink<boolean>();
    const step = new FilterStep(truthy, sink, { commitPolicy: IMMEDIATE });
    sink.reject(1);
    step.submit(at(false, 0));
    step.submit(at(false, 1));
    sink.reject(0);
    step.close();
    await step.join(noDeadline());
    assert.deepEqual(sink.described, ["- -> 0:1", "- -> 0:2"]);
  });
});
