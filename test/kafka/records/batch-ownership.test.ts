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

function decoderOf(fetched: FetchedBatches, fromOffset: number): RecordDecoder {
  return new RecordDecoder(Partition.of("orders", 0), { ...fetched, fromOffset, maxBatchBytes: MOST });
}

function values(fetched: FetchedBatches, fromOffset: number): string[] {
  const messages: BrokerMessage<KafkaPayload>[] = [];
  const decoder = decoderOf(fetched, fromOffset);
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
  const copied = readBatches(bytes, { fromOffset: 2 });
  const taken = readBatches(bytes, { fromOffset: 2, mayTakeBytes: true });
  assert.notEqual(copied.buffer, bytes.buffer);
  assert.equal(taken.buffer, bytes.buffer);
  assert.deepEqual(values(taken, 2), ["2:b", `4:${long}`]);
  assert.deepEqual(values(copied, 2), values(taken, 2));
  assert.equal(taken.nextOffset, 5);
});

test("bytes are copied where others lie in the same buffer, and where most of them are not needed", () => {
  const options = { fromOffset: 1, mayTakeBytes: true };
  const shared = Buffer.concat([Buffer.alloc(9), recordBatch({ baseOffset: 1, values: [long] })]).subarray(9);
  const wasteful = alone(
    recordBatch({ baseOffset: 0, values: [long] }),
    recordBatch({ baseOffset: 1, values: ["a"] }),
  );
  for (const bytes of [shared, wasteful]) {
    const fetched = readBatches(bytes, options);
    assert.notEqual(fetched.buffer, bytes.buffer);
    assert.equal(values(fetched, 1).length, 1);
  }
});

test("the memory of compressed batches is given back once they are read, and that of others stays with their messages", () => {
  const plain = recordBatch({ baseOffset: 2, values: [long] });
  const compressed = gzipBatch({ baseOffset: 0, values: [long, "b"] });
  const cases = [
    { bytes: alone(compressed), kept: false },
    { bytes: alone(compressed, plain), kept: true },
    { bytes: alone(plain), kept: true },
  ];
  for (const { bytes, kept } of cases) {
    const fetched = readBatches(bytes, { fromOffset: 0, mayTakeBytes: true });
    const messages: BrokerMessage<KafkaPayload>[] = [];
    const decoder = decoderOf(fetched, 0);
    assert.equal(decoder.next(1, messages), kept && bytes.length === plain.length);
    assert.equal(fetched.buffer.byteLength, bytes.length, "it is still being read");
    while (!decoder.next(1, messages)) continue;
    assert.equal(fetched.buffer.byteLength, kept ? bytes.length : 0);
    assert.equal(decoder.next(1, messages), true, "and again");
    for (const { payload, offset } of messages) assert.equal(payload.text(), offset === 1 ? "b" : long);
    assert.ok(decoder.memoryBytes > 1_000 * (messages.length > 1 ? 1 : 0.9));
  }
});
