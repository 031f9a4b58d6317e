import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Delivery } from "../../src/backend/producer.ts";
import {
  ConfigurationError,
  ErrorCode,
  InvalidMessage,
  MESSAGE_REJECTED,
  ProducerError,
} from "../../src/errors.ts";
import type { Partition } from "../../src/message/partition.ts";
import { Topic } from "../../src/message/topic.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { Produce } from "../../src/strategies/produce.ts";
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

/** A producer whose deliveries the test makes. */
class FakeProducer {
  readonly sent: { destination: string; payload: string; deliver(): void; fail(error: Error): void }[] = [];
  /** So many messages may be in flight; beyond that the queue is full. */
  room = Infinity;

  produce(destination: Topic | Partition | string, payload: string): Promise<Delivery> {
    if (this.room <= 0) {
      return Promise.reject(new ProducerError("full", { code: ErrorCode.PRODUCER_QUEUE_FULL }));
    }
    this.room--;
    const { promise, resolve, reject } = Promise.withResolvers<Delivery>();
    this.sent.push({
      destination: String(destination),
      payload,
      deliver: () => {
        this.room++;
        resolve({ partition: P0, offset: 0, timestampMs: 0 });
      },
      fail: reject,
    });
    return promise;
  }

  get payloads(): string[] {
    return this.sent.map(({ payload }) => payload);
  }

  async deliver(...indexes: number[]): Promise<void> {
    for (const index of indexes) this.sent[index]!.deliver();
    await turn();
  }
}

function setUp(maxBufferSize?: number) {
  const producer = new FakeProducer();
  const sink = new Sink<string>();
  const runtime = new TestRuntime();
  const step = new Produce({ producer, topic: "out", maxBufferSize }, sink);
  attach(step, runtime);
  return { producer, sink, runtime, step };
}

describe("Produce", () => {
  it("hands a message on, unchanged, only when the broker has it", async () => {
    const { producer, sink, runtime, step } = setUp();
    step.submit(at("a", 0));
    step.poll();
    assert.deepEqual(
      producer.sent.map(({ destination, payload }) => [destination, payload]),
      [["out", "a"]],
    );
    assert.deepEqual(sink.messages, []);
    assert.equal(runtime.wakes, 0);
    await producer.deliver(0);
    assert.equal(runtime.wakes, 1, "asks for a poll when something can go on");
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1']);
  });

  it("hands on in the order in which the messages came, whatever order the deliveries have", async () => {
    const { producer, sink, runtime, step } = setUp();
    step.submit(at("a", 0));
    step.submit(filteredAt(1));
    step.submit(derived("b", [[P0, 3]]));
    step.submit(at("c", 3));
    await producer.deliver(2, 1);
    step.poll();
    assert.deepEqual(sink.messages, []);
    assert.equal(runtime.wakes, 0, "nothing can go on before the first one");
    await producer.deliver(0);
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', "- -> 0:2", '"b" -> 0:3', '"c" -> 0:4']);
  });

  it("passes a filtered message on at once when nothing is in flight", () => {
    const { producer, sink, step } = setUp();
    step.submit(filteredAt(0));
    assert.deepEqual(sink.described, ["- -> 0:1"]);
    assert.deepEqual(producer.sent, []);
  });

  it("rejects while maxBufferSize messages are in flight, filtered ones too", async () => {
    const { producer, sink, step } = setUp(2);
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
    assert.deepEqual(producer.payloads, ["a", "b"]);
    await producer.deliver(0);
    step.submit(at("c", 2));
    assert.deepEqual(sink.described, ['"a" -> 0:1'], "made room on the way, without waiting for a poll");
    assert.deepEqual(producer.payloads, ["a", "b", "c"]);
  });

  it("keeps what the producer had no room for and sends it again, in order", async () => {
    const { producer, sink, runtime, step } = setUp();
    producer.room = 1;
    step.submit(at("a", 0));
    step.submit(at("b", 1));
    step.submit(at("c", 2));
    await turn();
    assert.equal(
      thrownBy(() => step.submit(at("d", 3))),
      MESSAGE_REJECTED,
    );
    assert.ok(runtime.wakesAt.length > 0, "asks to be polled, even if no delivery comes back");
    step.poll();
    await turn();
    assert.deepEqual(producer.payloads, ["a"]);
    producer.room = 2;
    step.poll();
    await turn();
    step.submit(at("d", 3));
    assert.deepEqual(producer.payloads, ["a", "b", "c"]);
    await producer.deliver(0, 1, 2);
    step.poll();
    await turn();
    step.poll();
    await turn();
    await producer.deliver(3);
    step.poll();
    assert.deepEqual(producer.payloads, ["a", "b", "c", "d"]);
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"b" -> 0:2', '"c" -> 0:3', '"d" -> 0:4']);
  });

  it("sends thousands again after a full queue, all of them and in order", async () => {
    const { producer, sink, step } = setUp();
    producer.room = 0;
    const expected = Array.from({ length: 3_000 }, (_, i) => `m${i}`);
    for (const [offset, payload] of expected.entries()) step.submit(at(payload, offset));
    await turn();
    producer.room = Infinity;
    for (let polls = 0; producer.sent.length < expected.length; polls++) {
      assert.ok(polls < 50, "the resends do not get faster");
      step.poll();
      await turn();
    }
    assert.deepEqual(producer.payloads, expected);
    for (const sent of producer.sent) sent.deliver();
    await turn();
    while (sink.messages.length < expected.length) step.poll();
    assert.deepEqual(
      sink.messages.map(({ payload }) => payload),
      expected,
    );
  });

  it("surfaces a delivery that failed, once, after what came before it", async () => {
    const { producer, sink, runtime, step } = setUp();
    const failure = new ProducerError("message too large");
    step.submit(at("a", 0));
    step.submit(at("b", 1));
    step.submit(at("c", 2));
    producer.sent[1]!.fail(failure);
    await turn();
    step.poll();
    assert.deepEqual(sink.messages, []);
    await producer.deliver(0);
    assert.equal(
      thrownBy(() => step.poll()),
      failure,
    );
    assert.deepEqual(sink.described, ['"a" -> 0:1']);
    assert.equal(runtime.metrics.count(MetricName.PRODUCE_STATUS, { status: "error" }), 1);
    assert.equal(runtime.metrics.count(MetricName.PRODUCE_STATUS, { status: "success" }), 1);
  });

  it("keeps what was delivered while the next step rejects it", async () => {
    const { producer, sink, step } = setUp();
    step.submit(at("a", 0));
    step.submit(at("b", 1));
    await producer.deliver(0, 1);
    sink.reject(2);
    step.poll();
    step.poll();
    assert.deepEqual(sink.messages, []);
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"b" -> 0:2']);
    assert.deepEqual(producer.payloads, ["a", "b"]);
  });

  it("passes a filtered message on in the place of one that the next step finds invalid", async () => {
    const { producer, sink, step } = setUp();
    sink.onSubmit = (message) => {
      if (message.payload === "b") throw InvalidMessage.from(message);
    };
    for (const [offset, payload] of ["a", "b", "c"].entries()) step.submit(at(payload, offset));
    await producer.deliver(0, 1, 2);
    const error = thrownBy(() => step.poll());
    assert.ok(InvalidMessage.is(error) && error.offset === 1 && !error.needsCommit);
    step.poll();
    assert.deepEqual(sink.described, ['"a" -> 0:1', "- -> 0:2", '"c" -> 0:3']);
  });

  it("hands on no more than a thousand in one poll, and asks for the next one", async () => {
    const { producer, sink, runtime, step } = setUp();
    for (let offset = 0; offset < 2_500; offset++) step.submit(at("x", offset));
    for (const sent of producer.sent) sent.deliver();
    await turn();
    runtime.wakes = 0;
    step.poll();
    assert.equal(sink.messages.length, 1_000);
    assert.equal(runtime.wakes, 1);
    step.poll();
    step.poll();
    assert.equal(sink.messages.length, 2_500);
    assert.equal(runtime.wakes, 2);
  });

  it("waits at join for every delivery, in whatever order they come", async () => {
    const { producer, sink, step } = setUp();
    step.submit(at("a", 0));
    step.submit(at("b", 1));
    step.close();
    const joined = step.join(noDeadline());
    await producer.deliver(1);
    step.poll();
    assert.deepEqual(sink.calls, []);
    await producer.deliver(0);
    step.poll();
    await joined;
    assert.deepEqual(sink.described, ['"a" -> 0:1', '"b" -> 0:2']);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("leaves at the deadline what is not acknowledged, and hands on nothing of it later", async () => {
    const { producer, sink, step } = setUp();
    step.submit(at("a", 0));
    step.submit(at("b", 1));
    await producer.deliver(0);
    step.close();
    const deadline = new AbortController();
    const joined = step.join(deadline.signal);
    deadline.abort();
    await joined;
    await producer.deliver(1);
    assert.deepEqual(sink.described, ['"a" -> 0:1']);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("hands on nothing after terminate, and swallows failures that come late", async () => {
    const { producer, sink, step } = setUp();
    step.submit(at("a", 0));
    step.submit(at("b", 1));
    step.terminate();
    producer.sent[0]!.fail(new ProducerError("gone"));
    await producer.deliver(1);
    assert.deepEqual(sink.messages, []);
    assert.deepEqual(sink.calls, ["terminate"]);
  });

  it("checks its options", () => {
    const producer = new FakeProducer();
    assert.throws(() => new Produce({ producer, topic: "no spaces" }, new Sink()), ConfigurationError);
    assert.throws(() => new Produce({ producer, topic: "out", maxBufferSize: 0 }, new Sink()), {
      message: /maxBufferSize is 0/,
    });
    new Produce({ producer, topic: new Topic("out") }, new Sink());
  });
});
