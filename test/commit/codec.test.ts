import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CommitLogError, decodeCommit, encodeCommit } from "../../src/commit/codec.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";

const ENTRY = {
  group: "leader-a",
  partition: Partition.of("topic", 3),
  offset: 5,
  originalMessageTimestampMs: 1_695_765_494_191,
  receivedP99Ms: 1_695_765_494_250.125,
};

test("an entry is written in Arroyo's form, in seconds", () => {
  const payload = encodeCommit(ENTRY);
  assert.equal(payload.key?.toString(), "topic:3:leader-a");
  assert.deepEqual(payload.json(), {
    offset: 5,
    orig_message_ts: 1695765494.191,
    received_p99: 1695765494.250125,
  });
  assert.deepEqual(payload.headers, []);
});

test("an entry comes back as it was written, to the microsecond", () => {
  const us = fc.integer({ min: 0, max: 4_000_000_000_000_000 });
  fc.assert(
    fc.property(us, fc.option(us), fc.maxSafeNat(), fc.string(), (originalUs, receivedUs, offset, group) => {
      const entry = {
        ...ENTRY,
        group,
        offset,
        originalMessageTimestampMs: originalUs / 1_000,
        receivedP99Ms: receivedUs ? receivedUs / 1_000 : undefined,
      };
      assert.deepEqual(decodeCommit(encodeCommit(entry)), entry);
    }),
  );
});

test("what Arroyo for Python wrote is read", () => {
  const decoded = decodeCommit(
    new KafkaPayload(
      "events:0:snuba",
      '{"offset": 77, "orig_message_ts": 1695765494.191325, "received_p99": null}',
    ),
  );
  assert.deepEqual(decoded, {
    group: "snuba",
    partition: Partition.of("events", 0),
    offset: 77,
    originalMessageTimestampMs: 1_695_765_494_191.325,
    receivedP99Ms: undefined,
  });
});

test("the older plain form is read, its header's time in UTC", () => {
  const decoded = decodeCommit(
    new KafkaPayload("topic:0:leader-a", "5", [["orig_message_ts", "2023-09-26T21:58:14.191325Z"]]),
  );
  assert.deepEqual(decoded, {
    group: "leader-a",
    partition: Partition.of("topic", 0),
    offset: 5,
    originalMessageTimestampMs: Date.UTC(2023, 8, 26, 21, 58, 14) + 191.325,
    receivedP99Ms: undefined,
  });
});

const GOOD_VALUE = '{"offset":1,"orig_message_ts":1}';

for (const [what, payload, says] of [
  ["no key", new KafkaPayload(null, GOOD_VALUE), /key/],
  ["a key without a group", new KafkaPayload("topic:0", GOOD_VALUE), /key/],
  ["a key without a number", new KafkaPayload("topic:x:group", GOOD_VALUE), /key/],
  ["a topic that cannot be", new KafkaPayload("to pic:0:group", GOOD_VALUE), /no partition/],
  ["a tombstone", new KafkaPayload("topic:0:group", null), /no value/],
  ["no JSON", new KafkaPayload("topic:0:group", "{"), /neither JSON nor/],
  ["JSON that is no object", new KafkaPayload("topic:0:group", "7.5"), /no object/],
  ["null", new KafkaPayload("topic:0:group", "null"), /no object/],
  ["no offset", new KafkaPayload("topic:0:group", '{"orig_message_ts":1}'), /offset/],
  ["an offset in words", new KafkaPayload("topic:0:group", '{"offset":"1","orig_message_ts":1}'), /offset/],
  ["an offset that a number cannot hold", new KafkaPayload("topic:0:group", "9007199254740993"), /2\^53/],
  ["no timestamp", new KafkaPayload("topic:0:group", '{"offset":1}'), /orig_message_ts/],
  ["the older form without its header", new KafkaPayload("topic:0:group", "5"), /older form/],
  [
    "the older form with another time",
    new KafkaPayload("topic:0:group", "5", [["orig_message_ts", "yesterday"]]),
    /older form/,
  ],
] as const) {
  test(`refused in words that say why: ${what}`, () => {
    assert.throws(
      () => decodeCommit(payload),
      (error) =>
        error instanceof CommitLogError && error.code === "ARROYO_COMMIT_LOG" && says.test(error.message),
    );
  });
}
