import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvalidMessage, InvalidStateError, MESSAGE_REJECTED } from "../../src/errors.ts";
import { FILTERED_PAYLOAD } from "../../src/message/filtered.ts";
import type { Message } from "../../src/message/message.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import {
  P0,
  Sink,
  TestRuntime,
  at,
  attach,
  derived,
  filteredAt,
  noDeadline,
  thrownBy,
  turn,
} from "./fixtures.ts";

function double(calls: number[] = []) {
  return (message: Message<number>): number => {
    calls.push(message.payload);
    return message.payload * 2;
  };
}

describe("RunTask", () => {
  it("hands on the function's result in the message's place", () => {
    const sink = new Sink<number>();
    const step = new RunTask(double(), sink);
    step.submit(at(21, 5));
    step.submit(derived(4, [[P0, 9]]));
    assert.deepEqual(sink.described, ["42 -> 0:6", "8 -> 0:9"]);
    assert.equal(sink.messages[0]?.timestampMs, 1_005);
    assert.equal(sink.messages[0]?.partition, P0);
  });

  it("lets filtered messages go round the function", () => {
    const sink = new Sink<number>();
    const calls: number[] = [];
    const step = new RunTask(double(calls), sink);
    step.submit(at(1, 0));
    step.submit(filteredAt(1));
    step.submit(at(2, 2));
    assert.deepEqual(sink.described, ["2 -> 0:1", "- -> 0:2", "4 -> 0:3"]);
    assert.deepEqual(calls, [1, 2]);
  });

  it("runs the function once for a message that the next step rejects, and takes no other meanwhile", () => {
    const sink = new Sink<number>();
    const calls: number[] = [];
    const step = new RunTask(double(calls), sink);
    sink.reject(3);
    step.submit(at(1, 0));
    assert.equal(
      thrownBy(() => step.submit(at(2, 1))),
      MESSAGE_REJECTED,
    );
    step.poll();
    assert.deepEqual(sink.messages, []);
    step.poll();
    step.submit(at(2, 1));
    assert.deepEqual(sink.described, ["2 -> 0:1", "4 -> 0:2"]);
    assert.deepEqual(calls, [1, 2]);
  });

  it("tries what it kept again at the next submit, without waiting for a poll", () => {
    const sink = new Sink<number>();
    const step = new RunTask(double(), sink);
    sink.reject(1);
    step.submit(at(1, 0));
    step.submit(filteredAt(1));
    assert.deepEqual(sink.described, ["2 -> 0:1", "- -> 0:2"]);
  });

  it("leaves a derived message with its maker until the next step took it, but keeps its result", () => {
    const sink = new Sink<number>();
    const calls: number[] = [];
    const step = new RunTask(double(calls), sink);
    const batch = derived(3, [[P0, 3]]);
    sink.reject(2);
    assert.equal(
      thrownBy(() => step.submit(batch)),
      MESSAGE_REJECTED,
    );
    step.poll();
    assert.equal(
      thrownBy(() => step.submit(batch)),
      MESSAGE_REJECTED,
    );
    step.submit(batch);
    assert.deepEqual(sink.described, ["6 -> 0:3"]);
    assert.deepEqual(calls, [3]);
  });

  it("asks the function again about a message that it rejected", () => {
    const sink = new Sink<number>();
    let calls = 0;
    const step = new RunTask((message: Message<number>) => {
      if (++calls < 3) throw MESSAGE_REJECTED;
      return message.payload;
    }, sink);
    for (let i = 0; i < 2; i++) {
      assert.equal(
        thrownBy(() => step.submit(at(1, 0))),
        MESSAGE_REJECTED,
      );
      step.poll();
      assert.deepEqual(sink.messages, []);
    }
    step.submit(at(1, 0));
    assert.equal(calls, 3);
    assert.equal(sink.messages.length, 1);
  });

  it("reports an invalid message once, and a filtered one goes on in its place, in order", () => {
    const sink = new Sink<number>();
    const runtime = new TestRuntime();
    const step = new RunTask((message: Message<number>) => {
      if (message.payload < 0) throw InvalidMessage.from(message, { reason: "negative" });
      return message.payload;
    }, sink);
    attach(step, runtime);
    step.submit(at(1, 0));
    const error = thrownBy(() => step.submit(at(-1, 1)));
    assert.ok(InvalidMessage.is(error));
    assert.deepEqual([error.partition, error.offset, error.reason], [P0, 1, "negative"]);
    assert.equal(error.needsCommit, false, "the commit is taken care of");
    assert.equal(runtime.wakes, 1, "the filtered message must not wait for the next message");
    step.submit(at(2, 2));
    assert.deepEqual(sink.described, ["1 -> 0:1", "- -> 0:2", "2 -> 0:3"]);
  });

  it("passes the commit of an invalid message on from a poll, also under back-pressure", () => {
    const sink = new Sink<number>();
    const step = new RunTask((message: Message<number>): number => {
      throw InvalidMessage.from(message);
    }, sink);
    assert.ok(InvalidMessage.is(thrownBy(() => step.submit(at(1, 0)))));
    sink.reject(2);
    step.poll();
    assert.equal(
      thrownBy(() => step.submit(at(2, 1))),
      MESSAGE_REJECTED,
    );
    step.poll();
    assert.deepEqual(sink.described, ["- -> 0:1"]);
  });

  it("takes over the commit of a message that the next step finds invalid", () => {
    const sink = new Sink<number>();
    sink.onSubmit = (message) => {
      if (message.payload === 2) throw InvalidMessage.from(message);
    };
    const step = new RunTask(double(), sink);
    const error = thrownBy(() => step.submit(at(1, 0)));
    assert.ok(InvalidMessage.is(error) && !error.needsCommit);
    step.submit(at(2, 1));
    assert.deepEqual(sink.described, ["- -> 0:1", "4 -> 0:2"]);
  });

  it("does not mistake an error about an earlier message for one about the message that it has just taken", () => {
    const sink = new Sink<number>();
    const runtime = new TestRuntime();
    const calls: number[] = [];
    const step = new RunTask(double(calls), sink);
    attach(step, runtime);
    const earlier = new InvalidMessage(P0, 0, { needsCommit: false });
    sink.onSubmit = () => {
      sink.onSubmit = undefined;
      throw earlier;
    };
    step.submit(at(1, 1));
    assert.equal(runtime.wakes, 1, "the error must not wait for the next message");
    const later = at(2, 2);
    assert.equal(
      thrownBy(() => step.submit(later)),
      earlier,
    );
    step.submit(later);
    assert.deepEqual(sink.described, ["2 -> 0:2", "4 -> 0:3"]);
    assert.deepEqual(calls, [1, 2]);
  });

  it("leaves an invalid part of a derived message to the step that made it", () => {
    const sink = new Sink<number>();
    const part = new InvalidMessage(P0, 4);
    const step = new RunTask((message: Message<readonly number[]>) => {
      if (message.payload.includes(-1)) throw part;
      return message.payload.length;
    }, sink);
    assert.equal(
      thrownBy(() => step.submit(derived([1, -1], [[P0, 5]]))),
      part,
    );
    assert.equal(part.needsCommit, true);
    step.poll();
    assert.deepEqual(sink.messages, []);
    step.submit(derived([1], [[P0, 5]]));
    assert.deepEqual(sink.described, ["1 -> 0:5"]);
  });

  it("lets every other error through", () => {
    const sink = new Sink<number>();
    const broken = new Error("disk full");
    const step = new RunTask((): number => {
      throw broken;
    }, sink);
    assert.equal(
      thrownBy(() => step.submit(at(1, 0))),
      broken,
    );
  });

  it("refuses a promise at run time, and names what to use instead", async () => {
    const sink = new Sink<unknown>();
    const step = new RunTask((() => Promise.reject(new Error("late"))) as unknown as () => string, sink);
    const error = thrownBy(() => step.submit(at(1, 0)));
    assert.ok(InvalidStateError.is(error));
    assert.match(error.message, /RunTask.*promise.*RunTaskConcurrently/s);
    assert.deepEqual(sink.messages, []);
    await turn();
  });

  it("accepts null, undefined and functions as results", () => {
    const sink = new Sink<unknown>();
    const step = new RunTask((message: Message<unknown>) => message.payload, sink);
    for (const [offset, payload] of [null, undefined, turn, {}].entries()) step.submit(at(payload, offset));
    assert.deepEqual(
      sink.messages.map((message) => message.payload),
      [null, undefined, turn, {}],
    );
  });

  it("polls the next step on every poll", () => {
    const sink = new Sink<number>();
    const step = new RunTask(double(), sink);
    step.poll();
    sink.reject(1);
    step.submit(at(1, 0));
    step.poll();
    assert.equal(sink.polls, 2);
  });

  describe("join", () => {
    it("waits for what the next step rejected, then closes and joins it", async () => {
      const sink = new Sink<number>();
      const step = new RunTask(double(), sink);
      sink.reject(3);
      step.submit(at(1, 0));
      step.close();
      const joined = step.join(noDeadline());
      await turn();
      assert.deepEqual(sink.calls, []);
      step.poll();
      step.poll();
      await joined;
      assert.deepEqual(sink.described, ["2 -> 0:1"]);
      assert.deepEqual(sink.calls, ["close", "join"]);
    });

    it("gives up at the deadline what is still rejected, and ends the next step", async () => {
      const sink = new Sink<number>();
      const step = new RunTask(double(), sink);
      sink.reject(Infinity);
      step.submit(at(1, 0));
      step.close();
      const deadline = new AbortController();
      const joined = step.join(deadline.signal);
      step.poll();
      deadline.abort();
      await joined;
      assert.deepEqual(sink.messages, []);
      assert.deepEqual(sink.calls, ["close", "join"]);
    });

    it("may be called again after an InvalidMessage, and closes the next step once", async () => {
      const sink = new Sink<number>();
      let joins = 0;
      sink.onJoin = async () => {
        if (joins++ === 0) throw new InvalidMessage(P0, 3, { needsCommit: false });
      };
      const step = new RunTask(double(), sink);
      step.close();
      await assert.rejects(step.join(noDeadline()), InvalidMessage);
      await step.join(noDeadline());
      assert.deepEqual(sink.calls, ["close", "join", "join"]);
    });

    it("forwards the commit of an invalid message before it closes the next step", async () => {
      const sink = new Sink<number>();
      const step = new RunTask((message: Message<number>): number => {
        throw InvalidMessage.from(message);
      }, sink);
      assert.ok(InvalidMessage.is(thrownBy(() => step.submit(at(1, 0)))));
      step.close();
      await step.join(noDeadline());
      assert.deepEqual(sink.described, ["- -> 0:1"]);
    });

    it("ends at once when it is terminated, and hands nothing on", async () => {
      const sink = new Sink<number>();
      const step = new RunTask(double(), sink);
      sink.reject(Infinity);
      step.submit(at(1, 0));
      step.close();
      const joined = step.join(noDeadline());
      await turn();
      step.terminate();
      await joined;
      assert.deepEqual(sink.messages, []);
      assert.deepEqual(sink.calls, ["terminate"]);
    });
  });

  it("hands on a result that is the filtered payload as a filtered message", () => {
    const sink = new Sink<unknown>();
    const step = new RunTask(() => FILTERED_PAYLOAD, sink);
    step.submit(at(1, 0));
    assert.deepEqual(sink.described, ["- -> 0:1"]);
  });
});
