import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveProducerConfig } from "../../src/kafka/config.ts";
import { ErrorCode } from "../../src/errors.ts";

const resolve = (settings: object): ReturnType<typeof resolveProducerConfig> =>
  resolveProducerConfig({ "bootstrap.servers": "broker:9092", ...settings });

test("a producer is idempotent, unless something that was set rules it out", () => {
  assert.equal(resolve({})["enable.idempotence"], true);
  assert.equal(resolve({ acks: "all", retries: 5, "max.in.flight": 100 })["enable.idempotence"], true);
  assert.equal(resolve({ acks: 1 })["enable.idempotence"], false);
  assert.equal(resolve({ retries: 0 })["enable.idempotence"], false);
  assert.equal(resolve({ "enable.idempotence": false })["enable.idempotence"], false);
});

test("one that is asked to be idempotent, and cannot be, is refused", () => {
  for (const [settings, what] of [
    [{ acks: 1 }, /"acks" to be all, and it is 1/],
    [{ retries: 0 }, /"retries" to be at least 1, and it is 0/],
    [{ "max.in.flight": 6 }, /"max.in.flight.requests.per.connection" to be at most 5, and it is 6/],
  ] as const) {
    assert.throws(
      () => resolve({ "enable.idempotence": true, ...settings }),
      (error: Error & { code?: string }) =>
        error.code === ErrorCode.CONFIGURATION && what.test(error.message),
    );
  }
  assert.equal(
    resolve({ "enable.idempotence": true, "max.in.flight": 5, acks: "all" })["enable.idempotence"],
    true,
  );
});
