import { test } from "node:test";
import assert from "node:assert/strict";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { ErrorCode } from "../../../src/errors.ts";
import { Attribute, BatchOffset } from "../../../src/kafka/records/batch-format.ts";
import { Codec, compress, decompress } from "../../../src/kafka/records/compression.ts";
import type { FetchedBatches } from "../../../src/kafka/records/fetched-batches.ts";
import { RecordDecoder } from "../../../src/kafka/records/record-decoder.ts";
import type { BrokerMessage } from "../../../src/message/message.ts";
import { bodySize, KafkaPayload } from "../../../src/message/payload.ts";
import type { SeededRandom } from "../../seeded-random.ts";
import { fuzz } from "../fuzzing.ts";
import {
  batchOf,
  entries,
  markerOf,
  PARTITION,
  read,
  resealed,
  transactional,
  type Entry,
} from "./batches.ts";
import { GOLDEN } from "./golden.ts";
import { LZ4_FRAMES } from "./lz4-frames.ts";
import { decodeLz4Plainly } from "./lz4-reference.ts";

const LIMIT = 1_000_000;
/** The I/O thread's buffers, the main thread's, and what codecs need besides. */
const MAX_ALLOCATED = 8 * LIMIT;
const FROM = 100;

const content: Entry[] = [
  ...entries(5),
  { payload: new KafkaPayload(null, null, [["a", null], ["b", "1"]]), timestampMs: 1_700_000_000_000 }, // prettier-ignore
  { payload: new KafkaPayload("k".repeat(200), "v".repeat(500)), timestampMs: 1_699_000_000_000 },
  { payload: new KafkaPayload("k", null, [["name", "x".repeat(90)], ["", ""], ["n", "1"]]), timestampMs: 1_700_000_000_009 }, // prettier-ignore
];

const batches: readonly Buffer[] = [
  ...Object.values(Codec).map((codec) => batchOf(content, { codec, baseOffset: FROM })),
  ...Object.values(GOLDEN).map((hex) => Buffer.from(hex, "hex")),
  Buffer.concat([
    transactional(content, 1n, FROM),
    markerOf("abort", 1n, 108),
    batchOf(content, { baseOffset: 109, codec: Codec.LZ4 }),
    batchOf(content, { baseOffset: 117 }),
  ]),
];

/** Reads and decodes as the two threads do, and looks closely at what comes out. */
function outcome(bytes: Buffer, random: SeededRandom): "value" | "error" {
  const aborted = random.below(2) === 0 ? undefined : [{ producerId: 1n, firstOffset: FROM }];
  let fetched: FetchedBatches;
  const messages: BrokerMessage<KafkaPayload>[] = [];
  try {
    fetched = read(bytes, FROM, { aborted });
    const decoder = new RecordDecoder(PARTITION, { ...fetched, fromOffset: FROM, maxBatchBytes: LIMIT });
    while (!decoder.next(10, messages));
  } catch (error) {
    if ((error as { code?: unknown }).code !== ErrorCode.CORRUPT_BATCH) throw error;
    return "error";
  }
  assert.ok(fetched.nextOffset >= FROM);
  let expected = FROM;
  for (const { offset, payload } of messages) {
    assert.ok(offset >= expected && offset < fetched.nextOffset);
    expected = offset + 1;
    const { key, value, headers } = payload;
    payload.text();
    // All that is read lies within the record, and not in what comes after it. (What is no UTF-8 counts as one byte.)
    const named = headers.map(([name, header]) => [name.replaceAll("\ufffd", "?"), header] as const);
    assert.ok(bodySize(new KafkaPayload(key, value, named)) <= bodySize(payload));
  }
  return "value";
}

test("100,000 damaged answers each end in messages or in a CorruptBatchError, soon and with little memory", () => {
  fuzz({ inputs: batches, runs: 100_000, maxAllocatedBytes: MAX_ALLOCATED }, (bytes, random) => {
    if (random.below(2) === 0 && bytes.length > BatchOffset.RECORDS) {
      // As if a faulty producer had written it: length and CRC fit, so that what lies behind them is reached.
      bytes.writeInt32BE(bytes.length - 12, BatchOffset.LENGTH);
      bytes[BatchOffset.MAGIC] = 2;
      resealed(bytes);
    }
    return outcome(bytes, random);
  });
});

const plain = batchOf(content, { baseOffset: FROM });
const records = plain.subarray(BatchOffset.RECORDS);
const halves = [records.subarray(0, 300), records.subarray(300)] as const;
const snappy = Buffer.from(compress(Codec.SNAPPY, records));
const framedSnappy = Buffer.concat([
  Buffer.from("82534e41505059000000000100000001", "hex"),
  ...halves.flatMap((part) => {
    const block = Buffer.from(compress(Codec.SNAPPY, part));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    return [length, block];
  }),
]);
const packed: readonly (readonly [codec: number, bytes: Buffer])[] = [
  [Codec.GZIP, gzipSync(records)],
  [Codec.GZIP, Buffer.concat(halves.map((half) => gzipSync(half)))],
  [Codec.SNAPPY, snappy],
  [Codec.SNAPPY, framedSnappy],
  [Codec.LZ4, Buffer.from(compress(Codec.LZ4, records))],
  [Codec.ZSTD, zstdCompressSync(records)],
];

test("10,000 damaged payloads under a sound CRC end alike, whatever they are compressed with", () => {
  const header = plain.subarray(0, BatchOffset.RECORDS);
  const inputs = packed.map(([, bytes]) => bytes);
  fuzz({ inputs, runs: 10_000, maxAllocatedBytes: MAX_ALLOCATED }, (bytes, random, input) => {
    const batch = Buffer.concat([header, bytes]);
    batch.writeInt32BE(batch.length - 12, BatchOffset.LENGTH);
    batch.writeInt16BE(packed[input]![0] & Attribute.CODEC, BatchOffset.ATTRIBUTES);
    return outcome(resealed(batch), random);
  });
  for (const [codec, bytes] of packed) {
    assert.ok(decompress(codec, bytes, LIMIT).equals(records), `codec ${codec} after all that`);
  }
});

test("20,000 damaged lz4 frames give what a plain decoder makes of them, or an error where it finds one", () => {
  const small = "0,1,2,3,4,5,6,7,8,9,".repeat(30);
  const inputs = [small, "a".repeat(300), small.slice(0, 40), records.toString("latin1")].flatMap((text) => {
    const frame = Buffer.from(compress(Codec.LZ4, Buffer.from(text, "latin1")));
    const linked = Buffer.from(frame);
    linked[4]! &= ~0x20;
    return [frame, linked];
  });
  const large = Object.values(LZ4_FRAMES).map((frame) => Buffer.from(frame, "base64"));
  const limit = 100_000;
  let sound = 0;
  fuzz(
    { inputs: [...inputs, ...inputs, ...large.slice(0, 1)], runs: 20_000, maxAllocatedBytes: MAX_ALLOCATED },
    (bytes) => {
      const expected = decodeLz4Plainly(bytes, limit);
      let actual: Buffer | undefined;
      try {
        actual = decompress(Codec.LZ4, bytes, limit);
      } catch (error) {
        assert.match((error as Error).message, /lz4 frame|would come out/);
      }
      assert.deepEqual(actual, expected);
      if (actual !== undefined) sound++;
      return actual === undefined ? "error" : "value";
    },
  );
  assert.ok(sound > 1_000);
});

test("bytes out of nowhere are no batch", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
      assert.throws(() => read(Buffer.from(bytes)), { code: ErrorCode.CORRUPT_BATCH });
    }),
    { numRuns: 2_000 },
  );
});
