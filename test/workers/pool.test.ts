import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { ConfigurationError, InvalidStateError, WorkerError } from "../../src/errors.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { RunTaskInWorkers } from "../../src/strategies/run-task-in-workers.ts";
import { MockClock } from "../../src/testing/index.ts";
import { WorkerPool } from "../../src/workers/pool.ts";
import { workerTask, type WorkerTask } from "../../src/workers/task.ts";
import { at } from "../strategies/fixtures.ts";
import { Announcements, Driver, RecordingLogger, TASKS, goOn, makePool, same, task } from "./driver.ts";

const folder = mkdtempSync(join(tmpdir(), "arroyo-workers-"));
after(() => rmSync(folder, { recursive: true }));

let markers = 0;

/** The path of a file that is not there: tasks leave it behind to know what they did before. */
function marker(): string {
  return join(folder, `marker-${markers++}`);
}

/** Polls until something is thrown, and returns it. */
async function failure(driver: { until(condition: () => boolean): Promise<void> }): Promise<Error> {
  return driver
    .until(() => false)
    .then(
      () => assert.fail("nothing was thrown"),
      (error: unknown) => error as Error,
    );
}

describe("WorkerPool, when a worker dies", { timeout: 120_000 }, () => {
  const deaths = {
    "process.exit in the task": task(TASKS, "exitOnce"),
    "an error from a timer while the task waits": task(TASKS, "throwFromTimer"),
  };
  for (const [how, dying] of Object.entries(deaths)) {
    it(`replaces it and does its batch again: ${how}`, async () => {
      await using pool = makePool();
      const driver = new Driver<string, string>(pool, { task: dying });
      const path = marker();
      assert.deepEqual(await driver.run("a", path, "b", "c", "d"), ["a", path, "b", "c", "d"]);
      assert.equal(driver.runtime.metrics.count(MetricName.WORKER_DIED), 1);
      assert.ok(driver.runtime.logger.has("A worker died at orders[0] offset 1; its batch is done again."));
    });
  }

  it("gives up after three more tries, with the position of the message, after what came before", async () => {
    await using pool = makePool({ workers: 2 });
    const driver = new Driver(pool, { task: task(TASKS, "exitAt"), prefetchBatches: 4 });
    await driver.submit(1, 2, 3, 4, -5, 6, 7, 8, 9);
    const error = await failure(driver);
    assert.ok(WorkerError.is(error));
    assert.match(
      error.message,
      /A worker died at orders\[0\] offset 4, and so did 3 others.*exited with code 9/,
    );
    assert.deepEqual(driver.results, [1, 2, 3]);
    assert.equal(driver.runtime.metrics.count(MetricName.WORKER_DIED), 4);
    driver.step.terminate();
    const fresh = new Driver(pool, { task: task(TASKS, "exitAt") });
    assert.deepEqual(await fresh.run(1, 2, 3, 4), [1, 2, 3, 4]);
  });

  it("keeps what the worker threw as the cause, and does not lose what others do", async () => {
    await using pool = makePool({ workers: 2, resourceLimits: { maxOldGenerationSizeMb: 20 } });
    const bad = new Driver<number, number>(pool, { task: task(TASKS, "exhaust"), maxBatchSize: 1 });
    const good = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 1 });
    await bad.submit(1);
    assert.deepEqual(await good.run(1, 1, 1, 1), [1, 1, 1, 1]);
    const error = await failure(bad);
    assert.ok(WorkerError.is(error));
    assert.ok(error.cause instanceof Error);
    assert.equal((error.cause as Error & { code?: string }).code, "ERR_WORKER_OUT_OF_MEMORY");
  });

  it("counts a batch as done whose results were sent before the worker died", async () => {
    const logger = new RecordingLogger();
    await using pool = makePool({ logger });
    const driver = new Driver<string, string>(pool, { task: task(TASKS, "exitAfter"), maxBatchSize: 1 });
    assert.deepEqual(await driver.run("a"), ["a"]);
    await logger.logged("A worker died while it was idle");
    assert.equal(driver.runtime.metrics.count(MetricName.WORKER_DIED), 0);
  });

  it("replaces a worker that dies idle, when there is work again, and logs why", async () => {
    const logger = new RecordingLogger();
    await using pool = makePool({ logger });
    for (let i = 0; i < 5; i++) {
      const driver = new Driver<string, string>(pool, { task: task(TASKS, "dieLater") });
      assert.deepEqual(await driver.run("a"), ["a"]);
      await logger.logged("A worker died while it was idle");
      const { fields } = logger.lines.pop()!;
      assert.equal((fields["err"] as Error).message, "died while idle");
    }
  });
});

describe("WorkerPool, when a worker stalls", { timeout: 120_000 }, () => {
  for (const name of ["hangAt", "hungForever"] as const) {
    it(`ends it, and says at which message it was (${name})`, async () => {
      const clock = new MockClock();
      using announcements = new Announcements();
      await using pool = makePool({ stallTimeoutMs: 60_000, clock });
      const driver = new Driver<number, number>(pool, { task: task(TASKS, name), maxBatchSize: 2 });
      await driver.submit(1, 2);
      await driver.until(() => driver.results.length === 2);
      await driver.submit(3, -4, 5, 6);
      await announcements.begun(3);
      clock.advance(60_000);
      clock.advance(15_000);
      const error = await failure(driver);
      assert.ok(WorkerError.is(error));
      assert.match(error.message, /did not go on for 60000 ms \(stallTimeoutMs\) at orders\[0\] offset 3/);
      assert.equal(driver.runtime.metrics.count(MetricName.WORKER_STALLED), 1);
      driver.step.terminate();
      const fresh = new Driver<number, number>(pool, { task: task(TASKS, name) });
      assert.deepEqual(await fresh.run(1, 2, 3), [1, 2, 3]);
      assert.equal(clock.pendingTimers, 0);
    });
  }

  it("does not take a long batch for a stall as long as its messages go on", async () => {
    const clock = new MockClock();
    using announcements = new Announcements();
    await using pool = makePool({ stallTimeoutMs: 60_000, clock });
    const driver = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 5 });
    await driver.submit(1, 20, 20, 20, 20);
    for (let offset = 1; offset <= 4; offset++) {
      await announcements.begun(offset);
      clock.advance(59_000);
    }
    await driver.until(() => driver.results.length === 5);
    assert.equal(driver.runtime.metrics.count(MetricName.WORKER_STALLED), 0);
  });
});

describe("WorkerPool and its initializer", { timeout: 120_000 }, () => {
  it("has run it before the first task, in each worker", async () => {
    await using pool = makePool({ workers: 2, initializer: task(TASKS, "setUp") });
    const driver = new Driver<string, string>(pool, { task: task(TASKS, "told"), maxBatchSize: 1 });
    assert.deepEqual(new Set(await driver.run(..."abcdefgh".split(""))), new Set(["set up"]));
  });

  const failing = {
    setUpBadly: /could not be started \(its initializer is setUpBadly\): the database is not there/,
    exitInSetUp: /could not be started \(its initializer is exitInSetUp\): The worker exited with code 3/,
  } as const;
  for (const [name, message] of Object.entries(failing)) {
    it(`says so, at once, when it fails: ${name}`, async () => {
      await using pool = makePool({
        workers: 2,
        initializer: task(TASKS, name as keyof typeof failing),
      });
      for (let i = 0; i < 2; i++) {
        const driver = new Driver<number, number>(pool, { task: task(TASKS, "sleep") });
        await driver.submit(1, 2, 3);
        const error = await failure(driver);
        assert.ok(WorkerError.is(error));
        assert.match(error.message, message);
        if (name === "setUpBadly") assert.ok(error.cause instanceof TypeError);
        driver.step.terminate();
      }
    });
  }

  it("says so when it does not exist", async () => {
    const initializer = { module: TASKS, exportName: "misspelt" };
    await using pool = makePool({ initializer });
    const driver = new Driver<number, number>(pool, { task: task(TASKS, "sleep") });
    await driver.submit(1, 2, 3);
    assert.match((await failure(driver)).message, /exports no function named "misspelt"/);
  });
});

describe("WorkerPool, shared", { timeout: 120_000 }, () => {
  it("serves two strategies at once, each its own task, each in order", async () => {
    await using pool = makePool({ workers: 2 });
    const one = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 2 });
    const two = new Driver<string, string>(pool, { task: task(TASKS, "told"), maxBatchSize: 3 });
    const payloads = Array.from({ length: 30 }, (_, i) => i % 4);
    const [ones, twos] = await Promise.all([one.run(...payloads), two.run(...payloads.map(String))]);
    assert.deepEqual(ones, payloads);
    assert.equal(twos.length, 30);
  });

  it("serves a chain of two on one worker, with blocks that overflow all the time", async () => {
    await using pool = makePool();
    const options = { pool, maxBatchSize: 4, maxBatchTimeMs: 0, outputBlockBytes: 60, prefetchBatches: 0 };
    const driver = new Driver<Buffer, Buffer>(
      pool,
      { ...options, task: same() },
      (sink) => new RunTaskInWorkers<Buffer, Buffer>({ ...options, task: same() }, sink),
    );
    const payloads = Array.from({ length: 25 }, (_, i) => Buffer.alloc(30, i));
    assert.deepEqual(await driver.run(...payloads), payloads);
    assert.ok(driver.runtime.metrics.count(MetricName.WORKERS_OUTPUT_OVERFLOW) > 10);
  });

  it("does not lose the work of one when the other gives up", async () => {
    await using pool = makePool();
    const gone = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 1 });
    const stays = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 1 });
    await gone.submit(10, 10);
    await stays.submit(1, 2);
    gone.step.terminate();
    await stays.finish();
    assert.deepEqual(stays.results, [1, 2]);
    assert.deepEqual(gone.results, []);
  });
});

describe("WorkerPool, when work is given up", { timeout: 120_000 }, () => {
  it("lets the message in work come to its end, and begins none after it", async () => {
    using announcements = new Announcements();
    // On this clock, nobody is ended for taking long to stop.
    await using pool = makePool({ clock: new MockClock() });
    const driver = new Driver<string, string>(pool, { task: task(TASKS, "leaveTrace"), maxBatchSize: 2 });
    const [first, second] = [marker(), marker()];
    await driver.submit(first, second);
    await announcements.begun(0);
    driver.step.terminate();
    goOn();
    const fresh = new Driver<string, string>(pool, { task: same() });
    assert.deepEqual(await fresh.run("a"), ["a"]);
    assert.ok(existsSync(`${first}.done`));
    assert.ok(!existsSync(`${second}.begun`));
  });
});

describe("WorkerPool, how it is made and ended", { timeout: 240_000 }, () => {
  it("refuses options that make no sense, and names them", () => {
    for (const [options, message] of [
      [{ workers: 0 }, /workers is 0/],
      [{ workers: 1.5 }, /workers is 1.5/],
      [{ workers: 1, stallTimeoutMs: 0 }, /stallTimeoutMs is 0/],
      [{ workers: 1, stallTimeoutMs: NaN }, /stallTimeoutMs is NaN/],
    ] as const) {
      assert.throws(
        () => new WorkerPool(options),
        (error) => error instanceof ConfigurationError && message.test(error.message),
      );
    }
  });

  it("fails what it has not done when it is closed, and takes nothing more", async () => {
    const pool = makePool();
    const driver = new Driver<number, number>(pool, { task: task(TASKS, "hungForever"), maxBatchSize: 1 });
    await driver.submit(-1, 2);
    await Promise.all([pool.close(), pool.close()]);
    assert.ok(pool.closed);
    assert.ok(InvalidStateError.is(await failure(driver)));
    driver.step.terminate();
    const late = new Driver<number, number>(pool, { task: task(TASKS, "sleep"), maxBatchSize: 1 });
    assert.throws(() => late.step.submit(at(3, 2)), /WorkerPool is closed/);
  });

  const closing = "await pool.close(); console.log(pool.closed);";
  const ends = {
    "without closing it": "",
    "closing it": closing,
    // Their results are on the way, and have not been heard of, when the workers are ended.
    "closing it with results on the way": `const late = new Driver(pool, { task: task(TASKS, "spin"), maxBatchSize: 1 });
      await late.submit(1, 1);
      for (const until = performance.now() + 300; performance.now() < until;);
      late.step.terminate();
      ${closing}`,
  };
  for (const [how, end] of Object.entries(ends)) {
    it(`keeps the process alive while there is work, and not for a moment longer: ${how}`, () => {
      const driver = JSON.stringify(new URL("./driver.ts", import.meta.url).href);
      const program = join(folder, "program.mjs");
      writeFileSync(
        program,
        `const { Driver, makePool, task, TASKS } = await import(${driver});
        const pool = makePool({ workers: 2 });
        const driver = new Driver(pool, { task: task(TASKS, "sleep") });
        console.log(JSON.stringify(await driver.run(30, 0, 1, 2)));
        ${end}`,
      );
      const { stdout, status, stderr } = spawnSync(process.execPath, [program], {
        encoding: "utf8",
        timeout: 60_000,
      });
      const expected = `[30,0,1,2]\n${end === "" ? "" : "true\n"}`;
      assert.deepEqual({ stdout, status }, { stdout: expected, status: 0 }, stderr);
    });
  }
});

describe("workerTask", () => {
  it("compiles for functions of a message that the module exports, and for nothing else", () => {
    // oxlint-disable-next-line typescript/consistent-type-imports -- as the docs show it
    const named = workerTask<typeof import("./tasks.ts")>();
    const typed: WorkerTask<number, number> = named(TASKS, "sleep");
    assert.deepEqual(typed, { module: TASKS, exportName: "sleep" });
    // @ts-expect-error -- misspelt
    named(TASKS, "slep");
    // @ts-expect-error -- no function
    named(TASKS, "notAFunction");
    // @ts-expect-error -- a function, but not of a message
    named(TASKS, "ofText");
    // @ts-expect-error -- takes numbers
    const wrongInput: WorkerTask<string, number> = named(TASKS, "sleep");
    // @ts-expect-error -- returns numbers (its promise does)
    const wrongOutput: WorkerTask<number, string> = named(TASKS, "sleep");
    assert.deepEqual(wrongInput, wrongOutput);
  });

  it("is what the strategy takes its types from", async () => {
    await using pool = makePool();
    const { step } = new Driver(pool, { task: task(TASKS, "upperCase") });
    // @ts-expect-error -- the task takes Kafka payloads
    const input: Parameters<typeof step.submit>[0] = at(1, 0);
    assert.ok(input);
    step.terminate();
  });
});
