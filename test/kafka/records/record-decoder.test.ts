import { test } from "node:test";
import assert from "node:assert/strict";
import { ErrorCode } from "../../../src/errors.ts";
import type { BrokerMessage } from "../../../src/message/message.ts";
import type { KafkaPayload } from "../../../src/message/payload.ts";
import { BATCH_FIELDS, BatchField } from "../../../src/kafka/records/fetched-batches.ts";
import { RecordDecoder } from "../../../src/kafka/records/record-decoder.ts";
import { batchOf, decode, entries, PARTITION, read } from "./batches.ts";

/** What the decoder gets for records that are given as bytes, with their true number unless another is claimed. */
function fetchedOf(
  records: readonly Buffer[],
  recordCount: number = records.length,
  lastOffset: number = 1_000,
) {
  const bytes = Buffer.concat(records);
  const batches = new Float64Array(BATCH_FIELDS);
  batches[BatchField.BASE_OFFSET] = 10;
  batches[BatchField.LAST_OFFSET] = lastOffset;
  batches[BatchField.RECORD_COUNT] = recordCount;
  batches[BatchField.BASE_TIMESTAMP] = 1_700_000_000_000;
  batches[BatchField.APPEND_TIMESTAMP] = NaN;
  batches[BatchField.END] = bytes.length;
  return { buffer: Uint8Array.from(bytes).buffer, batches, fromOffset: 0, maxBatchBytes: 1e6 };
}

const record = (hex: string): Buffer => {
  const body = Buffer.from(hex.replaceAll(" ", ""), "hex");
  assert.ok(body.length < 64, "its length is one byte");
  return Buffer.concat([Buffer.of(body.length * 2), body]);
};

// attributes, timestamp delta, offset delta, key null, value "v", no headers
const GOOD = [record("00 00 00 01 02 76 00"), record("00 00 02 01 02 76 00")];

const corrupt = (offset: number, reason: RegExp) => ({
  code: ErrorCode.CORRUPT_BATCH,
  offset,
  message: new RegExp(`The record batch at orders:3 offset ${offset} cannot be read: .*${reason.source}`),
});

test("messages carry partition, offset, timestamp and payload", () => {
  const [first, second] = decode(fetchedResult(fetchedOf(GOOD)));
  assert.equal(first!.partition, PARTITION);
  assert.deepEqual([first!.offset, second!.offset], [10, 11]);
  assert.equal(second!.nextOffset, 12);
  assert.equal(first!.timestampMs, 1_700_000_000_000);
  assert.equal(first!.payload.key, null);
  assert.equal(first!.payload.text(), "v");
});

test("as many are handed out as are asked for, and the last call says that it was the last", () => {
  for (const max of [1, 2, 3, 5, 6, 7, 100]) {
    const decoder = new RecordDecoder(PARTITION, {
      ...read(Buffer.concat([batchOf(entries(3)), batchOf(entries(3), { baseOffset: 3 })])),
      fromOffset: 0,
      maxBatchBytes: 1e6,
    });
    const messages: BrokerMessage<KafkaPayload>[] = [];
    let calls = 0;
    while (!decoder.next(max, messages)) calls++;
    assert.equal(messages.length, 6);
    assert.ok(calls <= Math.floor(6 / max));
    assert.equal(decoder.next(max, messages), true);
    assert.equal(messages.length, 6);
  }
});

test("timestamps may lie far apart, in both directions", () => {
  const HOUR = 3_600_000;
  const base = 1_700_000_000_000;
  for (const delta of [
    0,
    -1,
    1,
    63,
    64,
    -64,
    -65,
    8_191,
    2 ** 27,
    -(2 ** 28),
    2 ** 31,
    -(2 ** 33),
    9_000 * HOUR,
  ]) {
    const varint: number[] = [];
    let zigzag = delta < 0 ? -2n * BigInt(delta) - 1n : 2n * BigInt(delta);
    for (; zigzag > 0x7fn; zigzag >>= 7n) varint.push(Number(zigzag & 0x7fn) | 0x80);
    varint.push(Number(zigzag));
    const bytes = record(`00 ${Buffer.from(varint).toString("hex")} 00 01 02 76 00`);
    assert.equal(decode(fetchedResult(fetchedOf([bytes])))[0]!.timestampMs, base + delta);
  }
});

test("a record that cannot be read is an error that names partition and offset, after the ones before it", () => {
  const cases: Record<string, [Buffer, RegExp]> = {
    "length too small": [record("00 00 04 01 01"), /length is wrong/],
    "length negative": [Buffer.of(0x01, 0, 0, 0, 0, 0, 0), /length is wrong/],
    "length beyond the batch": [Buffer.from("7e000401027600", "hex"), /length is wrong/],
    "length that goes on for ever": [Buffer.alloc(20, 0xff), /length is wrong/],
    "key beyond the record": [record("00 00 04 7e 02 76 00"), /do not fill it/],
    "key of negative length": [record("00 00 04 03 02 76 00"), /do not fill it/],
    "value beyond the record": [record("00 00 04 01 20 76 00"), /do not fill it/],
    "no header count": [record("00 00 04 01 04 76 76"), /do not fill it/],
    "bytes behind the headers": [record("00 00 04 01 02 76 00 00"), /do not fill it/],
    "negative header count": [record("00 00 04 01 02 76 01"), /do not fill it/],
    "more headers than there is room for": [record("00 00 04 01 02 76 7e 02 61 01"), /do not fill it/],
    "fewer headers than it says, which fill the room": [
      record("00 00 04 01 02 76 06 00 08 61 62 63 64"),
      /do not fill it/,
    ],
    "a header's name that is null": [record("00 00 04 01 02 76 02 01 01"), /do not fill it/],
    "a header's name beyond the record": [record("00 00 04 01 02 76 02 40 61 01"), /do not fill it/],
    "a header's value beyond the record": [record("00 00 04 01 02 76 02 02 61 40"), /do not fill it/],
    "a timestamp that goes on for ever": [
      record("00 ffffffffffffffffffffff 04 01 02 76 00"),
      /do not fill it|length is wrong/,
    ],
    "an offset that comes twice": [record("00 00 02 01 02 76 00"), /out of order/],
    "an offset that goes back": [record("00 00 01 01 02 76 00"), /out of order/],
    "an offset beyond the batch": [record("00 00 fe7f 01 02 76 00"), /out of order/],
  };
  for (const [what, [bad, reason]] of Object.entries(cases)) {
    const decoder = new RecordDecoder(PARTITION, fetchedOf([...GOOD, bad], 3));
    const messages: BrokerMessage<KafkaPayload>[] = [];
    assert.equal(decoder.next(10, messages), false, what);
    assert.equal(messages.length, 2, what);
    for (let again = 0; again < 2; again++)
      assert.throws(() => decoder.next(10, messages), corrupt(12, reason), what);
    assert.equal(messages.length, 2, what);
  }
});

test("a batch with fewer or more records than it says is an error", () => {
  const fewer = new RecordDecoder(PARTITION, fetchedOf(GOOD, 3));
  const messages: BrokerMessage<KafkaPayload>[] = [];
  assert.equal(fewer.next(10, messages), false);
  assert.equal(messages.length, 2);
  assert.throws(() => fewer.next(10, messages), corrupt(12, /length is wrong/));

  const more = new RecordDecoder(PARTITION, fetchedOf(GOOD, 1));
  assert.equal(more.next(10, messages), false);
  assert.throws(() => more.next(10, messages), corrupt(11, /bytes are left behind its last record/));
});

test("lengths in more bytes than needed are read all the same", () => {
  // Offset delta 1 and value length 1, each in two bytes.
  const long = record("00 00 8200 01 8200 76 00");
  const messages = decode(fetchedResult(fetchedOf([GOOD[0]!, long])));
  assert.equal(messages[1]!.offset, 11);
  assert.equal(messages[1]!.payload.text(), "v");
  assert.deepEqual(messages[1]!.payload.value, Buffer.from("v"));
});

function fetchedResult(fetched: ReturnType<typeof fetchedOf>) {
  return { ...fetched, nextOffset: 0, lastLeaderEpoch: 0 };
}
