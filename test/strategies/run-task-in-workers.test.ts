import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigurationError, InvalidStateError, MESSAGE_REJECTED, WorkerError } from "../../src/errors.ts";
import { FILTERED_PAYLOAD } from "../../src/message/filtered.ts";
import { BrokerMessage, type Submitted } from "../../src/message/message.ts";
import { bodySize, KafkaPayload, payloadOfBody, writeBody } from "../../src/message/payload.ts";
import { Partition } from "../../src/message/partition.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { RunTaskInWorkers } from "../../src/strategies/run-task-in-workers.ts";
import type { WorkerTask } from "../../src/workers/task.ts";
import { Driver, TASKS, makePool, same, task, type WakingRuntime } from "../workers/driver.ts";
import { P0, P1, Sink, at, derived, filteredAt, invalid, noDeadline, thrownBy } from "./fixtures.ts";

/** As a payload comes out of a fetched batch: not made of parts yet. */
function fetched(payload: KafkaPayload): KafkaPayload {
  const bytes = Buffer.alloc(bodySize(payload) + 9);
  return payloadOfBody(bytes, 5, writeBody(payload, bytes, 5));
}

describe("RunTaskInWorkers, what goes in and comes out", { timeout: 120_000 }, () => {
  it("hands results on in the order of the messages, however long each takes", async () => {
    await using pool = makePool({ workers: 2 });
    const driver = new Driver(pool, { task: task(TASKS, "sleep"), maxBatchSize: 2 });
    const durations = [25, 0, 1, 0, 12, 3, 0, 0, 7, 1, 0];
    assert.deepEqual(await driver.run(...durations), durations);
    assert.deepEqual(
      driver.sink.messages.map(({ committable }) => committable.get(P0)),
      durations.map((_, i) => i + 1),
    );
  });

  it("gives the task the message: partition, offset, timestamp and payload", async () => {
    await using pool = makePool();
    const driver = new Driver<unknown, unknown>(pool, { task: task(TASKS, "seen") });
    await driver.submitMessage(new BrokerMessage("a", P0, 7, 1_234));
    await driver.submitMessage(new BrokerMessage("b", P1, 2 ** 52));
    await driver.submitMessage(
      derived("c", [
        [P0, 8],
        [P1, 3],
      ]),
    );
    await driver.finish();
    assert.deepEqual(driver.results, [
      {
        partition: "orders:0",
        interned: true,
        offset: 7,
        timestampMs: 1_234,
        committable: ["orders:0@8"],
        isMessage: true,
        payload: "a",
      },
      {
        partition: "orders:1",
        interned: false,
        offset: 2 ** 52,
        timestampMs: undefined,
        committable: [`orders:1@${2 ** 52 + 1}`],
        isMessage: true,
        payload: "b",
      },
      {
        partition: undefined,
        interned: false,
        offset: undefined,
        timestampMs: undefined,
        committable: ["orders:0@8", "orders:1@3"],
        isMessage: false,
        payload: "c",
      },
    ]);
    assert.deepEqual(
      [...driver.sink.messages[2]!.committable],
      [
        [P0, 8],
        [P1, 3],
      ],
    );
  });

  it("brings Kafka payloads there and back: tombstones, null keys, headers, made or fetched", async () => {
    await using pool = makePool();
    const driver = new Driver<KafkaPayload, KafkaPayload>(pool, { task: same() });
    const payloads = [
      new KafkaPayload("key", "value"),
      new KafkaPayload("key", null),
      new KafkaPayload(null, "value"),
      new KafkaPayload(null, null),
      new KafkaPayload("", ""),
      new KafkaPayload(Buffer.of(0, 255), Buffer.alloc(100_000, 7), [
        ["trace", "1"],
        ["trace", null],
        ["ключ", Buffer.of(1, 2)],
      ]),
    ];
    const results = (await driver.run(...payloads, ...payloads.map(fetched))) as KafkaPayload[];
    assert.equal(results.length, 12);
    for (const [i, result] of results.entries()) {
      assert.ok(result instanceof KafkaPayload);
      assert.ok(result.equals(payloads[i % 6]!), `payload ${i} is the same`);
    }
  });

  it("makes new payloads of old ones", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "upperCase") });
    const [result] = (await driver.run(
      fetched(new KafkaPayload("k", "straße", [["h", "1"]])),
    )) as KafkaPayload[];
    assert.ok(result!.equals(new KafkaPayload("k", "STRASSE", [["h", "1"]])));
  });

  it("brings back payloads that are inside of something else", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "several") });
    const [three, none] = (await driver.run(
      new KafkaPayload(null, "3"),
      new KafkaPayload(null, "0"),
    )) as KafkaPayload[][];
    assert.deepEqual(
      three!.map((payload) => [payload.key?.toString(), payload.text()]),
      [
        ["k0", "v0"],
        ["k1", "v1"],
        ["k2", "v2"],
      ],
    );
    assert.deepEqual(none, []);
  });

  it("brings back anything else by structured clone", async () => {
    await using pool = makePool();
    const driver = new Driver<unknown, unknown>(pool, { task: same() });
    const small = Buffer.from("a slice of a shared pool of bytes");
    const payloads = [
      { id: 1, nested: { list: [1, "two", null, undefined] }, at: new Date(5), bytes: small },
      new Map([["a", new Set([1n, NaN])]]),
      [1, 2, 3],
      "text",
      "\ud800 alone",
      "",
      42,
      -0,
      undefined,
      null,
      true,
      Buffer.from("bytes"),
      new Uint8Array([1, 2, 3]),
      new Float64Array([0.5]),
    ];
    const results = await driver.run(...payloads);
    assert.deepEqual(results, payloads);
    assert.ok(Buffer.isBuffer(results[11]));
    assert.equal(results[12]!.constructor, Uint8Array);
  });

  it("awaits a task that is async", async () => {
    await using pool = makePool();
    const driver = new Driver<string, string>(pool, {
      task: task(TASKS, "sameLater") as WorkerTask<string, string>,
    });
    assert.deepEqual(await driver.run("a", "b", "c", "d"), ["a", "b", "c", "d"]);
  });

  it("uses every worker", async () => {
    await using pool = makePool({ workers: 2 });
    const driver = new Driver(pool, { task: task(TASKS, "thread"), maxBatchSize: 1 });
    await driver.run(...Array.from({ length: 40 }, (_, i) => i));
    assert.equal(new Set(driver.results).size, 2);
  });
});

describe("RunTaskInWorkers and filtered messages", { timeout: 120_000 }, () => {
  it("passes them on in their turn, without the task", async () => {
    await using pool = makePool({ workers: 2 });
    const driver = new Driver(pool, { task: task(TASKS, "sleep") });
    const messages: Submitted<number>[] = [
      filteredAt(0),
      at(20, 1),
      filteredAt(2),
      at(0, 3),
      at(1, 4),
      filteredAt(5),
    ];
    for (const message of messages) await driver.submitMessage(message);
    await driver.finish();
    assert.deepEqual(driver.sink.described, [
      "- -> 0:1",
      "20 -> 0:2",
      "- -> 0:3",
      "0 -> 0:4",
      "1 -> 0:5",
      "- -> 0:6",
    ]);
  });

  it("passes them on at once when there is nothing before them, and lets their rejection through", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "sleep") });
    driver.step.submit(filteredAt(0));
    driver.sink.reject(1);
    assert.equal(
      thrownBy(() => driver.step.submit(filteredAt(1))),
      MESSAGE_REJECTED,
    );
    driver.step.submit(filteredAt(1));
    assert.deepEqual(driver.sink.described, ["- -> 0:1", "- -> 0:2"]);
  });

  it("needs no worker for a batch of nothing else", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "sleep"), maxBatchSize: 1 });
    await driver.submit(20);
    await driver.submitMessage(filteredAt(1));
    await driver.finish();
    assert.deepEqual(driver.sink.described, ["20 -> 0:1", "- -> 0:2"]);
  });

  it("takes FILTERED_PAYLOAD from the task", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "evenOnly") });
    assert.deepEqual(await driver.run(1, 2, 3, 4), [FILTERED_PAYLOAD, 2, FILTERED_PAYLOAD, 4]);
  });
});

describe("RunTaskInWorkers, how it makes batches", { timeout: 120_000 }, () => {
  const sizes = ({ runtime }: { readonly runtime: WakingRuntime }): readonly number[] =>
    runtime.metrics.timings(MetricName.WORKERS_BATCH_MESSAGES);

  it("sends a batch when it is full, and what is left when it is closed", async () => {
    await using pool = makePool();
    const driver = new Driver<number, number>(pool, { task: same(), maxBatchSize: 4 });
    await driver.run(...Array.from({ length: 10 }, (_, i) => i));
    assert.deepEqual(sizes(driver), [4, 4, 2]);
    assert.equal(driver.runtime.metrics.last(MetricName.WORKERS_BATCHES_IN_PROGRESS), 0);
    assert.equal(driver.runtime.metrics.last(MetricName.WORKERS_PROCESSES), 1);
  });

  it("sends a batch when its time is over, and asks to be polled then", async () => {
    await using pool = makePool();
    const driver = new Driver<string, string>(pool, {
      task: same(),
      maxBatchSize: 100,
      maxBatchTimeMs: 50,
    });
    driver.runtime.clock.advance(7);
    await driver.submit("a");
    assert.deepEqual(driver.runtime.wakesAt, [57]);
    driver.runtime.clock.advance(49);
    await driver.submit("b");
    driver.poll();
    assert.deepEqual(sizes(driver), []);
    driver.runtime.clock.advance(1);
    driver.poll();
    assert.deepEqual(sizes(driver), [2]);
    await driver.until(() => driver.results.length === 2);
    assert.deepEqual(driver.results, ["a", "b"]);
  });

  it("splits a batch that outgrows a fixed input block, and counts and logs it", async () => {
    await using pool = makePool();
    const driver = new Driver<Buffer, Buffer>(pool, {
      task: same(),
      maxBatchSize: 100,
      inputBlockBytes: 1_000,
    });
    const payloads = [400, 400, 400, 800, 10, 10].map((size, i) => Buffer.alloc(size, i));
    assert.deepEqual(await driver.run(...payloads), payloads);
    assert.deepEqual(sizes(driver), [2, 1, 3]);
    assert.equal(driver.runtime.metrics.count(MetricName.WORKERS_INPUT_OVERFLOW), 2);
    assert.equal(driver.runtime.logger.lines.length, 1, "once a minute is enough");
    assert.ok(driver.runtime.logger.has("A batch for workers was split"));
    assert.equal(driver.runtime.metrics.count(MetricName.WORKERS_INPUT_RESIZE), 0);
    for (const bytes of driver.runtime.metrics.timings(MetricName.WORKERS_BATCH_BYTES))
      assert.ok(bytes <= 1_000);
  });

  it("refuses a message that is larger than a fixed input block, and says which", async () => {
    await using pool = makePool();
    const driver = new Driver<Buffer, Buffer>(pool, { task: same(), inputBlockBytes: 1_000 });
    await driver.submit(Buffer.alloc(10));
    await assert.rejects(
      driver.submit(Buffer.alloc(1_000)),
      (error) =>
        WorkerError.is(error) &&
        /orders\[0\] offset 1 is too large.*inputBlockBytes \(1000\)/.test(error.message),
    );
  });

  it("splits a batch whose results outgrow a fixed output block, and runs the task once for each message", async () => {
    await using pool = makePool({ workers: 2 });
    const driver = new Driver<string, string>(pool, {
      task: task(TASKS, "counted"),
      maxBatchSize: 100,
      outputBlockBytes: 50,
    });
    const payloads = Array.from({ length: 20 }, (_, i) => `message ${i}`);
    const results = (await driver.run(...payloads)) as string[];
    assert.deepEqual(
      results.map((result) => result.replace(/ \d+$/, "")),
      payloads,
    );
    // The workers count their calls: together they were called as often as there are messages.
    assert.equal(
      results.map((result) => Number(result.split(" ").at(-1))).filter((calls) => calls > 20).length,
      0,
    );
    assert.equal(
      driver.runtime.metrics.timings(MetricName.WORKERS_OUTPUT_MESSAGES).reduce((a, b) => a + b),
      20,
    );
    assert.ok(driver.runtime.metrics.count(MetricName.WORKERS_OUTPUT_OVERFLOW) >= 5);
    assert.ok(driver.runtime.logger.has("A batch was split in its worker"));
  });

  it("refuses a result that is larger than a fixed output block, in its turn, and says for which message", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "bytes"), outputBlockBytes: 1_000 });
    await driver.submit(900, 10, 1_000);
    await assert.rejects(
      driver.until(() => false),
      (error) => WorkerError.is(error) && /takes 1005 bytes.*outputBlockBytes \(1000\)/.test(error.message),
    );
    assert.deepEqual(driver.results, [Buffer.alloc(900, 0), Buffer.alloc(10, 1)]);
    assert.ok(driver.runtime.logger.has("A task failed in a worker at orders[0] offset 2"));
  });

  it("grows blocks whose size is automatic, and makes the next ones as large", async () => {
    await using pool = makePool();
    const driver = new Driver<Buffer, Buffer>(pool, { task: same(), maxBatchSize: 3 });
    const payloads = Array.from({ length: 12 }, (_, i) => Buffer.alloc(200_000, i));
    assert.deepEqual(await driver.run(...payloads), payloads);
    const { metrics } = driver.runtime;
    assert.deepEqual(sizes(driver), [3, 3, 3, 3]);
    assert.equal(metrics.count(MetricName.WORKERS_INPUT_RESIZE), 1);
    assert.equal(metrics.count(MetricName.WORKERS_OUTPUT_RESIZE), 1);
    assert.equal(metrics.count(MetricName.WORKERS_INPUT_OVERFLOW), 0);
    assert.equal(metrics.count(MetricName.WORKERS_OUTPUT_OVERFLOW), 0);
  });

  it("keeps the bound also where the first message made the block grow", async () => {
    await using pool = makePool();
    const driver = new Driver<Buffer, Buffer>(pool, { task: same(), maxInputBlockBytes: 100_000 });
    await driver.run(...[66_000, 30_000, 20_000].map((size) => Buffer.alloc(size)));
    assert.deepEqual(sizes(driver), [2, 1]);
  });

  it("grows them up to a bound, beyond which only a single message goes", async () => {
    await using pool = makePool();
    const driver = new Driver<Buffer, Buffer>(pool, {
      task: same(),
      maxBatchSize: 10,
      maxInputBlockBytes: 100_000,
      maxOutputBlockBytes: 70_000,
    });
    const payloads = [30_000, 30_000, 500_000, 30_000, 30_000, 30_000, 60_000, 60_000].map((size, i) =>
      Buffer.alloc(size, i),
    );
    assert.deepEqual(await driver.run(...payloads), payloads);
    assert.deepEqual(sizes(driver), [2, 1, 3, 1, 1]);
    assert.equal(driver.runtime.metrics.count(MetricName.WORKERS_INPUT_OVERFLOW), 4);
    assert.equal(driver.runtime.metrics.count(MetricName.WORKERS_OUTPUT_OVERFLOW), 2);
  });
});

describe("RunTaskInWorkers and back-pressure", { timeout: 120_000 }, () => {
  it("rejects when each worker has a batch and the prefetched ones are there, until one has come back", async () => {
    await using pool = makePool();
    const driver = new Driver<string, string>(pool, {
      task: task(TASKS, "sameLater") as WorkerTask<string, string>,
      maxBatchSize: 1,
      prefetchBatches: 1,
    });
    driver.step.submit(at("a", 0));
    driver.step.submit(at("b", 1));
    assert.equal(
      thrownBy(() => driver.step.submit(at("c", 2))),
      MESSAGE_REJECTED,
    );
    await driver.runtime.woken();
    driver.poll();
    driver.step.submit(at("c", 2));
    await driver.finish();
    assert.deepEqual(driver.results, ["a", "b", "c"]);
  });

  it("keeps what the next step rejects, hands on nothing before it, and runs no task again", async () => {
    await using pool = makePool();
    const driver = new Driver<string, string>(pool, { task: task(TASKS, "counted"), prefetchBatches: 1 });
    driver.sink.reject(Infinity);
    await driver.submit("a", "b", "c", "d", "e", "f");
    await driver.runtime.woken();
    for (let i = 0; i < 3; i++) driver.poll();
    assert.deepEqual(driver.results, []);
    assert.equal(
      thrownBy(() => driver.step.submit(at("g", 6))),
      MESSAGE_REJECTED,
    );
    assert.ok(driver.runtime.metrics.count(MetricName.WORKERS_BACKPRESSURE) > 0);
    driver.sink.reject(0);
    await driver.submit("g");
    await driver.finish();
    assert.deepEqual(driver.results, ["a 1", "b 2", "c 3", "d 4", "e 5", "f 6", "g 7"]);
  });

  it("keeps order under random rejections", async () => {
    await using pool = makePool({ workers: 2 });
    const driver = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 2 });
    driver.sink.onSubmit = () => {
      if (Math.random() < 0.5) {
        driver.runtime.wake();
        throw MESSAGE_REJECTED;
      }
    };
    const payloads = Array.from({ length: 60 }, () => Math.floor(Math.random() * 3));
    assert.deepEqual(await driver.run(...payloads), payloads);
  });
});

describe("RunTaskInWorkers and invalid messages", { timeout: 120_000 }, () => {
  it("reports each once, in order, with partition, offset and reason, and passes a filtered one on in its place", async () => {
    await using pool = makePool({ workers: 2 });
    const driver = new Driver(pool, { task: task(TASKS, "refuseOdd") });
    await driver.run(0, 1, 2, 3, 5, 6, 8);
    assert.deepEqual(driver.sink.described, [
      "0 -> 0:1",
      "- -> 0:2",
      "2 -> 0:3",
      "- -> 0:4",
      "- -> 0:5",
      "6 -> 0:6",
      "8 -> 0:7",
    ]);
    assert.deepEqual(
      driver.invalid.map(({ error, after }) => [error.offset, error.reason, error.needsCommit, after]),
      [
        [1, "1 is odd", false, 1],
        [3, "3 is odd", false, 3],
        [4, "5 is odd", false, 4],
      ],
    );
    const { error } = driver.invalid[0]!;
    assert.equal(error.partition, P0, "the partition is the interned one");
    assert.match(error.stack ?? "", /refuseOdd/);
    assert.ok(error.cause instanceof Error && error.cause.message === "not even");
  });

  it("leaves the invalid ones out of a batch of messages, and loses no other", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "sumOfEven") });
    const batch = [at(2, 0), at(3, 1), at(4, 2, P1), at(5, 3), at(6, 4)];
    await driver.submitMessage(
      derived(batch, [
        [P0, 5],
        [P1, 3],
      ]),
    );
    await driver.finish();
    assert.deepEqual(driver.sink.described, ['"2+4+6" -> 0:5, 1:3']);
    assert.deepEqual(
      driver.invalid.map(({ error, after }) => [error.offset, error.reason, error.needsCommit, after]),
      [
        [1, "3 is odd", false, 0],
        [3, "5 is odd", false, 0],
      ],
    );
  });

  it("passes a filtered message on in the place of a batch of which nothing is left", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "sumOfEven") });
    await driver.submitMessage(derived([at(3, 0), at(5, 1)], [[P0, 2]]));
    await driver.finish();
    assert.deepEqual(driver.sink.described, ["- -> 0:2"]);
    assert.deepEqual(
      driver.invalid.map(({ error }) => error.offset),
      [0, 1],
    );
  });

  it("refuses an InvalidMessage about a message that the task does not have", async () => {
    await using pool = makePool();
    const driver = new Driver<string, never>(pool, { task: task(TASKS, "elsewhere") });
    await driver.submit("a");
    await assert.rejects(driver.finish(), /neither about the message.*orders\[7\] offset 1234/);
    assert.deepEqual(driver.results, []);
  });

  it("lets an InvalidMessage of the next step through, once, with a filtered message in its place", async () => {
    await using pool = makePool();
    const driver = new Driver<number, number>(pool, { task: same() });
    driver.sink.onSubmit = (message) => {
      if (message.payload === 2) throw invalid(message as BrokerMessage<number>, "not two");
    };
    await driver.run(1, 2, 3, 4);
    assert.deepEqual(driver.sink.described, ["1 -> 0:1", "- -> 0:2", "3 -> 0:3", "4 -> 0:4"]);
    assert.deepEqual(
      driver.invalid.map(({ error }) => error.reason),
      ["not two"],
    );
  });
});

describe("RunTaskInWorkers and errors of the task", { timeout: 120_000 }, () => {
  for (const name of ["failAt", "failLater"] as const) {
    it(`surfaces them as they are, after what came before (${name})`, async () => {
      await using pool = makePool({ workers: 2 });
      const driver = new Driver(pool, { task: task(TASKS, name) });
      await driver.submit(1, 2, 3, 4, -5, 6);
      const error = await driver
        .until(() => false)
        .then(
          () => assert.fail(),
          (thrown: unknown) => thrown as Error & { code: string; cause: Error },
        );
      assert.equal(error.name, "OutOfStock");
      assert.equal(error.message, "nothing left of -5");
      assert.equal(error.code, "E_STOCK");
      assert.match(error.stack ?? "", /failAt.*tasks\.ts/s);
      assert.ok(error.cause instanceof TypeError);
      assert.equal(error.cause.message, "beneath it");
      assert.deepEqual(driver.results, [1, 2, 3, 4]);
      assert.ok(driver.runtime.logger.has("A task failed in a worker at orders[0] offset 4"));
      driver.step.terminate();
      assert.deepEqual(driver.results, [1, 2, 3, 4], "nothing that came after it goes on");
    });
  }

  it("makes an error of what is none, and keeps its text", async () => {
    await using pool = makePool();
    const driver = new Driver<number, never>(pool, { task: task(TASKS, "throwText") });
    await assert.rejects(driver.run(1), { name: "Error", message: "just a text" });
  });

  it("does not take a MessageRejected of the task for one of the next step", async () => {
    await using pool = makePool();
    const driver = new Driver<number, never>(pool, { task: task(TASKS, "reject") });
    await assert.rejects(driver.run(1), /threw MessageRejected in a worker/);
  });

  it("says for which message a result cannot be cloned", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "unclonable") });
    await driver.submit(1, 2, -3);
    await assert.rejects(
      driver.until(() => false),
      (error) => WorkerError.is(error) && /cannot be sent back.*could not be cloned/.test(error.message),
    );
    assert.deepEqual(driver.results, [1, 2]);
    assert.ok(driver.runtime.logger.has("A task failed in a worker at orders[0] offset 2"));
  });

  it("says which message has a payload that cannot be cloned", async () => {
    await using pool = makePool();
    const driver = new Driver<unknown, unknown>(pool, { task: same() });
    await assert.rejects(
      driver.submit("a", { callback() {} }),
      (error) =>
        WorkerError.is(error) && /orders\[0\] offset 1 cannot be sent to a worker/.test(error.message),
    );
  });

  it("says what a module does not export, or that it cannot be loaded", async () => {
    await using pool = makePool();
    const misspelt = new Driver<string, string>(pool, {
      task: { module: TASKS, exportName: "notAFunction" },
    });
    await assert.rejects(misspelt.run("a"), /tasks\.ts exports no function named "notAFunction".*upperCase/);
    const missing = new Driver<string, string>(pool, {
      task: { module: new URL("./nowhere.ts", TASKS), exportName: "same" },
    });
    await assert.rejects(
      missing.run("a"),
      (error) =>
        WorkerError.is(error) &&
        /cannot be loaded.*nowhere\.ts/.test(error.message) &&
        error.cause !== undefined,
    );
  });
});

describe("RunTaskInWorkers, how it is made and ended", { timeout: 120_000 }, () => {
  it("refuses options that make no sense, and names them", async () => {
    await using pool = makePool();
    const good = { task: task(TASKS, "sleep"), pool, maxBatchSize: 1, maxBatchTimeMs: 1 };
    const refused = (options: object, name: RegExp): void =>
      assert.throws(
        () => new RunTaskInWorkers({ ...good, ...options }, new Sink<number>()),
        (error) => error instanceof ConfigurationError && name.test(error.message),
      );
    refused({ maxBatchSize: 0 }, /maxBatchSize is 0/);
    refused({ maxBatchSize: 1.5 }, /maxBatchSize is 1.5/);
    refused({ maxBatchTimeMs: -1 }, /maxBatchTimeMs is -1/);
    refused({ maxBatchTimeMs: NaN }, /maxBatchTimeMs is NaN/);
    refused({ prefetchBatches: -1 }, /prefetchBatches is -1/);
    refused({ inputBlockBytes: 0 }, /inputBlockBytes is 0/);
    refused({ maxOutputBlockBytes: 0.5 }, /maxOutputBlockBytes is 0.5/);
    refused({ inputBlockBytes: 1, maxInputBlockBytes: 1 }, /maxInputBlockBytes.*inputBlockBytes/);
  });

  it("refuses calls out of order, and names itself", async () => {
    await using pool = makePool();
    const { step } = new Driver<number, number>(pool, { task: same() });
    await assert.rejects(step.join(noDeadline()), InvalidStateError);
    step.close();
    assert.throws(() => step.submit(at(1, 0)), /RunTaskInWorkers\.submit\(\).*closed/);
    assert.throws(() => step.close(), InvalidStateError);
    await step.join(noDeadline());
    assert.throws(() => step.poll(), InvalidStateError);
  });

  it("joins the next step when everything has gone on, and not before", async () => {
    await using pool = makePool();
    const driver = new Driver<number, number>(pool, { task: task(TASKS, "sleep") });
    await driver.submit(5, 5);
    driver.step.close();
    assert.deepEqual(driver.sink.calls, []);
    // Nobody polls: the join alone sees to it.
    await driver.step.join(noDeadline());
    assert.deepEqual(driver.results, [5, 5]);
    assert.deepEqual(driver.sink.calls, ["close", "join"]);
  });

  it("gives the pool back clean when a join runs out of time: no old result reaches the new chain", async () => {
    await using pool = makePool({ workers: 2 });
    const old = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 1 });
    await old.submit(0);
    await old.until(() => old.results.length === 1);
    await old.submit(60, 60, 60);
    const deadline = new AbortController();
    const finished = old.finish(deadline.signal);
    deadline.abort();
    await finished;
    assert.deepEqual(old.sink.calls, ["close", "join"]);
    assert.equal(old.runtime.metrics.count(MetricName.WORKERS_ABANDONED), 3);
    assert.ok(old.runtime.logger.has("abandoned"));

    const fresh = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 1 });
    assert.deepEqual(await fresh.run(1, 2, 3, 4, 5, 6), [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(old.results, [0]);
  });

  it("gives the pool back when it is terminated, also from a task that never ends", async () => {
    await using pool = makePool();
    for (const name of ["hangAt", "hungForever"] as const) {
      const old = new Driver<number, number>(pool, { task: task(TASKS, name), maxBatchSize: 1 });
      await old.submit(1);
      await old.until(() => old.results.length === 1);
      await old.submit(-1);
      old.step.terminate();
      assert.deepEqual(old.sink.calls, ["terminate"]);
      const fresh = new Driver<number, number>(pool, { task: task(TASKS, "sleep") });
      assert.deepEqual(await fresh.run(1, 2, 3), [1, 2, 3]);
      assert.deepEqual(old.results, [1]);
      assert.equal(old.runtime.metrics.count(MetricName.WORKERS_ABANDONED), 1);
    }
  });

  it("ends a join that waits when it is terminated", async () => {
    await using pool = makePool();
    const driver = new Driver<number, number>(pool, { task: task(TASKS, "hungForever"), maxBatchSize: 1 });
    await driver.submit(-1);
    driver.step.close();
    const join = driver.step.join(noDeadline());
    driver.step.terminate();
    await join;
    assert.deepEqual(driver.sink.calls, ["terminate"]);
  });

  it("joins what is left after an InvalidMessage when it is called again", async () => {
    await using pool = makePool();
    const driver = new Driver(pool, { task: task(TASKS, "refuseOdd") });
    await driver.submit(0, 1, 2);
    driver.step.close();
    await assert.rejects(driver.step.join(noDeadline()), /1 is odd/);
    await driver.step.join(noDeadline());
    assert.deepEqual(driver.sink.described, ["0 -> 0:1", "- -> 0:2", "2 -> 0:3"]);
    assert.deepEqual(driver.sink.calls, ["close", "join"]);
  });

  it("surfaces an error of the next step's poll", async () => {
    await using pool = makePool();
    const driver = new Driver<number, number>(pool, { task: same() });
    driver.sink.onPoll = () => {
      throw new Error("from further down");
    };
    assert.throws(() => driver.step.poll(), /from further down/);
  });

  it("works for partitions that it has not seen before, in every batch", async () => {
    await using pool = makePool();
    const driver = new Driver<string, string>(pool, { task: same(), maxBatchSize: 2 });
    const partitions = Array.from({ length: 9 }, (_, i) => Partition.of(`topic-${i % 4}`, i));
    for (const [i, partition] of partitions.entries()) await driver.submitMessage(at(`m${i}`, i, partition));
    await driver.finish();
    assert.deepEqual(
      driver.sink.messages.map(({ partition, payload }) => [partition, payload]),
      partitions.map((partition, i) => [partition, `m${i}`]),
    );
  });
});
