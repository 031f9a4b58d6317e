import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvalidMessage, InvalidStateError, MESSAGE_REJECTED } from "../../src/errors.ts";
import type { DerivedMessage, Message } from "../../src/message/message.ts";
import { Noop } from "../../src/strategies/noop.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import { part, Unfold } from "../../src/strategies/unfold.ts";
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

function letters(message: Message<string>): DerivedMessage<string>[] {
  return Array.from(message.payload).map((letter) => part(letter));
}

function setUp(generator: (message: Message<string>) => Iterable<Message<string>> = letters) {
  const sink = new Sink<string>();
  const runtime = new TestRuntime();
  const calls: string[] = [];
  const step = new Unfold((message: Message<string>) => {
    calls.push(message.payload);
    return generator(message);
  }, sink);
  attach(step, runtime);
  return { sink, runtime, step, calls };
}

describe("Unfold", () => {
  it("hands on the parts of a message one by one; the last one commits it and has its time", () => {
    const { sink, step } = setUp();
    step.submit(at("abc", 4));
    assert.deepEqual(sink.described, ['"a" -> ', '"b" -> ', '"c" -> 0:5']);
    assert.equal(sink.messages[2]?.timestampMs, 1_004);
  });

  it("commits a message without parts", () => {
    const { sink, step } = setUp();
    step.submit(at("", 0));
    step.submit(derived("", [[P1, 7]]));
    assert.deepEqual(sink.described, ["- -> 0:1", "- -> 1:7"]);
  });

  it("lets parts bring their own offsets, and commits what they leave out behind them", () => {
    const { sink, step } = setUp((message) => [
      derived(message.payload + 1, [[P0, 3]]),
      derived(message.payload + 2, [[P0, 5]]),
    ]);
    step.submit(derived("a", [[P0, 5]]));
    step.submit(
      derived("b", [
        [P0, 5],
        [P1, 9],
      ]),
    );
    assert.deepEqual(sink.described, [
      '"a1" -> 0:3',
      '"a2" -> 0:5',
      '"b1" -> 0:3',
      '"b2" -> 0:5',
      "- -> 1:9",
    ]);
  });

  it("keeps the parts that the next step rejects, makes them once, and takes no other message meanwhile", () => {
    const { sink, step, calls } = setUp();
    sink.reject(1);
    step.submit(at("abc", 0));
    assert.deepEqual(sink.described, []);
    sink.reject(1);
    assert.equal(
      thrownBy(() => step.submit(at("d", 1))),
      MESSAGE_REJECTED,
    );
    sink.reject(1);
    assert.equal(
      thrownBy(() => step.submit(filteredAt(1))),
      MESSAGE_REJECTED,
    );
    step.poll();
    step.submit(at("d", 1));
    assert.deepEqual(sink.described, ['"a" -> ', '"b" -> ', '"c" -> 0:1', '"d" -> 0:2']);
    assert.deepEqual(calls, ["abc", "d"]);
  });

  it("goes on with the very part that was rejected", () => {
    const { sink, step } = setUp();
    let rejected = false;
    sink.onSubmit = (message) => {
      if (message.payload === "b" && !rejected) {
        rejected = true;
        throw MESSAGE_REJECTED;
      }
    };
    step.submit(at("abc", 0));
    assert.deepEqual(sink.described, ['"a" -> ']);
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> ', '"b" -> ', '"c" -> 0:1']);
  });

  it("lets filtered messages pass, behind what is kept", () => {
    const { sink, step } = setUp();
    step.submit(filteredAt(0));
    sink.reject(1);
    step.submit(at("a", 1));
    step.submit(filteredAt(2));
    assert.deepEqual(sink.described, ["- -> 0:1", '"a" -> 0:2', "- -> 0:3"]);
  });

  it("makes all parts before it hands on the first", () => {
    const { sink, step } = setUp(function* (message) {
      yield part(message.payload);
      throw new Error("no more");
    });
    assert.throws(() => step.submit(at("a", 0)), /no more/);
    assert.deepEqual(sink.described, []);
  });

  it("reports a message that the generator finds invalid once, and commits it in its place", () => {
    const bad = at("x", 0);
    const { sink, step } = setUp((message) => {
      if (message.payload === "x") throw invalid(bad);
      return letters(message);
    });
    const error = thrownBy(() => step.submit(bad));
    assert.ok(InvalidMessage.is(error) && !error.needsCommit);
    step.submit(at("a", 1));
    assert.deepEqual(sink.described, ["- -> 0:1", '"a" -> 0:2']);
  });

  it("loses no part when another is invalid, and dead-letters the message once", () => {
    const { sink, step } = setUp();
    const origin = at("axbxcx", 3);
    sink.onSubmit = (message) => {
      if (message.payload === "x") throw invalid(origin);
    };
    step.submit(origin);
    assert.deepEqual(sink.described, ['"a" -> ']);
    const error = thrownBy(() => step.poll());
    assert.ok(InvalidMessage.is(error) && error.offset === 3 && !error.needsCommit);
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> ', '"b" -> ', '"c" -> ', "- -> 0:4"]);
    step.submit(at("d", 4));
    assert.equal(sink.described.at(-1), '"d" -> 0:5');
  });

  it("does so also with a RunTask behind it", () => {
    const sink = new Sink<string>();
    const origin = at("axb", 3);
    const task = new RunTask((message: Message<string>): string => {
      if (message.payload === "x") throw invalid(origin);
      return message.payload;
    }, sink);
    const step = new Unfold(letters, task);
    step.submit(origin);
    assert.ok(InvalidMessage.is(thrownBy(() => step.poll())));
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> ', '"b" -> 0:4']);
  });

  it("stops when a step behind it calls invalid what is none of its parts, again and again", () => {
    const { sink, step } = setUp();
    sink.onSubmit = () => {
      throw invalid(at("?", 77));
    };
    step.submit(at("a", 0));
    assert.ok(InvalidMessage.is(thrownBy(() => step.poll())));
    assert.throws(
      () => step.poll(),
      (error) => InvalidStateError.is(error) && /Unfold.*orders:0 offset 77/.test(error.message),
    );
  });

  it("lets an InvalidMessage about an earlier message through, and offers the part again", () => {
    const { sink, step } = setUp();
    let thrown = false;
    sink.onSubmit = () => {
      if (thrown) return;
      thrown = true;
      throw invalid(at("earlier", 0));
    };
    step.submit(at("ab", 5));
    const error = thrownBy(() => step.submit(at("c", 6)));
    assert.ok(InvalidMessage.is(error) && error.offset === 0);
    step.submit(at("c", 6));
    assert.deepEqual(sink.described, ['"a" -> ', '"b" -> 0:6', '"c" -> 0:7']);
  });

  it("hands on what is kept when it is joined, polled meanwhile", async () => {
    const { sink, step } = setUp();
    sink.reject(2);
    step.submit(at("ab", 0));
    step.close();
    const joined = step.join(noDeadline());
    assert.deepEqual(sink.calls, []);
    step.poll();
    await joined;
    assert.deepEqual(sink.described, ['"a" -> ', '"b" -> 0:1']);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("gives up what it cannot get rid of at the deadline of the join", async () => {
    const { sink, step } = setUp();
    sink.reject(Infinity);
    step.submit(at("ab", 0));
    step.close();
    const deadline = new AbortController();
    const joined = step.join(deadline.signal);
    deadline.abort();
    await joined;
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("reports in a join what a part was found to be, and goes on when it is joined again", async () => {
    const { sink, step } = setUp();
    const origin = at("axb", 0);
    sink.onSubmit = (message) => {
      if (message.payload === "x") throw invalid(origin);
    };
    step.submit(origin);
    step.close();
    await assert.rejects(step.join(noDeadline()), (error) => InvalidMessage.is(error));
    await step.join(noDeadline());
    assert.deepEqual(sink.described, ['"a" -> ', '"b" -> 0:1']);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("refuses promises, in types and at run time", () => {
    // @ts-expect-error: an async generator function's result is no iterable
    const step = new Unfold(async (message: Message<string>) => letters(message), new Noop());
    assert.throws(
      () => step.submit(at("a", 0)),
      (error) => InvalidStateError.is(error) && error.message.includes("Unfold"),
    );
    const asyncGenerator = new Unfold(
      // @ts-expect-error: nor is that of an async generator
      async function* (message: Message<string>) {
        yield* letters(message);
      },
      new Noop(),
    );
    assert.throws(
      () => asyncGenerator.submit(at("a", 0)),
      (error) => InvalidStateError.is(error) && error.message.includes("no iterable"),
    );
    const ofPromises = new Unfold((_: Message<string>) => [part(Promise.resolve(1))], new Noop());
    assert.throws(
      () => ofPromises.submit(at("a", 0)),
      (error) => InvalidStateError.is(error),
    );
  });

  it("infers the parts' payload", () => {
    const next = new Sink<{ line: number }>();
    new Unfold((message: Message<number[]>) => message.payload.map((line) => part({ line })), next);
    // @ts-expect-error: the next step takes lines
    new Unfold((message: Message<number[]>) => message.payload.map((line) => part(line)), next);
  });
});
