import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConsumerError } from "../../../src/errors.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from "../../../src/kafka/client/consumer-protocol.ts";

test("a subscription reads as it was written, with what the member holds", () => {
  const owned = new Map([["orders", [0, 3]]]);
  const topics = ["orders", "users"];
  const bytes = encodeSubscription(topics, { owned, generationId: 7 });
  assert.deepEqual(decodeSubscription(bytes), { topics, owned, generationId: 7 });
});

test("a version 0 subscription of an older client holds nothing", () => {
  // int16 version 0, one topic "t", no user data: as librdkafka writes it.
  const bytes = Buffer.from([0, 0, 0, 0, 0, 1, 0, 1, 0x74, 0xff, 0xff, 0xff, 0xff]);
  assert.deepEqual(decodeSubscription(bytes), { topics: ["t"], owned: new Map(), generationId: -1 });
});

test("what librdkafka's members and Java's write is read", () => {
  // As librdkafka 2.16 wrote it to a broker: it holds partition 1, since generation 2.
  const librdkafka = Buffer.from(
    "0003000000010006676f6c64656e00000018000000010006676f6c64656e0000000100000001000000020000" +
      "00010006676f6c64656e0000000100000001000000020000",
    "hex",
  );
  const owned = new Map([["golden", [1]]]);
  assert.deepEqual(decodeSubscription(librdkafka), { topics: ["golden"], owned, generationId: 2 });
  // As 2.0 did, before version 2: the generation is only at the end of the user data.
  const olderLibrdkafka = Buffer.from(
    "000100000001000567376d30730000001f00000001000567376d3073000000030000000600000007000000080000001100000001" +
      "000567376d307300000003000000060000000700000008",
    "hex",
  );
  assert.deepEqual(decodeSubscription(olderLibrdkafka), {
    topics: ["g7m0s"],
    owned: new Map([["g7m0s", [6, 7, 8]]]),
    generationId: 17,
  });
  // When it holds nothing yet.
  const newcomer = Buffer.from("000100000001000567376d307300000008000000000000001800000000", "hex");
  assert.deepEqual(decodeSubscription(newcomer), { topics: ["g7m0s"], owned: new Map(), generationId: 24 });
  const first = Buffer.from("00010000000100056773726a6f0000000000000000", "hex");
  assert.deepEqual(decodeSubscription(first), { topics: ["gsrjo"], owned: new Map(), generationId: -1 });
  // As Java's CooperativeStickyAssignor of Kafka 4.1 did: it holds nothing yet.
  const java = Buffer.from("0003000000010006676f6c64656e00000004000000020000000000000002ffff", "hex");
  const nothing = { topics: ["golden"], owned: new Map(), generationId: 2 };
  assert.deepEqual(decodeSubscription(java), nothing);
  assert.deepEqual(encodeSubscription(["golden"], { owned: new Map(), generationId: 2 }, true), java);
  // Before version 2 (Kafka 3.4) it is only in the user data.
  const older = Buffer.from("0001000000010006676f6c64656e000000040000000200000000", "hex");
  assert.deepEqual(decodeSubscription(older), nothing);
});

test("an assignment with the user data of another client's leader reads as the partitions in it", () => {
  // By librdkafka 2.0, and by Java's client of Kafka 4.1.
  for (const bytes of [
    "000000000001000567376d3073000000030000000300000004000000050000000400000007",
    "000300000001000567376d307300000003000000030000000400000005ffffffff",
  ]) {
    assert.deepEqual(decodeAssignment(Buffer.from(bytes, "hex")), new Map([["g7m0s", [3, 4, 5]]]));
  }
  const bytes = Buffer.from("0000000000010006676f6c64656e00000001000000000000000400000002", "hex");
  assert.deepEqual(decodeAssignment(bytes), new Map([["golden", [0]]]));
});

test("an assignment reads as it was written; no bytes mean nothing", () => {
  const assignment = new Map([
    ["a", [1, 2]],
    ["b", [0]],
  ]);
  assert.deepEqual(decodeAssignment(encodeAssignment(assignment)), assignment);
  assert.deepEqual(decodeAssignment(Buffer.alloc(0)), new Map());
});

test("bytes of a broken member end in a clear error, never in a hang or a crash", () => {
  const good = encodeSubscription(["orders"], { owned: new Map([["orders", [0]]]), generationId: 3 });
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, length) => {
      const bytes = Buffer.from(good);
      bytes[at] = byte;
      for (const read of [decodeSubscription, decodeAssignment]) {
        try {
          read(bytes.subarray(0, length));
        } catch (error) {
          assert.ok(error instanceof ConsumerError, String(error));
        }
      }
    }),
    { numRuns: 5_000 },
  );
});
