import assert from "node:assert/strict";
import { test } from "node:test";
import { limitedLogger } from "../src/log-limit.ts";
import type { LogFields, Logger } from "../src/logger.ts";
import { MockClock } from "../src/testing/index.ts";

function recorder(): { readonly logger: Logger; readonly lines: [string, LogFields][] } {
  const lines: [string, LogFields][] = [];
  const note =
    (level: string) =>
    (fields: LogFields, message: string): void =>
      void lines.push([`${level}: ${message}`, fields]);
  return {
    lines,
    logger: { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") },
  };
}

test("of what comes for each record ten lines are logged, and at the end of the minute the last, with how many were left out", () => {
  const clock = new MockClock();
  const { logger, lines } = recorder();
  const limited = limitedLogger(logger, clock);
  for (let offset = 0; offset < 5_000; offset++) limited.error({ offset }, "A message is invalid.");
  assert.equal(lines.length, 10);
  clock.advance(60_000);
  assert.deepEqual(lines.slice(10), [["error: A message is invalid.", { offset: 4_999, suppressed: 4_989 }]]);
  limited.error({ offset: 5_000 }, "A message is invalid.");
  assert.deepEqual(lines.at(-1), ["error: A message is invalid.", { offset: 5_000 }]);
});

test("what was left out is said at the latest when that which logs is closed, and once", () => {
  const clock = new MockClock();
  const { logger, lines } = recorder();
  const limited = limitedLogger(logger, clock);
  for (let offset = 0; offset < 11; offset++) limited.error({ offset }, "A message is invalid.");
  for (let offset = 0; offset < 12; offset++) limited.warn({ offset }, "A message is late.");
  limited.info({}, "It happens now and then.");
  const before = lines.length;
  limited.flush();
  assert.deepEqual(lines.slice(before), [
    ["error: A message is invalid.", { offset: 10 }],
    ["warn: A message is late.", { offset: 11, suppressed: 1 }],
  ]);
  limited.flush();
  clock.advance(120_000);
  assert.equal(lines.length, before + 2);
});

test("a logger that throws when the minute ends takes nothing down", () => {
  const clock = new MockClock();
  let isBroken = false;
  const { logger } = recorder();
  const limited = limitedLogger(
    {
      ...logger,
      error() {
        if (isBroken) throw new Error("no disk");
      },
    },
    clock,
  );
  for (let i = 0; i < 20; i++) limited.error({}, "A message is invalid.");
  isBroken = true;
  clock.advance(60_000);
  limited.flush();
});

test("one message does not silence another, nor the same one at another level, and debug lines all go through", () => {
  const { logger, lines } = recorder();
  const limited = limitedLogger(logger, new MockClock());
  for (let i = 0; i < 50; i++) {
    limited.warn({}, "One.");
    limited.debug({}, "One.");
  }
  limited.warn({}, "Two.");
  limited.error({}, "One.");
  limited.info({}, "One.");
  const count = (text: string): number => lines.filter(([line]) => line === text).length;
  assert.deepEqual(
    ["warn: One.", "debug: One.", "warn: Two.", "error: One.", "info: One."].map(count),
    [10, 50, 1, 1, 1],
  );
});

test("messages that differ are all logged", () => {
  const clock = new MockClock();
  const { logger, lines } = recorder();
  const limited = limitedLogger(logger, clock);
  for (let broker = 0; broker < 1_000; broker++) {
    limited.warn({}, `Broker ${broker} cannot be reached.`);
    clock.advance(1_000);
  }
  assert.equal(lines.length, 1_000);
});
