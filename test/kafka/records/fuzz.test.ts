import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { ErrorCode } from "../../../src/errors.ts";
import { BatchOffset } from "../../../src/kafka/records/batch-format.ts";
import { Codec } from "../../../src/kafka/records/compression.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { batchOf, decode, entries, markerOf, read, resealed, transactional, type Entry } from "./batches.ts";
import { GOLDEN } from "./golden.ts";

const LIMIT = 1_000_000;
const MUTATIONS = 100_000;

const content: Entry[] = [
  ...entries(5),
  { payload: new KafkaPayload(null, null, [["a", null], ["b", "1"]]), timestampMs: 1_700_000_000_000 }, // prettier-ignore
  { payload: new KafkaPayload("k".repeat(200), "v".repeat(500)), timestampMs: 1_699_000_000_000 },
];

const seeds: readonly Buffer[] = [
  ...Object.values(Codec).map((codec) => batchOf(content, { codec, baseOffset: 100 })),
  ...Object.values(GOLDEN).map((hex) => Buffer.from(hex, "hex")),
  Buffer.concat([
    transactional(content, 1n, 100),
    markerOf("abort", 1n, 107),
    batchOf(content, { baseOffset: 108, codec: Codec.LZ4 }),
    batchOf(content, { baseOffset: 115 }),
  ]),
];

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff];
const change = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom("byte", "flip", "int32", "cut", "insert", "repeat"),
  value: fc.oneof(fc.constantFrom(...INTERESTING), fc.nat(255)),
  length: fc.nat(16),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function mutate(seed: Buffer, changes: readonly Change[], reseal: boolean): Buffer {
  let bytes = Buffer.from(seed);
  for (const { at, kind, value, length } of changes) {
    if (bytes.length < BatchOffset.RECORDS) break;
    const place = at % bytes.length;
    if (kind === "byte") bytes[place] = value;
    else if (kind === "flip") bytes[place]! ^= 1 << (value & 7);
    else if (kind === "int32") bytes.fill(value, place, Math.min(place + 4, bytes.length));
    else if (kind === "cut")
      bytes = Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + length)]);
    else if (kind === "insert")
      bytes = Buffer.concat([bytes.subarray(0, place), Buffer.alloc(length, value), bytes.subarray(place)]);
    else bytes = Buffer.concat([bytes.subarray(0, place), bytes]);
  }
  if (reseal && bytes.length > BatchOffset.RECORDS) {
    // As if a faulty producer had written it: length and CRC fit, so that what lies behind them is reached.
    bytes.writeInt32BE(bytes.length - 12, BatchOffset.LENGTH);
    bytes[BatchOffset.MAGIC] = 2;
    resealed(bytes);
  }
  return bytes;
}

test(`${MUTATIONS} damaged answers each end in messages or in a CorruptBatchError, soon and with little memory`, () => {
  let messages = 0;
  let errors = 0;
  fc.assert(
    fc.property(
      fc.nat(seeds.length - 1),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      (seed, changes, reseal, committed, mayStayCompressed) => {
        const bytes = mutate(seeds[seed]!, changes, reseal);
        const from = 100;
        const begin = performance.now();
        try {
          const aborted = committed ? [{ producerId: 1n, firstOffset: 100 }] : undefined;
          const fetched = read(bytes, from, { maxDecompressedBytes: LIMIT, aborted, mayStayCompressed });
          assert.ok(fetched.buffer.byteLength <= Math.max(LIMIT, bytes.length) * 2);
          assert.ok(fetched.nextOffset >= from);
          let expected = from;
          for (const message of decode(fetched, from, 10)) {
            assert.ok(message.offset >= expected && message.offset < fetched.nextOffset);
            expected = message.offset + 1;
            const { key, value, headers } = message.payload;
            for (const view of [key, value, ...headers.map(([, header]) => header)]) {
              if (view === null) continue;
              const buffer = mayStayCompressed ? view.buffer : fetched.buffer;
              assert.ok(view.byteOffset + view.length <= buffer.byteLength);
            }
            message.payload.text();
            messages++;
          }
        } catch (error) {
          if ((error as { code?: unknown }).code !== ErrorCode.CORRUPT_BATCH) throw error;
          errors++;
        }
        assert.ok(performance.now() - begin < 1_000);
      },
    ),
    { numRuns: MUTATIONS },
  );
  // Neither way is a rarity: the mutations reach what lies behind the checks.
  assert.ok(messages > MUTATIONS / 100 && errors > MUTATIONS / 100, `${messages} messages, ${errors} errors`);
});

test("bytes out of nowhere are no batch", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
      assert.throws(() => read(Buffer.from(bytes)), { code: ErrorCode.CORRUPT_BATCH });
    }),
    { numRuns: 2_000 },
  );
});
