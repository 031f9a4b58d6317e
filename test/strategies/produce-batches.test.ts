import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BatchSettled, SentBatch } from "../../src/backend/producer.ts";
import { MESSAGE_REJECTED, ProducerError } from "../../src/errors.ts";
import type { Topic } from "../../src/message/topic.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { Produce } from "../../src/strategies/produce.ts";
import { Sink, TestRuntime, at, attach, filteredAt, noDeadline, thrownBy, turn } from "./fixtures.ts";

class Batch implements SentBatch {
  state: SentBatch["state"] = "sent";
  error: Error | undefined;
  readonly payloads: string[] = [];
  readonly #onSettled: BatchSettled;

  constructor(onSettled: BatchSettled) {
    this.#onSettled = onSettled;
  }

  deliver(): void {
    this.state = "delivered";
    this.#onSettled(this);
  }

  fail(error: Error): void {
    this.state = "failed";
    this.error = error;
    this.#onSettled(this);
  }
}

/** A producer that sends two messages in a batch, and makes promises only for what begins with "!". */
class BatchingProducer {
  readonly batches: Batch[] = [];
  readonly promised: PromiseWithResolvers<void>[] = [];
  isFull = false;

  enqueue(_topic: Topic, payload: string, onSettled: BatchSettled): SentBatch | "full" | undefined {
    if (payload.startsWith("!")) return undefined;
    if (this.isFull) return "full";
    let batch = this.batches.at(-1);
    if (batch === undefined || batch.payloads.length === 2) this.batches.push((batch = new Batch(onSettled)));
    batch.payloads.push(payload);
    return batch;
  }

  produce(): Promise<void> {
    const promised = Promise.withResolvers<void>();
    this.promised.push(promised);
    return promised.promise;
  }
}

function setUp(maxBufferSize?: number) {
  const producer = new BatchingProducer();
  const sink = new Sink<string>();
  const runtime = new TestRuntime();
  const step = new Produce({ producer, topic: "out", maxBufferSize }, sink);
  attach(step, runtime);
  return { producer, sink, runtime, step };
}

describe("Produce, with a producer that says in which batch a message goes", () => {
  it("hands a batch's messages on, in order, only when the broker has it and what came before", () => {
    const { producer, sink, runtime, step } = setUp();
    for (const [offset, payload] of ["a", "b", "c", "d"].entries()) step.submit(at(payload, offset));
    step.submit(filteredAt(4));
    producer.batches[1]!.deliver();
    assert.equal(runtime.wakes, 0, "nothing can go on before the first one");
    step.poll();
    assert.deepEqual(sink.messages, []);
    producer.batches[0]!.deliver();
    assert.equal(runtime.wakes, 1);
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"b" -> 0:2', '"c" -> 0:3', '"d" -> 0:4', "- -> 0:5"]);
    assert.equal(runtime.metrics.count(MetricName.PRODUCE_STATUS, { status: "success" }), 4);
  });

  it("keeps the order with messages that only a promise tells of", async () => {
    const { producer, sink, step } = setUp();
    for (const [offset, payload] of ["a", "!b", "c"].entries()) step.submit(at(payload, offset));
    producer.batches[0]!.deliver();
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1']);
    producer.promised[0]!.resolve();
    await turn();
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"!b" -> 0:2', '"c" -> 0:3']);
  });

  it("surfaces a batch that failed with its first message, after what came before it", () => {
    const { producer, sink, runtime, step } = setUp();
    for (const [offset, payload] of ["a", "b", "c"].entries()) step.submit(at(payload, offset));
    const failure = new ProducerError("not authorized");
    producer.batches[1]!.fail(failure);
    step.poll();
    producer.batches[0]!.deliver();
    assert.equal(
      thrownBy(() => step.poll()),
      failure,
    );
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"b" -> 0:2']);
    assert.equal(runtime.metrics.count(MetricName.PRODUCE_STATUS, { status: "error" }), 1);
  });

  it("rejects while the producer is full, keeps nothing of that, and asks to be tried again soon", () => {
    const { producer, sink, runtime, step } = setUp();
    step.submit(at("a", 0));
    producer.isFull = true;
    assert.equal(
      thrownBy(() => step.submit(at("b", 1))),
      MESSAGE_REJECTED,
    );
    assert.deepEqual(runtime.wakesAt, [runtime.clock.monotonicMs() + 5]);
    producer.isFull = false;
    step.submit(at("b", 1));
    producer.batches[0]!.deliver();
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"b" -> 0:2']);
  });

  it("waits at join for what is on its way, and counts what it leaves at terminate", async () => {
    const { producer, sink, step } = setUp();
    step.submit(at("a", 0));
    step.close();
    const joined = step.join(noDeadline());
    producer.batches[0]!.deliver();
    step.poll();
    await joined;
    assert.deepEqual(sink.calls, ["close", "join"]);

    const other = setUp();
    for (const [offset, payload] of ["a", "b", "c"].entries()) other.step.submit(at(payload, offset));
    other.producer.batches[0]!.deliver();
    other.step.terminate();
    other.producer.batches[1]!.deliver();
    assert.deepEqual(other.sink.messages, []);
    assert.equal(other.runtime.metrics.count(MetricName.PRODUCE_STATUS, { status: "success" }), 2);
  });
});
