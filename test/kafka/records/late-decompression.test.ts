import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../../src/errors.ts";
import { BatchOffset } from "../../../src/kafka/records/batch-format.ts";
import { Codec } from "../../../src/kafka/records/compression.ts";
import { BatchField, BATCH_FIELDS, type FetchedBatches } from "../../../src/kafka/records/fetched-batches.ts";
import { RecordDecoder } from "../../../src/kafka/records/record-decoder.ts";
import type { BrokerMessage } from "../../../src/message/message.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { batchOf, PARTITION, read, resealed, transactional, type Entry } from "./batches.ts";

const MOST = 1_000_000;

/** What compresses by something, however it is done. */
function entries(count: number): Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    payload: new KafkaPayload(null, `v${i}`.padEnd(40)),
    timestampMs: 1_700_000_000_000,
  }));
}

function codecs({ batches }: FetchedBatches): number[] {
  const found: number[] = [];
  for (let row = 0; row < batches.length; row += BATCH_FIELDS) found.push(batches[row + BatchField.CODEC]!);
  return found;
}

/** Everything that can be had a few at a time, and what it ended with. */
function drain(
  fetched: FetchedBatches,
  fromOffset = 0,
  maxBatchBytes = MOST,
): { offsets: number[]; error?: unknown } {
  const decoder = new RecordDecoder(PARTITION, { ...fetched, fromOffset, maxBatchBytes });
  const messages: BrokerMessage<KafkaPayload>[] = [];
  const offsets = (): number[] => messages.map(({ offset }) => offset);
  try {
    while (!decoder.next(3, messages)) continue;
  } catch (error) {
    assert.throws(() => decoder.next(3, messages), { message: (error as Error).message }, "and again");
    return { offsets: offsets(), error };
  }
  return { offsets: offsets() };
}

/** A batch whose CRC is right, and whose compressed records are not. */
function unreadable(baseOffset: number, codec: Codec): Buffer {
  const batch = batchOf(entries(50), { baseOffset, codec });
  batch.fill(0xff, BatchOffset.RECORDS, batch.length - 2);
  return resealed(batch);
}

test("batches of all kinds come out in order, and in memory that stays as it is", () => {
  const kinds = [Codec.LZ4, Codec.NONE, Codec.ZSTD, Codec.SNAPPY, Codec.GZIP, Codec.LZ4];
  const bytes = Buffer.concat(kinds.map((codec, i) => batchOf(entries(40), { baseOffset: i * 40, codec })));
  const fetched = read(bytes);
  assert.deepEqual(codecs(fetched), kinds);
  const decoder = new RecordDecoder(PARTITION, { ...fetched, fromOffset: 0, maxBatchBytes: MOST });
  const messages: BrokerMessage<KafkaPayload>[] = [];
  while (!decoder.next(3, messages)) continue;
  // Only now are the first ones looked at, after others have been decompressed.
  assert.deepEqual(
    messages.map(({ offset, payload }) => `${offset}:${payload.text().trim()}`),
    Array.from({ length: 240 }, (_, i) => `${i}:v${i % 40}`),
  );
});

test("records before the offset and those of aborted transactions are passed over all the same", () => {
  const lz4 = batchOf(entries(50), { baseOffset: 10, codec: Codec.LZ4 });
  assert.deepEqual(drain(read(lz4, 57), 57).offsets, [57, 58, 59]);
  const bytes = Buffer.concat([
    transactional(entries(2), 7n, 15),
    batchOf(entries(50), { baseOffset: 17, codec: Codec.ZSTD }),
  ]);
  const fetched = read(bytes, 15, { aborted: [{ producerId: 7n, firstOffset: 15 }] });
  assert.deepEqual(drain(fetched, 15).offsets.slice(0, 2), [17, 18]);
});

for (const codec of [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]) {
  test(`what cannot be decompressed (codec ${codec}) is told with partition and offset, behind what comes before it`, () => {
    const bytes = Buffer.concat([
      batchOf(entries(50), { codec }),
      unreadable(50, codec),
      batchOf(entries(50), { baseOffset: 100, codec }),
    ]);
    const { offsets, error } = drain(read(bytes));
    assert.deepEqual(
      offsets,
      Array.from({ length: 50 }, (_, i) => i),
    );
    const { code, message } = error as Error & { code?: string };
    assert.equal(code, ErrorCode.CORRUPT_BATCH);
    assert.match(message, /at orders:3 offset 50 cannot be read: it cannot be decompressed: /);
  });

  test(`a batch (codec ${codec}) that would fill the memory is stopped at the limit`, () => {
    const zeros = { payload: new KafkaPayload(null, Buffer.alloc(2 * MOST)), timestampMs: 1_700_000_000_000 };
    const { offsets, error } = drain(read(batchOf([zeros], { codec })));
    assert.deepEqual(offsets, []);
    assert.match((error as Error).message, /more than 1000000 bytes.*"receive\.message\.max\.bytes"/);
  });
}
