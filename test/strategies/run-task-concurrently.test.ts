import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ConfigurationError,
  DeadlineError,
  InvalidMessage,
  InvalidStateError,
  MESSAGE_REJECTED,
} from "../../src/errors.ts";
import type { Message } from "../../src/message/message.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { BatchStep } from "../../src/strategies/batch.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import {
  RunTaskConcurrently,
  type RunTaskConcurrentlyOptions,
} from "../../src/strategies/run-task-concurrently.ts";
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

/** Tasks that end when the test says so. */
class Tasks {
  /** Payloads, in the order in which their tasks were started; one that is tried again is there again. */
  readonly started: string[] = [];
  readonly signals: AbortSignal[] = [];
  readonly #running = new Map<string, PromiseWithResolvers<string>>();

  readonly run = (message: Message<string>, signal: AbortSignal): Promise<string> => {
    const task = Promise.withResolvers<string>();
    this.started.push(message.payload);
    this.signals.push(signal);
    this.#running.set(message.payload, task);
    return task.promise;
  };

  get running(): string[] {
    return [...this.#running.keys()];
  }

  /** Ends tasks, and gives their promises a turn. */
  async done(...payloads: string[]): Promise<void> {
    for (const payload of payloads) this.#take(payload).resolve(payload.toUpperCase());
    await turn();
  }

  async fail(payload: string, error: unknown): Promise<void> {
    this.#take(payload).reject(error);
    await turn();
  }

  #take(payload: string): PromiseWithResolvers<string> {
    const task = this.#running.get(payload);
    assert.ok(task, `no task runs for ${payload}`);
    this.#running.delete(payload);
    return task;
  }
}

function setUp(options: Partial<RunTaskConcurrentlyOptions<string>> = {}) {
  const tasks = new Tasks();
  const sink = new Sink<string>();
  const runtime = new TestRuntime();
  const step = new RunTaskConcurrently(tasks.run, { concurrency: 2, ...options }, sink);
  attach(step, runtime);
  return { tasks, sink, runtime, step };
}

/** Submits a letter at a time, from an offset on. */
function submitAll(step: { submit(message: Message<string>): void }, payloads: string, from = 0): void {
  for (const [i, payload] of Array.from(payloads).entries()) step.submit(at(payload, from + i));
}

describe("RunTaskConcurrently", () => {
  it("runs so many tasks at once, and starts another as soon as one is done", async () => {
    const { tasks, step } = setUp();
    submitAll(step, "abcd");
    assert.deepEqual(tasks.running, ["a", "b"]);
    await tasks.done("b");
    assert.deepEqual(tasks.running, ["a", "c"]);
  });

  it("hands results on in the order of the messages, in their places", async () => {
    const { tasks, sink, step } = setUp();
    submitAll(step, "ab");
    await tasks.done("b");
    step.poll();
    assert.deepEqual(sink.described, []);
    await tasks.done("a");
    step.poll();
    assert.deepEqual(sink.described, ['"A" -> 0:1', '"B" -> 0:2']);
    assert.equal(sink.messages[0]?.timestampMs, 1_000);
  });

  it("asks for a poll when the oldest task is done, and only then", async () => {
    const { tasks, runtime, step } = setUp();
    submitAll(step, "ab");
    await tasks.done("b");
    assert.equal(runtime.wakes, 0);
    await tasks.done("a");
    assert.equal(runtime.wakes, 1);
  });

  it("rejects new messages while so many run and wait, counting results that wait for an earlier one", async () => {
    const { tasks, sink, step } = setUp({ maxPending: 1 });
    submitAll(step, "abc");
    const submitD = (): void => step.submit(at("d", 3));
    assert.equal(thrownBy(submitD), MESSAGE_REJECTED);
    await tasks.done("b");
    assert.equal(thrownBy(submitD), MESSAGE_REJECTED);
    await tasks.done("a");
    submitD();
    assert.deepEqual(sink.described, ['"A" -> 0:1', '"B" -> 0:2']);
    assert.deepEqual(tasks.started, ["a", "b", "c", "d"]);
  });

  it("keeps a result that the next step rejects", async () => {
    const { tasks, sink, step } = setUp();
    submitAll(step, "ab");
    await tasks.done("a", "b");
    sink.reject(2);
    step.poll();
    step.poll();
    assert.deepEqual(sink.described, []);
    step.poll();
    assert.deepEqual(sink.described, ['"A" -> 0:1', '"B" -> 0:2']);
    assert.deepEqual(tasks.started, ["a", "b"]);
  });

  it("polls the next step also while the oldest task is pending", () => {
    const { sink, step } = setUp();
    submitAll(step, "a");
    step.poll();
    step.poll();
    assert.equal(sink.polls, 2);
  });

  it("lets filtered messages round the function, in their turn", async () => {
    const { tasks, sink, step } = setUp();
    step.submit(filteredAt(0));
    assert.deepEqual(sink.described, ["- -> 0:1"]);
    step.submit(at("a", 1));
    step.submit(filteredAt(2));
    step.submit(at("b", 3));
    await tasks.done("a", "b");
    step.poll();
    assert.deepEqual(sink.described, ["- -> 0:1", '"A" -> 0:2', "- -> 0:3", '"B" -> 0:4']);
    assert.deepEqual(tasks.started, ["a", "b"]);
  });

  it("takes any number of filtered messages behind a slow task, and passes them on as one", async () => {
    const { tasks, sink, step } = setUp({ concurrency: 1, maxPending: 0 });
    submitAll(step, "a");
    for (let offset = 1; offset < 500; offset++) step.submit(filteredAt(offset));
    step.submit(filteredAt(3, P1));
    await tasks.done("a");
    step.poll();
    assert.deepEqual(sink.described, ['"A" -> 0:1', "- -> 0:500, 1:4"]);
  });

  it("surfaces a failure once, in the order of the messages, after what came before it", async () => {
    const { tasks, sink, step } = setUp();
    const failure = new Error("database gone");
    submitAll(step, "abc");
    await tasks.fail("b", failure);
    step.poll();
    assert.deepEqual(tasks.started, ["a", "b"], "nothing is started after a failure");
    await tasks.done("a");
    assert.equal(
      thrownBy(() => step.poll()),
      failure,
    );
    assert.deepEqual(sink.described, ['"A" -> 0:1']);
  });

  it("takes a throw before the first await for a failure of the task", async () => {
    const sink = new Sink<string>();
    const failure = new TypeError("no");
    const step = new RunTaskConcurrently(
      (message: Message<string>): Promise<string> => {
        if (message.payload === "b") throw failure;
        return Promise.resolve(message.payload);
      },
      { concurrency: 1 },
      sink,
    );
    submitAll(step, "ab");
    await turn();
    assert.equal(
      thrownBy(() => step.poll()),
      failure,
    );
    assert.deepEqual(sink.described, ['"a" -> 0:1']);
  });

  it("reports an invalid message once, in its turn, and commits it in its place", async () => {
    const { tasks, sink, step } = setUp();
    submitAll(step, "abc");
    await tasks.fail("b", invalid(at("b", 1), "bad"));
    step.poll();
    await tasks.done("a", "c");
    const error = thrownBy(() => step.poll());
    assert.ok(InvalidMessage.is(error));
    assert.deepEqual([error.offset, error.reason, error.needsCommit], [1, "bad", false]);
    assert.deepEqual(sink.described, ['"A" -> 0:1']);
    step.poll();
    assert.deepEqual(sink.described, ['"A" -> 0:1', "- -> 0:2", '"C" -> 0:3']);
  });

  it("refuses to guess when a task calls another message than its own invalid", async () => {
    const { tasks, step } = setUp();
    submitAll(step, "a");
    await tasks.fail("a", invalid(at("z", 9)));
    assert.throws(
      () => step.poll(),
      (error) => InvalidStateError.is(error) && error.message.includes("orders:0 offset 9"),
    );
  });

  it("says what to use instead when a task throws MessageRejected", async () => {
    const { tasks, step } = setUp();
    submitAll(step, "a");
    await tasks.fail("a", MESSAGE_REJECTED);
    assert.throws(
      () => step.poll(),
      (error) => InvalidStateError.is(error) && error.message.includes("Use retry"),
    );
  });

  it("commits a result that the next step finds invalid in its place", async () => {
    const { tasks, sink, step } = setUp();
    submitAll(step, "abc");
    sink.onSubmit = (message) => {
      if (message.payload === "A") throw InvalidMessage.from(message);
    };
    await tasks.done("a", "b");
    const error = thrownBy(() => step.poll());
    assert.ok(InvalidMessage.is(error) && error.offset === 0 && !error.needsCommit);
    step.poll();
    assert.deepEqual(sink.described, ["- -> 0:1", '"B" -> 0:2']);
  });

  it("does not take the word about an earlier message for one about the result at hand", async () => {
    const { tasks, sink, step } = setUp();
    submitAll(step, "a");
    await tasks.done("a");
    sink.onSubmit = () => {
      sink.onSubmit = undefined;
      throw new InvalidMessage(P1, 3, { needsCommit: false });
    };
    assert.ok(InvalidMessage.is(thrownBy(() => step.poll())));
    step.poll();
    assert.deepEqual(sink.described, ['"A" -> 0:1']);
  });

  describe("on batches", () => {
    type Batch = readonly Message<string>[];

    function setUpBatches(
      next: (sink: Sink<string>) => ConstructorParameters<typeof RunTaskConcurrently<Batch, string>>[2],
    ) {
      const sink = new Sink<string>();
      const runs: string[] = [];
      const tasks = new RunTaskConcurrently(
        async (batch: Message<Batch>): Promise<string> => {
          const letters = batch.payload.map((item) => item.payload).join("");
          runs.push(letters);
          await turn();
          const bad = batch.payload.find((item) => item.payload === "x");
          if (bad !== undefined) throw InvalidMessage.from(bad);
          return letters;
        },
        { concurrency: 2 },
        next(sink),
      );
      const step = new BatchStep({ maxBatchSize: 3, maxBatchTimeMs: 1_000 }, tasks);
      return { sink, runs, step };
    }

    it("runs a task again for the rest of a batch when it found one message invalid", async () => {
      const { sink, runs, step } = setUpBatches((sink) => sink);
      submitAll(step, "axbcde");
      const offsets: number[] = [];
      for (let i = 0; i < 8; i++) {
        await turn();
        const error = thrownBy(() => step.poll());
        if (InvalidMessage.is(error)) offsets.push(error.offset);
      }
      assert.deepEqual(runs, ["axb", "cde", "ab"]);
      assert.deepEqual(offsets, [1]);
      assert.deepEqual(sink.described, ['"ab" -> 0:3', '"cde" -> 0:6']);
    });

    it("commits a batch of which every message is invalid", async () => {
      const { sink, step } = setUpBatches((sink) => sink);
      submitAll(step, "xxx");
      const offsets: number[] = [];
      for (let i = 0; i < 12; i++) {
        await turn();
        const error = thrownBy(() => step.poll());
        if (InvalidMessage.is(error)) offsets.push(error.offset);
      }
      assert.deepEqual(offsets, [0, 1, 2]);
      assert.deepEqual(sink.described, ["- -> 0:3"]);
    });

    it("runs it again also when a step behind it finds one message of the batch invalid", async () => {
      const bad = at("b", 1);
      const { sink, runs, step } = setUpBatches(
        (sink) =>
          new RunTask((letters: Message<string>): string => {
            if (letters.payload.includes("b")) throw invalid(bad);
            return letters.payload;
          }, sink),
      );
      submitAll(step, "abc");
      const offsets: number[] = [];
      for (let i = 0; i < 6; i++) {
        await turn();
        const error = thrownBy(() => step.poll());
        if (InvalidMessage.is(error)) offsets.push(error.offset);
      }
      assert.deepEqual(runs, ["abc", "ac"]);
      assert.deepEqual(offsets, [1]);
      assert.deepEqual(sink.described, ['"ac" -> 0:3']);
    });
  });

  describe("with keys", () => {
    it("runs one task at a time per key, in order, and others meanwhile", async () => {
      const { tasks, sink, step } = setUp({ concurrency: 3, key: (message) => message.payload[0]! });
      for (const [i, payload] of ["a1", "a2", "b1", "a3", "b2", "c1"].entries()) step.submit(at(payload, i));
      assert.deepEqual(tasks.running, ["a1", "b1", "c1"]);
      await tasks.done("c1");
      assert.deepEqual(tasks.running, ["a1", "b1"]);
      await tasks.done("b1");
      assert.deepEqual(tasks.running, ["a1", "b2"]);
      await tasks.done("a1");
      assert.deepEqual(tasks.running, ["b2", "a2"]);
      await tasks.done("a2", "b2");
      await tasks.done("a3");
      step.poll();
      assert.deepEqual(
        sink.messages.map((message) => message.payload),
        ["A1", "A2", "B1", "A3", "B2", "C1"],
      );
    });

    it("starts anew for a key whose tasks are all done", async () => {
      const { tasks, step } = setUp({ key: (message) => message.payload[0]! });
      step.submit(at("a1", 0));
      await tasks.done("a1");
      step.submit(at("a2", 1));
      assert.deepEqual(tasks.running, ["a2"]);
    });

    it("takes the bytes of two messages' keys for the same key when they are equal", () => {
      const { tasks, step } = setUp({ key: (message) => Buffer.from(message.payload[0]!) });
      step.submit(at("a1", 0));
      step.submit(at("a2", 1));
      step.submit(at("b1", 2));
      assert.deepEqual(tasks.running, ["a1", "b1"]);
    });

    it("keeps messages without a key in no order", () => {
      const { tasks, step } = setUp({ key: () => null });
      submitAll(step, "ab");
      assert.deepEqual(tasks.running, ["a", "b"]);
    });

    it("refuses an object, which is equal to nothing but itself", () => {
      // @ts-expect-error: an object is no key
      const { step } = setUp({ key: (message) => ({ id: message.payload }) });
      assert.throws(
        () => submitAll(step, "a"),
        (error) => error instanceof ConfigurationError && error.message.includes("key returned an object"),
      );
    });

    it("brings a failure to light that came before older messages of another key had their turn", async () => {
      const { tasks, sink, step } = setUp({ concurrency: 3, key: (message) => message.payload[0]! });
      for (const [i, payload] of ["a1", "a2", "b1", "a3", "b2"].entries()) step.submit(at(payload, i));
      await tasks.fail("b1", new Error("broken"));
      assert.deepEqual(tasks.running, ["a1"], "nothing behind the failure is started");
      await tasks.done("a1");
      assert.deepEqual(tasks.running, ["a2"], "what comes before it is");
      await tasks.done("a2");
      assert.throws(() => step.poll(), /broken/);
      assert.deepEqual(
        sink.messages.map((message) => message.payload),
        ["A1", "A2"],
      );
      assert.deepEqual(tasks.running, []);
    });

    it("goes on with a key after an invalid message", async () => {
      const { tasks, step } = setUp({ key: () => "k" });
      submitAll(step, "ab");
      await tasks.fail("a", invalid(at("a", 0)));
      assert.deepEqual(tasks.running, ["b"]);
    });
  });

  describe("with retry", () => {
    it("tries a task again after a wait that grows, never longer than the limit", async () => {
      const { tasks, sink, runtime, step } = setUp({
        retry: { maxAttempts: 5, backoffMs: 100, maxBackoffMs: 300 },
      });
      submitAll(step, "a");
      for (const fullMs of [100, 200, 300, 300]) {
        await tasks.fail("a", new Error("blink"));
        runtime.clock.advance(fullMs / 2 - 1);
        await turn();
        assert.deepEqual(tasks.running, [], `half of ${fullMs} ms is the least`);
        runtime.clock.advance(fullMs / 2 + 1);
        await turn();
        assert.deepEqual(tasks.running, ["a"], `${fullMs} ms is the most`);
      }
      await tasks.done("a");
      step.poll();
      assert.deepEqual(sink.described, ['"A" -> 0:1']);
      assert.equal(runtime.metrics.count(MetricName.TASK_RETRIES), 4);
      assert.equal(runtime.clock.pendingTimers, 0);
    });

    it("surfaces the last error when every attempt was in vain", async () => {
      const { tasks, runtime, step } = setUp({ retry: { maxAttempts: 2 } });
      submitAll(step, "a");
      await tasks.fail("a", new Error("first"));
      runtime.clock.advance(100);
      await turn();
      const last = new Error("last");
      await tasks.fail("a", last);
      assert.equal(
        thrownBy(() => step.poll()),
        last,
      );
    });

    it("makes the message invalid instead, if that is wanted", async () => {
      const { tasks, sink, step } = setUp({ retry: { maxAttempts: 1, onExhausted: "invalid" } });
      submitAll(step, "a");
      const cause = new TypeError("secret payload");
      await tasks.fail("a", cause);
      const error = thrownBy(() => step.poll());
      assert.ok(InvalidMessage.is(error));
      assert.equal(error.offset, 0);
      assert.equal(error.cause, cause);
      assert.match(error.reason!, /gave up after 1 attempts \(TypeError\)/);
      assert.doesNotMatch(error.message, /secret/);
      step.poll();
      assert.deepEqual(sink.described, ["- -> 0:1"]);
    });

    it("makes every message of a batch invalid then", async () => {
      const sink = new Sink<string>();
      const tasks = new RunTaskConcurrently(
        async (_: Message<readonly Message<string>[]>): Promise<string> => {
          throw new Error("no");
        },
        { concurrency: 1, retry: { maxAttempts: 1, onExhausted: "invalid" } },
        sink,
      );
      const step = new BatchStep({ maxBatchSize: 2, maxBatchTimeMs: 1_000 }, tasks);
      submitAll(step, "ab");
      await turn();
      const offsets = [0, 1].map(() => (thrownBy(() => step.poll()) as InvalidMessage).offset);
      step.poll();
      assert.deepEqual(offsets, [0, 1]);
      assert.deepEqual(sink.described, ["- -> 0:2"]);
    });

    it("says why a message that was made of others cannot be made invalid", async () => {
      const { tasks, step } = setUp({ retry: { maxAttempts: 1, onExhausted: "invalid" } });
      step.submit(derived("a", [[P0, 4]]));
      const cause = new Error("no");
      await tasks.fail("a", cause);
      assert.throws(
        () => step.poll(),
        (error) => InvalidStateError.is(error) && error.cause === cause && /onExhausted/.test(error.message),
      );
    });

    it("does not try again what is not retryable, nor an invalid message", async () => {
      const { tasks, step } = setUp({
        retry: { maxAttempts: 9, retryable: (error) => !(error instanceof TypeError) },
      });
      submitAll(step, "ab");
      const failure = new TypeError("bug");
      await tasks.fail("a", invalid(at("a", 0)));
      await tasks.fail("b", failure);
      assert.ok(InvalidMessage.is(thrownBy(() => step.poll())));
      assert.equal(
        thrownBy(() => step.poll()),
        failure,
      );
      assert.deepEqual(tasks.started, ["a", "b"]);
    });

    it("surfaces what retryable throws", async () => {
      const bug = new Error("bug in retryable");
      const { tasks, step } = setUp({
        retry: {
          maxAttempts: 9,
          retryable: () => {
            throw bug;
          },
        },
      });
      submitAll(step, "a");
      await tasks.fail("a", new Error("first"));
      assert.equal(
        thrownBy(() => step.poll()),
        bug,
      );
    });

    it("holds the key while it waits", async () => {
      const { tasks, runtime, step } = setUp({ retry: { maxAttempts: 2 }, key: () => "k" });
      submitAll(step, "ab");
      await tasks.fail("a", new Error("blink"));
      assert.deepEqual(tasks.running, []);
      runtime.clock.advance(100);
      await turn();
      assert.deepEqual(tasks.running, ["a"]);
      await tasks.done("a");
      assert.deepEqual(tasks.running, ["b"]);
    });

    it("ends the wait when it is terminated, and leaves no timer behind", async () => {
      const { tasks, runtime, step } = setUp({ retry: { maxAttempts: 5 } });
      submitAll(step, "a");
      await tasks.fail("a", new Error("blink"));
      assert.equal(runtime.clock.pendingTimers, 1);
      step.terminate();
      await turn();
      assert.equal(runtime.clock.pendingTimers, 0);
      assert.deepEqual(tasks.started, ["a"]);
    });
  });

  describe("at its end", () => {
    it("finishes what was submitted, and then the next step, without being polled", async () => {
      const { tasks, sink, step } = setUp();
      submitAll(step, "abc");
      step.close();
      const joined = step.join(noDeadline());
      await tasks.done("b", "a");
      assert.deepEqual(sink.described, ['"A" -> 0:1', '"B" -> 0:2']);
      assert.deepEqual(sink.calls, []);
      await tasks.done("c");
      await joined;
      assert.deepEqual(sink.described, ['"A" -> 0:1', '"B" -> 0:2', '"C" -> 0:3']);
      assert.deepEqual(sink.calls, ["close", "join"]);
    });

    it("offers a rejected result again when it is polled during the join", async () => {
      const { tasks, sink, step } = setUp();
      submitAll(step, "a");
      await tasks.done("a");
      sink.reject(2);
      step.close();
      const joined = step.join(noDeadline());
      await turn();
      step.poll();
      await joined;
      assert.deepEqual(sink.described, ['"A" -> 0:1']);
    });

    it("reports an invalid message in the join, and goes on when it is joined again", async () => {
      const { tasks, sink, step } = setUp();
      submitAll(step, "abc");
      step.close();
      const joined = step.join(noDeadline());
      const failed = assert.rejects(joined, (error) => InvalidMessage.is(error) && error.offset === 1);
      await tasks.fail("b", invalid(at("b", 1)));
      await tasks.done("a");
      await failed;
      const again = step.join(noDeadline());
      await tasks.done("c");
      await again;
      assert.deepEqual(sink.described, ['"A" -> 0:1', "- -> 0:2", '"C" -> 0:3']);
      assert.deepEqual(sink.calls, ["close", "join"]);
    });

    it("rejects the join with a failure", async () => {
      const { tasks, sink, step } = setUp();
      submitAll(step, "a");
      step.close();
      const failure = new Error("no");
      const failed = assert.rejects(step.join(noDeadline()), failure);
      await tasks.fail("a", failure);
      await failed;
      assert.deepEqual(sink.calls, []);
    });

    it("gives up at the deadline: what is done goes on, the rest is aborted, and comes to nothing", async () => {
      const { tasks, sink, runtime, step } = setUp({ concurrency: 3 });
      submitAll(step, "abcd");
      await tasks.done("a", "c");
      step.close();
      const deadline = new AbortController();
      const joined = step.join(deadline.signal);
      deadline.abort();
      await joined;
      assert.deepEqual(sink.described, ['"A" -> 0:1']);
      assert.deepEqual(sink.calls, ["close", "join"]);
      const [, signalB] = tasks.signals;
      assert.ok(DeadlineError.is(signalB?.reason));
      assert.deepEqual(tasks.started, ["a", "b", "c", "d"]);
      await tasks.done("b");
      await tasks.fail("d", new Error("aborted"));
      assert.deepEqual(sink.described, ['"A" -> 0:1']);
      assert.equal(runtime.metrics.count(MetricName.LATE_RESULTS), 2);
    });

    it("takes a timeout that a task threw for the task's", async () => {
      const { tasks, step } = setUp();
      submitAll(step, "a");
      step.close();
      const failed = assert.rejects(step.join(noDeadline()), { name: "TimeoutError" });
      await tasks.fail("a", new DOMException("took too long", "TimeoutError"));
      await failed;
    });

    it("aborts everything when it is terminated, and drops what comes of it", async () => {
      const { tasks, sink, runtime, step } = setUp();
      submitAll(step, "abc");
      await tasks.done("a");
      step.terminate();
      assert.deepEqual(sink.calls, ["terminate"]);
      assert.deepEqual(
        tasks.signals.map((signal) => signal.aborted),
        [false, true, true],
      );
      await tasks.done("b");
      await tasks.fail("c", new Error("aborted"));
      assert.deepEqual(sink.described, []);
      assert.equal(runtime.metrics.count(MetricName.LATE_RESULTS), 2);
    });

    it("ends a join when it is terminated in the middle of it", async () => {
      const { sink, step } = setUp();
      submitAll(step, "a");
      step.close();
      const joined = step.join(noDeadline());
      step.terminate();
      await joined;
      assert.deepEqual(sink.calls, ["terminate"]);
    });
  });

  for (const [name, options] of [
    ["concurrency", { concurrency: 0 }],
    ["concurrency", { concurrency: 1.5 }],
    ["maxPending", { maxPending: -1 }],
    ["retry.maxAttempts", { retry: { maxAttempts: 0 } }],
    ["retry.backoffMs", { retry: { maxAttempts: 2, backoffMs: -1 } }],
    ["retry.maxBackoffMs", { retry: { maxAttempts: 2, backoffMs: 10, maxBackoffMs: 5 } }],
    ["retry.onExhausted", { retry: { maxAttempts: 2, onExhausted: "drop" as "throw" } }],
  ] as const) {
    it(`refuses ${JSON.stringify(options)} and names it`, () => {
      assert.throws(
        () => setUp(options),
        (error) =>
          error instanceof ConfigurationError && error.message.includes(`RunTaskConcurrently: ${name}`),
      );
    });
  }

  it("refuses a function that is not async, and a next step for something else, in types", () => {
    const sync = (message: Message<string>): string => message.payload;
    // @ts-expect-error: use RunTask
    new RunTaskConcurrently(sync, { concurrency: 1 }, new Sink<string>());
    new RunTaskConcurrently(
      async (message: Message<string>) => message.payload.length,
      { concurrency: 1, key: (message) => message.payload.slice(0, 1) },
      // @ts-expect-error: the results are numbers
      new Sink<string>(),
    );
  });
});
