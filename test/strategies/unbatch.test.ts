import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvalidMessage, MESSAGE_REJECTED } from "../../src/errors.ts";
import type { Message } from "../../src/message/message.ts";
import { BatchStep } from "../../src/strategies/batch.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import { UnbatchStep } from "../../src/strategies/unbatch.ts";
import { P0, P1, Sink, TestRuntime, at, attach, derived, invalid, noDeadline, thrownBy } from "./fixtures.ts";

function batchOf(payloads: string, committable: readonly (readonly [typeof P0, number])[]) {
  return derived(
    Array.from(payloads).map((payload, i) => at(payload, i)),
    committable,
  );
}

describe("UnbatchStep", () => {
  it("hands on the messages of a batch as they came", () => {
    const sink = new Sink<string>();
    const step = new UnbatchStep(sink);
    const batch = batchOf("abc", [[P0, 3]]);
    step.submit(batch);
    assert.deepEqual(sink.messages, batch.payload);
    assert.equal(sink.messages[1], batch.payload[1]);
  });

  it("commits what was left out of the batch behind the last message", () => {
    const sink = new Sink<string>();
    const step = new UnbatchStep(sink);
    step.submit(batchOf("ab", [[P0, 3]]));
    step.submit(
      batchOf("", [
        [P0, 5],
        [P1, 2],
      ]),
    );
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"b" -> 0:2', "- -> 0:3", "- -> 0:5, 1:2"]);
  });

  it("keeps the messages that the next step rejects, and takes no other batch meanwhile", () => {
    const sink = new Sink<string>();
    const step = new UnbatchStep(sink);
    sink.reject(2);
    step.submit(batchOf("ab", [[P0, 2]]));
    assert.equal(
      thrownBy(() => step.submit(batchOf("c", [[P0, 3]]))),
      MESSAGE_REJECTED,
    );
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"b" -> 0:2']);
  });

  it("closes, rather than only polling, and joins the next step", async () => {
    const sink = new Sink<string>();
    const step = new UnbatchStep(sink);
    sink.reject(1);
    step.submit(batchOf("a", [[P0, 1]]));
    step.close();
    assert.throws(() => step.submit(batchOf("b", [[P0, 2]])), /UnbatchStep.submit\(\).*closed/);
    await step.join(noDeadline());
    assert.deepEqual(sink.described, ['"a" -> 0:1']);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("loses no message of a batch when others are invalid, and commits those in their turn", () => {
    const sink = new Sink<string>();
    const runtime = new TestRuntime();
    const step = new UnbatchStep(sink);
    attach(step, runtime);
    const batch = batchOf("axbx", [[P0, 4]]);
    sink.onSubmit = (message) => {
      if (message.payload === "x") throw invalid(message as ReturnType<typeof at<string>>);
    };
    step.submit(batch);
    const offsets: number[] = [];
    for (let i = 0; i < 4; i++) {
      const error = thrownBy(() => step.poll());
      if (InvalidMessage.is(error)) offsets.push(error.offset);
    }
    assert.deepEqual(offsets, [1, 3]);
    assert.deepEqual(sink.described, ['"a" -> 0:1', "- -> 0:2", '"b" -> 0:3', "- -> 0:4"]);
  });

  it("leaves the commit of an invalid message to the step that has seen to it", () => {
    const sink = new Sink<string>();
    const task = new RunTask((message: Message<string>): string => {
      if (message.payload === "x") throw InvalidMessage.from(message);
      return message.payload;
    }, sink);
    const step = new UnbatchStep(task);
    step.submit(batchOf("axb", [[P0, 3]]));
    assert.ok(InvalidMessage.is(thrownBy(() => step.poll())));
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', "- -> 0:2", '"b" -> 0:3']);
  });

  it("undoes what BatchStep did", async () => {
    const sink = new Sink<string>();
    const transform = new RunTask(
      (batch: Message<readonly Message<string>[]>) =>
        batch.payload.map((item) => item.replace(item.payload.toUpperCase())),
      new UnbatchStep(sink),
    );
    const step = new BatchStep<string>({ maxBatchSize: 2, maxBatchTimeMs: 1_000 }, transform);
    for (const [i, payload] of Array.from("abc").entries()) step.submit(at(payload, i));
    step.close();
    await step.join(noDeadline());
    assert.deepEqual(sink.described, ['"A" -> 0:1', '"B" -> 0:2', '"C" -> 0:3']);
  });
});
