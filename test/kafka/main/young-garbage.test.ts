import assert from "node:assert/strict";
import { constants } from "node:perf_hooks";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { Delivery } from "../../../src/kafka/delivery.ts";
import { collectYoungGarbage, YoungGarbage } from "../../../src/kafka/young-garbage.ts";
import { Partition } from "../../../src/message/partition.ts";
import { forcedCollections } from "../forced-collections.ts";
import { compressed, fetched } from "./fetched.ts";

const MB = 1_048_576;
const A = Partition.of("t", 0);

/** Counts collections, after which nothing lives on. */
function counting(collected: () => void): YoungGarbage {
  return new YoungGarbage(() => {
    collected();
    return 0;
  });
}

/** A delivery to which partition A is assigned, and the epoch under which that is fetched. */
function delivering(garbage?: YoungGarbage): { readonly delivery: Delivery; readonly epoch: number } {
  const delivery = new Delivery({ credit: () => {}, end: () => {} }, garbage);
  delivery.add(A, 0, -1);
  return { delivery, epoch: delivery.restart(A).epoch };
}

test("it is collected once 12 MB were made, and again after as many", () => {
  let collected = 0;
  const garbage = counting(() => collected++);
  garbage.made(12 * MB - 1);
  garbage.collectIfDue();
  assert.equal(collected, 0);
  garbage.made(1);
  garbage.collectIfDue();
  garbage.collectIfDue();
  assert.equal(collected, 1);
  garbage.made(40 * MB);
  garbage.collectIfDue();
  garbage.collectIfDue();
  assert.equal(collected, 2);
});

test("while much of it lives on it is collected ever more seldom, and then as often as before", () => {
  let survivors = 3 * MB;
  let collected = 0;
  const garbage = new YoungGarbage(() => {
    collected++;
    return survivors;
  });
  /** After how many MB it is next collected. */
  const next = (): number => {
    for (let made = 1, before = collected; ; made++) {
      garbage.made(MB);
      garbage.collectIfDue();
      if (collected > before) return made;
    }
  };
  assert.deepEqual([next(), next(), next()], [12, 24, 48]);
  for (let i = 0; i < 10; i++) next();
  assert.equal(next(), 768, "there is an end to that");
  survivors = 1.5 * MB;
  assert.deepEqual([next(), next()], [768, 768]);
  survivors = 0.5 * MB;
  assert.deepEqual([next(), next(), next()], [768, 384, 192]);
  for (let i = 0; i < 10; i++) next();
  assert.equal(next(), 12);
});

test("what is said to live on is what is young and in use", () => {
  const held: object[] = [];
  const before = collectYoungGarbage();
  for (let i = 0; i < 50_000; i++) held.push({ a: i, b: i, c: i, d: i });
  const after = collectYoungGarbage();
  assert.ok(after > before + 1.5 * MB, `${before} -> ${after}`);
  assert.equal(held.length, 50_000);
  collectYoungGarbage();
  assert.ok(collectYoungGarbage() < MB);
});

test("what collects it is V8's minor collection, and the flag that shows it is not left behind", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  using _watching = forcedCollections(resolve);
  collectYoungGarbage();
  assert.equal(await promise, constants.NODE_PERFORMANCE_GC_MINOR);
  assert.equal(runInNewContext("typeof gc"), "undefined");
  setFlagsFromString("--expose-gc");
  assert.equal(runInNewContext("typeof gc"), "function", "so the line above says something");
  setFlagsFromString("--no-expose-gc");
});

for (const [what, made] of [
  ["as they came", fetched],
  ["decompressed", compressed],
] as const) {
  test(`messages count with the memory that they lie in (${what}), before the next ones are taken`, () => {
    let collected = 0;
    const { delivery, epoch } = delivering(counting(() => collected++));
    const value = "x".repeat(400_000);
    // 400 kB each, and the first collection is due with the 32nd.
    for (let offset = 0; offset < 33; offset++) {
      delivery.records(A, made({ topic: "t", index: 0, epoch }, offset, [value]));
      assert.equal(delivery.take(10).length, 1);
      assert.equal(collected, offset < 32 ? 0 : 1, `${offset}`);
    }
  });
}

test("small messages count with what they take on the heap", () => {
  let collected = 0;
  const { delivery, epoch } = delivering(counting(() => collected++));
  const values = Array.from({ length: 10_000 }, () => "");
  for (let offset = 0; collected === 0; offset += 10_000) {
    assert.ok(offset < 90_000, "each takes 160 bytes");
    delivery.records(A, fetched({ topic: "t", index: 0, epoch }, offset, values));
    assert.equal(delivery.take(10_000).length, 10_000);
  }
});

test("compressed records that are dropped unread give their memory back at once", () => {
  const { delivery, epoch } = delivering();
  const records = [0, 1, 2].map((offset) => compressed({ topic: "t", index: 0, epoch }, offset, ["a", "b"]));
  delivery.records(A, records[0]!);
  delivery.records(A, records[1]!);
  const [message] = delivery.take(1);
  delivery.seek(A, 9, -1);
  delivery.records(A, records[2]!);
  assert.deepEqual(
    records.map(({ buffer }) => buffer.byteLength),
    [0, 0, 0],
  );
  assert.equal(message?.payload.text(), "a");
});

test("Node's zlib keeps its output where it is taken from it", () => {
  const options = { info: true } as object;
  const { engine } = zstdDecompressSync(zstdCompressSync("x"), options) as unknown as { engine: object };
  assert.ok("_outBuffer" in engine && engine._outBuffer instanceof Uint8Array);
});
