import assert from "node:assert/strict";
import { test } from "node:test";
import type { BrokerMessage } from "../../../src/message/message.ts";
import { Partition } from "../../../src/message/partition.ts";
import type { KafkaPayload } from "../../../src/message/payload.ts";
import { readBatches } from "../../../src/kafka/records/batch-reader.ts";
import type { FetchedBatches } from "../../../src/kafka/records/fetched-batches.ts";
import { RecordDecoder } from "../../../src/kafka/records/record-decoder.ts";
import { gzipBatch, recordBatch } from "../client/fetch-bytes.ts";

const MOST = 10_000_000;
const long = "x".repeat(1_000);

/** The bytes in a buffer of their own. */
function alone(...batches: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(batches);
  return Buffer.from(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function values(fetched: FetchedBatches, fromOffset: number): string[] {
  const messages: BrokerMessage<KafkaPayload>[] = [];
  const decoder = new RecordDecoder(Partition.of("orders", 0), {
    ...fetched,
    fromOffset,
    maxBatchBytes: MOST,
  });
  while (!decoder.next(100, messages)) continue;
  return messages.map((message) => `${message.offset}:${message.payload.text()}`);
}

test("bytes that are given away are not copied, and say the same", () => {
  const bytes = alone(
    recordBatch({ baseOffset: 0, values: ["before"] }),
    recordBatch({ baseOffset: 1, values: [long, "b"] }),
    recordBatch({ baseOffset: 3, values: ["marker"], isControl: true }),
    recordBatch({ baseOffset: 4, values: [long] }),
    recordBatch({ baseOffset: 5, values: ["cut off"] }).subarray(0, 40),
  );
  const copied = readBatches(bytes, { fromOffset: 2, maxDecompressedBytes: MOST });
  const taken = readBatches(bytes, { fromOffset: 2, maxDecompressedBytes: MOST, mayTakeBytes: true });
  assert.notEqual(copied.buffer, bytes.buffer);
  assert.equal(taken.buffer, bytes.buffer);
  assert.deepEqual(values(taken, 2), ["2:b", `4:${long}`]);
  assert.deepEqual(values(copied, 2), values(taken, 2));
  assert.equal(taken.nextOffset, 5);
});

test("bytes are copied where others lie in the same buffer, where most of them are not needed, and where they are compressed", () => {
  const options = { fromOffset: 1, maxDecompressedBytes: MOST, mayTakeBytes: true };
  const shared = Buffer.concat([Buffer.alloc(9), recordBatch({ baseOffset: 1, values: [long] })]).subarray(9);
  const wasteful = alone(
    recordBatch({ baseOffset: 0, values: [long] }),
    recordBatch({ baseOffset: 1, values: ["a"] }),
  );
  const compressed = alone(gzipBatch({ baseOffset: 1, values: [long] }));
  for (const bytes of [shared, wasteful, compressed]) {
    const fetched = readBatches(bytes, options);
    assert.notEqual(fetched.buffer, bytes.buffer);
    assert.equal(values(fetched, 1).length, 1);
  }
});

test("a wrong guess at what compressed bytes become changes nothing but the effort", () => {
  const bytes = alone(
    gzipBatch({ baseOffset: 0, values: [long, long] }),
    gzipBatch({ baseOffset: 2, values: [long] }),
  );
  for (const expectedRatio of [0.001, 1, 3.3, 1_000]) {
    const fetched = readBatches(bytes, { fromOffset: 0, maxDecompressedBytes: MOST, expectedRatio });
    assert.deepEqual(
      values(fetched, 0),
      [0, 1, 2].map((offset) => `${offset}:${long}`),
    );
  }
});
