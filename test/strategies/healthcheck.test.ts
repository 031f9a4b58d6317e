import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, utimesSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { ConfigurationError } from "../../src/errors.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { Healthcheck } from "../../src/strategies/healthcheck.ts";
import { Sink, TestRuntime, at, attach, noDeadline, turn } from "./fixtures.ts";

const folder = mkdtempSync(join(tmpdir(), "arroyo-health-"));
after(() => rmSync(folder, { recursive: true }));

function setUp(name: string) {
  const path = join(folder, name);
  const sink = new Sink<string>();
  const runtime = new TestRuntime();
  const step = new Healthcheck(path, sink);
  attach(step, runtime);
  return { path, sink, runtime, step };
}

describe("Healthcheck", () => {
  it("makes the file at the first poll, and touches it once a second at most", () => {
    const { path, runtime, step } = setUp("rhythm");
    assert.ok(!existsSync(path));
    step.poll();
    assert.ok(existsSync(path));
    assert.equal(runtime.wakesAt.at(-1), 1_000, "asks to be polled when the next touch is due");
    unlinkSync(path);
    runtime.clock.advance(999);
    step.poll();
    assert.ok(!existsSync(path));
    runtime.clock.advance(1);
    step.poll();
    assert.ok(existsSync(path), "back after a probe has removed it");
    assert.equal(runtime.metrics.count(MetricName.HEALTHCHECK_TOUCH), 2);
  });

  it("sets the file's time to now", () => {
    const { path, runtime, step } = setUp("time");
    step.poll();
    utimesSync(path, 0, 0);
    runtime.clock.advance(1_000);
    step.poll();
    assert.ok(Date.now() - statSync(path).mtimeMs < 60_000);
  });

  it("does not touch the file when the rest of the chain fails", () => {
    const { path, sink, step } = setUp("after");
    sink.onPoll = () => {
      throw new Error("broken");
    };
    assert.throws(() => step.poll(), /broken/);
    assert.ok(!existsSync(path));
  });

  it("goes on while the chain is drained", async () => {
    const { path, sink, step } = setUp("draining");
    const { promise, resolve } = Promise.withResolvers<void>();
    sink.onJoin = () => promise;
    step.close();
    const joined = step.join(noDeadline());
    await turn();
    step.poll();
    assert.ok(existsSync(path));
    resolve();
    await joined;
  });

  it("passes messages on as they are", () => {
    const { sink, step } = setUp("pass");
    step.submit(at("a", 0));
    assert.deepEqual(sink.described, ['"a" -> 0:1']);
  });

  it("says so when the file cannot be written", () => {
    const path = join(folder, "missing", "health.txt");
    const step = new Healthcheck(path, new Sink<string>());
    assert.throws(
      () => step.poll(),
      (error) =>
        error instanceof ConfigurationError && error.message.includes(path) && error.cause !== undefined,
    );
  });
});
