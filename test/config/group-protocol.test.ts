import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveConsumerConfig } from "../../src/kafka/config.ts";
import { ErrorCode } from "../../src/errors.ts";

const resolve = (settings: object): ReturnType<typeof resolveConsumerConfig> =>
  resolveConsumerConfig({ "bootstrap.servers": "broker:9092", "group.id": "g", ...settings });

function refuses(settings: object, what: RegExp): void {
  assert.throws(
    () => resolve(settings),
    (error: Error & { code?: string }) => error.code === ErrorCode.CONFIGURATION && what.test(error.message),
  );
}

test("groups are of the classic protocol unless the newer one is asked for", () => {
  assert.equal(resolve({})["group.protocol"], "classic");
  assert.equal(resolve({ "group.protocol": "consumer" })["group.protocol"], "consumer");
  assert.equal(resolve({ "group.protocol": "consumer" })["group.remote.assignor"], undefined);
  assert.equal(
    resolve({ "group.protocol": "consumer", "group.remote.assignor": "range" })["group.remote.assignor"],
    "range",
  );
  refuses({ "group.protocol": "kip848" }, /"group\.protocol"/);
});

test("what the brokers decide under the newer protocol is refused, even at its default", () => {
  for (const [key, value] of [
    ["session.timeout.ms", 45_000],
    ["heartbeat.interval.ms", 3_000],
    ["partition.assignment.strategy", "cooperative-sticky"],
  ] as const) {
    refuses(
      { "group.protocol": "consumer", [key]: value },
      new RegExp(`"${key}" has no effect while "group\\.protocol" is consumer.*leave it out`),
    );
    assert.equal(resolve({ "group.protocol": "classic", [key]: value })["group.protocol"], "classic");
  }
});

test("the brokers' assignor is refused under the classic protocol, which has none", () => {
  for (const settings of [{}, { "group.protocol": "classic" }]) {
    refuses(
      { ...settings, "group.remote.assignor": "uniform" },
      /"group\.remote\.assignor" has no effect while "group\.protocol" is classic/,
    );
  }
});

test("a default that has no effect rules nothing out: the main thread's time may be shorter than a classic session", () => {
  const short = { "max.poll.interval.ms": 5_000 };
  assert.equal(resolve({ "group.protocol": "consumer", ...short })["max.poll.interval.ms"], 5_000);
  refuses(short, /"session\.timeout\.ms"/);
});
