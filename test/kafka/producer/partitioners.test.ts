import { test } from "node:test";
import assert from "node:assert/strict";
import { PARTITIONERS, StickyPartition, type PartitionerName } from "../../../src/kafka/partitioners.ts";
import { bodySize, KafkaPayload, payloadOfBody, writeBody } from "../../../src/message/payload.ts";

/** With so many partitions the partition is the whole hash. */
const ALL = { consistent_random: 2 ** 32, murmur2_random: 2 ** 31 } as const;

function fetched(payload: KafkaPayload): KafkaPayload {
  const bytes = Buffer.alloc(bodySize(payload) + 3);
  return payloadOfBody(bytes, 3, writeBody(payload, bytes, 3));
}

function hash(name: PartitionerName, key: string | Uint8Array | null): number {
  const payload = new KafkaPayload(key, "v");
  const chosen = PARTITIONERS[name](payload, ALL[name]);
  assert.equal(
    PARTITIONERS[name](fetched(payload), ALL[name]),
    chosen,
    "the same for a payload that was fetched",
  );
  return chosen;
}

test("consistent_random chooses as librdkafka does", () => {
  // From librdkafka's own test of its partitioners (0048), and the check value of the CRC.
  assert.equal(hash("consistent_random", "23456"), 0xb1b451d7);
  assert.equal(
    hash("consistent_random", "this is another string with more length to it perhaps"),
    0xb0150df7,
  );
  assert.equal(hash("consistent_random", "hejsan"), 0xd077037e);
  assert.equal(hash("consistent_random", "123456789"), 0xcbf43926);
  assert.equal(PARTITIONERS.consistent_random(new KafkaPayload("hejsan", null), 17), 0xd077037e % 17);
  assert.equal(hash("consistent_random", null), -1);
  assert.equal(hash("consistent_random", ""), -1, "an empty key is no key");
});

test("a long key has the same hash as it would have byte by byte", () => {
  // CRC-32 of 1,000 times "a", as zlib computes it.
  assert.equal(hash("consistent_random", "a".repeat(1_000)), 0x9a38da03);
  assert.equal(hash("consistent_random", "a".repeat(64)), 0x89b46555);
  assert.equal(hash("consistent_random", "a".repeat(65)), 0xf33faf5d);
});

test("murmur2_random chooses as Java does", () => {
  // From librdkafka's test (0048) and from UtilsTest of Kafka's Java client.
  assert.equal(hash("murmur2_random", ""), 0x106e08d9);
  assert.equal(hash("murmur2_random", "23456"), 0x058d780f);
  assert.equal(hash("murmur2_random", "this is another string with more length to it perhaps"), 0x4f7703da);
  assert.equal(hash("murmur2_random", "hejsan"), 0x5ec19395);
  const java: Record<string, number> = {
    "21": -973932308,
    foobar: -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
    abc: 479470107,
  };
  for (const [key, signed] of Object.entries(java))
    assert.equal(hash("murmur2_random", key), signed & 0x7fffffff, key);
  assert.equal(
    hash("murmur2_random", Uint8Array.of(0xff, 0x80, 0x7f)),
    hash("murmur2_random", Buffer.from("ff807f", "hex")),
  );
  assert.equal(hash("murmur2_random", null), -1);
});

const NONE: ReadonlySet<number> = new Set();

test("messages without a key stay with one partition for a while, then go to another", () => {
  const random = [0.1, 0.6, 0.9];
  const sticky = new StickyPartition(10, () => random.shift()!);
  assert.deepEqual(
    [1_000, 1_005, 1_009.9].map((now) => sticky.choose(4, NONE, now)),
    [0, 0, 0],
  );
  assert.deepEqual(
    [1_010, 1_015].map((now) => sticky.choose(4, NONE, now)),
    [2, 2],
  );
  assert.equal(sticky.choose(4, NONE, 500), 3, "a clock that was set back does not make it stay for ever");
});

test("with no time to stay, each goes somewhere else", () => {
  const random = [0.1, 0.6, 0.9];
  const sticky = new StickyPartition(0, () => random.shift()!);
  assert.deepEqual(
    [1, 1, 1].map((now) => sticky.choose(4, NONE, now)),
    [0, 2, 3],
  );
});

test("a partition without a leader is left, and not chosen while another has one", () => {
  const sticky = new StickyPartition(1_000, () => 0);
  assert.equal(sticky.choose(3, NONE, 1), 0);
  assert.equal(sticky.choose(3, new Set([0]), 2), 1);
  assert.equal(sticky.choose(3, new Set([0, 1]), 3), 2);
  assert.equal(sticky.choose(3, new Set([0, 1, 2]), 4), 0, "all are without: any of them will do");
  const last = new StickyPartition(1_000, () => 0.999_999);
  assert.equal(last.choose(5, new Set([4, 1]), 1), 3);
  assert.equal(last.choose(2, NONE, 2), 1, "a topic that has fewer partitions now");
});
