import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvalidMessage } from "../../src/errors.ts";
import type { Message } from "../../src/message/message.ts";
import { BufferStep, type MessageBuffer } from "../../src/strategies/buffer.ts";
import { Sink, TestRuntime, at, attach, filteredAt, noDeadline, thrownBy } from "./fixtures.ts";

/** Keeps the newest of each letter; drops spaces; is ready when it has two letters or is told so. */
class Newest implements MessageBuffer<string, string> {
  static told = false;
  readonly #letters = new Map<string, string>();
  readonly maxTimeMs: number | undefined;

  constructor(maxTimeMs?: number) {
    this.maxTimeMs = maxTimeMs;
  }

  get value(): string {
    return [...this.#letters.values()].join(" ");
  }

  get isEmpty(): boolean {
    return this.#letters.size === 0;
  }

  get isReady(): boolean {
    return Newest.told || this.#letters.size === 2;
  }

  append(message: Message<string>): void {
    if (message.payload === "!") throw InvalidMessage.from(message);
    if (message.payload !== " ") this.#letters.set(message.payload[0]!, message.payload);
  }

  fresh(): Newest {
    return new Newest(this.maxTimeMs);
  }
}

function setUp(maxTimeMs?: number) {
  Newest.told = false;
  const sink = new Sink<string>();
  const runtime = new TestRuntime();
  const step = new BufferStep(new Newest(maxTimeMs), sink);
  attach(step, runtime);
  return { sink, runtime, step };
}

describe("BufferStep", () => {
  it("hands on what the buffer made, when the buffer says that it is ready", () => {
    const { sink, step } = setUp();
    for (const [i, payload] of ["a1", "a2", "b1", "c1"].entries()) step.submit(at(payload, i));
    assert.deepEqual(sink.described, ['"a2 b1" -> 0:3']);
  });

  it("asks the buffer in each poll too, and goes on asking without a limit of time", () => {
    const { sink, runtime, step } = setUp();
    step.submit(at("a1", 0));
    step.poll();
    assert.deepEqual(sink.described, []);
    assert.deepEqual(runtime.wakesAt, []);
    Newest.told = true;
    step.poll();
    assert.deepEqual(sink.described, ['"a1" -> 0:1']);
  });

  it("sees to the buffer's limit of time", () => {
    const { sink, runtime, step } = setUp(500);
    step.submit(at("a1", 0));
    assert.deepEqual(runtime.wakesAt, [500]);
    runtime.clock.advance(500);
    step.poll();
    assert.deepEqual(sink.described, ['"a1" -> 0:1']);
  });

  it("commits messages of which the buffer kept nothing", () => {
    const { sink, step } = setUp();
    step.submit(at(" ", 0));
    step.submit(at(" ", 1));
    step.poll();
    assert.deepEqual(sink.described, ["- -> 0:2"]);
  });

  it("reports an invalid message once, and commits it in its turn", () => {
    const { sink, step } = setUp();
    step.submit(at("a1", 0));
    const error = thrownBy(() => step.submit(at("!", 1)));
    assert.ok(InvalidMessage.is(error) && !error.needsCommit);
    step.submit(filteredAt(2));
    step.submit(at("b1", 3));
    assert.deepEqual(sink.described, ['"a1 b1" -> 0:4']);
    step.poll();
  });

  it("hands on what is in the buffer when it is joined", async () => {
    const { sink, step } = setUp();
    step.submit(at("a1", 0));
    step.close();
    await step.join(noDeadline());
    assert.deepEqual(sink.described, ['"a1" -> 0:1']);
  });
});
