import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { InvalidStateError } from "../../src/errors.ts";
import type { Message } from "../../src/message/message.ts";
import { CommitOffsets } from "../../src/strategies/commit-offsets.ts";
import { FilterStep } from "../../src/strategies/filter-step.ts";
import { StrategyGuard } from "../../src/strategies/guard.ts";
import { Healthcheck } from "../../src/strategies/healthcheck.ts";
import { Noop } from "../../src/strategies/noop.ts";
import { Produce } from "../../src/strategies/produce.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import type { ProcessingStrategy } from "../../src/strategies/strategy.ts";
import { P0, Sink, at, noDeadline, turn } from "./fixtures.ts";

const folder = mkdtempSync(join(tmpdir(), "arroyo-lifecycle-"));
after(() => rmSync(folder, { recursive: true }));

const producer = { produce: async () => ({ partition: P0, offset: 0, timestampMs: 0 }) };

const strategies: readonly [
  name: string,
  make: (next: Sink<string>) => ProcessingStrategy<string>,
  last?: true,
][] = [
  ["RunTask", (next) => new RunTask((message: Message<string>) => message.payload, next)],
  ["FilterStep", (next) => new FilterStep<string>(() => true, next)],
  ["Produce", (next) => new Produce<string>({ producer, topic: "out" }, next)],
  ["Healthcheck", (next) => new Healthcheck(join(folder, "health.txt"), next)],
  ["StrategyGuard(Noop)", (next) => new StrategyGuard(() => new Noop(), next), true],
  ["CommitOffsets", () => new CommitOffsets(() => {}), true],
  ["Noop", () => new Noop(), true],
];

for (const [name, make, last] of strategies) {
  describe(`the lifecycle of ${name}`, () => {
    const refused = (call: string, state: string) => (error: unknown) =>
      InvalidStateError.is(error) &&
      error.message.includes(`${name}.${call}()`) &&
      error.message.includes(state);

    it("goes from submit over close to join", async () => {
      const sink = new Sink<string>();
      const step = make(sink);
      step.submit(at("a", 0));
      step.poll();
      step.close();
      const joined = step.join(noDeadline());
      await turn();
      if (name === "Produce") step.poll();
      await joined;
      if (last === undefined) assert.deepEqual(sink.calls, ["close", "join"]);
    });

    it("refuses what comes out of order, and names the strategy", async () => {
      const step = make(new Sink<string>());
      await assert.rejects(step.join(noDeadline()), refused("join", "open"));
      step.close();
      assert.throws(() => step.submit(at("a", 0)), refused("submit", "closed"));
      assert.throws(() => step.close(), refused("close", "closed"));
      await step.join(noDeadline());
      assert.throws(() => step.poll(), refused("poll", "joined"));
      await assert.rejects(step.join(noDeadline()), refused("join", "joined"));
    });

    it("refuses everything after terminate, but a second terminate does nothing", async () => {
      const sink = new Sink<string>();
      const step = make(sink);
      step.terminate();
      step.terminate();
      if (last === undefined) assert.deepEqual(sink.calls, ["terminate"]);
      assert.throws(() => step.submit(at("a", 0)), refused("submit", "terminated"));
      assert.throws(() => step.poll(), refused("poll", "terminated"));
      assert.throws(() => step.close(), refused("close", "terminated"));
      await assert.rejects(step.join(noDeadline()), refused("join", "terminated"));
    });
  });
}
