import assert from "node:assert/strict";
import { test } from "node:test";
import { arrived, portLogger } from "../../../src/kafka/client/port-logger.ts";
import { ConsumerError } from "../../../src/errors.ts";
import type { LogEvent } from "../../../src/kafka/client/protocol.ts";

test("whatever a log line holds, it crosses and does not throw", () => {
  const lines: LogEvent[] = [];
  const logger = portLogger((event) => lines.push(structuredClone(event)));
  const circular: { self?: unknown; offset: bigint } = { offset: 5n };
  circular.self = circular;
  logger.warn(
    {
      circular,
      offset: 7n,
      call: () => {},
      nothing: { toJSON: () => undefined },
      err: new ConsumerError("broke", { cause: new Error("why") }),
    },
    "Something is the matter.",
  );
  assert.equal(lines.length, 1);
  const { fields } = lines[0]!;
  assert.equal(fields["offset"], 7n);
  const { err } = arrived(fields, "consumer");
  assert.ok(err instanceof ConsumerError);
  assert.deepEqual(
    [err.message, err.code, (err.cause as Error).message],
    ["broke", "ARROYO_CONSUMER", "why"],
  );
});
