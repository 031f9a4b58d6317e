import assert from "node:assert/strict";
import { test } from "node:test";
import { portLogger } from "../../../src/kafka/client/port-logger.ts";
import type { LogEvent } from "../../../src/kafka/client/protocol.ts";

test("whatever a log line holds, it crosses and does not throw", () => {
  const lines: LogEvent[] = [];
  const logger = portLogger((event) => lines.push(structuredClone(event)));
  const circular: { self?: unknown; offset: bigint } = { offset: 5n };
  circular.self = circular;
  logger.warn(
    { circular, offset: 7n, call: () => {}, nothing: { toJSON: () => undefined }, error: new Error("broke") },
    "Something is the matter.",
  );
  assert.equal(lines.length, 1);
  const { fields } = lines[0]!;
  assert.equal(fields["offset"], 7n);
  assert.equal((fields["error"] as Error).message, "broke");
});
