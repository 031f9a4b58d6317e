import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { BatchOffset } from "../../../src/kafka/records/batch-format.ts";
import { BatchWriter, sealBatch, soloBatchSize } from "../../../src/kafka/records/batch-writer.ts";
import { Codec, CODEC_OF_TYPE } from "../../../src/kafka/records/compression.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { batchOf, decode, entries, read, type Entry } from "./batches.ts";

const bytes = fc.oneof(
  fc.constant(null),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }),
);
const payload = fc
  .tuple(
    bytes,
    bytes,
    fc.array(fc.tuple(fc.string({ unit: "grapheme", maxLength: 70 }), bytes), { maxLength: 5 }),
  )
  .map(([key, value, headers]) => new KafkaPayload(key, value, headers));
const entry: fc.Arbitrary<Entry> = fc.record({
  payload,
  timestampMs: fc.integer({ min: 1_600_000_000_000, max: 1_602_000_000_000 }),
});
const codec = fc.constantFrom(...Object.values(Codec));

test("whatever is written comes out again, through any compression and any cut of the bytes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(entry, { minLength: 1, maxLength: 20 }), codec), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(),
      (batches, max, skip) => {
        let offset = 0;
        const written: Entry[] = [];
        const encoded = batches.map(([content, codec]) => {
          const batch = batchOf(content, { baseOffset: offset, codec });
          offset += content.length;
          written.push(...content);
          return batch;
        });
        const from = skip % written.length;
        const messages = decode(read(Buffer.concat(encoded), from), from, max);
        assert.equal(messages.length, written.length - from);
        messages.forEach((message, i) => {
          assert.equal(message.offset, from + i);
          assert.equal(message.timestampMs, written[from + i]!.timestampMs);
          assert.ok(message.payload.equals(written[from + i]!.payload));
        });
        // What was fetched is written again as it lies, and is still the same.
        const again = decode(read(batchOf(messages.map(({ payload }) => ({ payload, timestampMs: 1 })))));
        assert.ok(again.every((message, i) => message.payload.equals(written[from + i]!.payload)));
      },
    ),
    { numRuns: 300 },
  );
});

test("a batch never grows beyond its size, and every record finds its place in the next one", () => {
  fc.assert(
    fc.property(
      fc.array(entry, { minLength: 1 }),
      fc.integer({ min: 100, max: 2_000 }),
      (content, maxBytes) => {
        let writer = new BatchWriter(maxBytes, 0);
        for (const { payload, timestampMs } of content) {
          if (!writer.append(payload, timestampMs)) {
            assert.ok(writer.recordCount > 0);
            writer = new BatchWriter(maxBytes, 0);
            assert.ok(writer.append(payload, timestampMs), "an empty batch takes any record");
          }
          const { length, buffer } = { length: writer.length, buffer: writer };
          assert.ok(length <= Math.max(maxBytes, soloBatchSize(payload)), `${length} of ${maxBytes}`);
          assert.ok(buffer.recordCount > 0);
        }
      },
    ),
  );
});

test("the size of a batch with one message is known beforehand", () => {
  fc.assert(
    fc.property(payload, (payload) => {
      const writer = new BatchWriter(1, 0);
      writer.append(payload, 1_700_000_000_000);
      assert.equal(writer.length, soloBatchSize(payload));
      assert.equal(writer.finish().length, soloBatchSize(payload));
    }),
  );
});

test("compression that makes a batch larger is left out", () => {
  const writer = new BatchWriter(10_000, 0);
  writer.append(new KafkaPayload(null, Buffer.from("q9§x")), 1);
  const sealed = sealBatch(writer.finish(), Codec.ZSTD);
  assert.equal(sealed.readInt16BE(BatchOffset.ATTRIBUTES), 0);
  assert.equal(sealed.readInt32BE(BatchOffset.LENGTH), sealed.length - 12);
});

test("a sealed batch says how it is compressed and who wrote it", () => {
  const identity = { producerId: 77n, producerEpoch: 2, baseSequence: 41 };
  for (const [type, codec] of Object.entries(CODEC_OF_TYPE)) {
    const alike = Array.from({ length: 100 }, () => entries(1)[0]!);
    const batch = batchOf(alike, { codec, identity });
    assert.equal(batch.readInt16BE(BatchOffset.ATTRIBUTES), codec, type);
    assert.equal(batch.readBigInt64BE(BatchOffset.PRODUCER_ID), 77n);
    assert.equal(batch.readInt16BE(BatchOffset.PRODUCER_EPOCH), 2);
    assert.equal(batch.readInt32BE(BatchOffset.BASE_SEQUENCE), 41);
  }
  const anonymous = batchOf(entries(1));
  assert.equal(anonymous.readBigInt64BE(BatchOffset.PRODUCER_ID), -1n);
  assert.equal(anonymous.readInt16BE(BatchOffset.PRODUCER_EPOCH), -1);
  assert.equal(anonymous.readInt32BE(BatchOffset.BASE_SEQUENCE), -1);
});

test("a batch's timestamps are those of its first and its latest record", () => {
  const payload = new KafkaPayload(null, "v");
  const batch = batchOf([50, 70, 30].map((timestampMs) => ({ payload, timestampMs })));
  assert.equal(batch.readBigInt64BE(BatchOffset.BASE_TIMESTAMP), 50n);
  assert.equal(batch.readBigInt64BE(BatchOffset.MAX_TIMESTAMP), 70n);
});

test("a clock that jumps by more than a batch can hold begins a new batch", () => {
  const writer = new BatchWriter(10_000, 0);
  const payload = new KafkaPayload(null, "v");
  assert.ok(writer.append(payload, 1_700_000_000_000));
  assert.equal(writer.append(payload, 1_700_000_000_000 + 2 ** 31), false);
  assert.equal(writer.append(payload, 1_700_000_000_000 - 2 ** 31), false);
  assert.ok(writer.append(payload, 1_700_000_000_000 - 2 ** 31 + 1));
  assert.equal(decode(read(batchOf([{ payload, timestampMs: 0 }])))[0]!.timestampMs, 0);
});
