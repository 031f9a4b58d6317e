import { test } from "node:test";
import assert from "node:assert/strict";
import { ErrorCode } from "../../../src/errors.ts";
import { BatchOffset } from "../../../src/kafka/records/batch-format.ts";
import { Codec } from "../../../src/kafka/records/compression.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { batchOf, decode, entries, markerOf, read, resealed, transactional, values } from "./batches.ts";
import { GOLDEN, GOLDEN_APPEND_TIME, GOLDEN_RECORDS } from "./golden.ts";

const golden = (name: keyof typeof GOLDEN): Buffer => Buffer.from(GOLDEN[name], "hex");
const corrupt = (offset: number, message: RegExp) => ({ code: ErrorCode.CORRUPT_BATCH, offset, message });

for (const name of ["none", "gzip", "snappy", "lz4", "zstd", "transactional"] as const) {
  test(`a batch of Kafka's Java client is read: ${name}`, () => {
    const fetched = read(golden(name), 100);
    assert.equal(fetched.nextOffset, 104);
    assert.equal(fetched.lastLeaderEpoch, 5);
    const messages = decode(fetched, 100);
    assert.deepEqual(
      messages.map((message) => ({
        offset: message.offset,
        key: message.payload.key?.toString() ?? null,
        value: message.payload.value?.toString() ?? null,
        timestampMs: message.timestampMs,
        headers: message.payload.headers.map(([header, value]) => [header, value?.toString() ?? null]),
      })),
      GOLDEN_RECORDS.map((record, i) => ({ offset: 100 + i, ...record })),
    );
  });
}

test("with LogAppendTime every record has the broker's timestamp", () => {
  const timestamps = decode(read(golden("appendTime"), 100), 100).map((message) => message.timestampMs);
  assert.deepEqual(timestamps, Array(4).fill(GOLDEN_APPEND_TIME));
});

test("a record without a timestamp has none", () => {
  const [message] = decode(read(batchOf([{ payload: new KafkaPayload(null, "v"), timestampMs: -1 }])));
  assert.equal(message!.timestampMs, undefined);
});

test("several batches come out in order, each with its offsets, compressed or not", () => {
  for (const codecs of [
    [0, 0, 0],
    [0, 3, 1],
    [4, 2, 3],
    [2, 0, 4],
  ] as Codec[][]) {
    const bytes = Buffer.concat(
      codecs.map((codec, i) => batchOf(entries(500), { baseOffset: i * 1_000, codec, leaderEpoch: i })),
    );
    const fetched = read(bytes);
    const messages = decode(fetched, 0, 7);
    assert.equal(messages.length, 1_500);
    messages.forEach((message, i) => {
      assert.equal(message.offset, Math.floor(i / 500) * 1_000 + (i % 500));
      assert.equal(message.payload.text(), `v${i % 500}`);
    });
    assert.equal(fetched.nextOffset, 2_500);
    assert.equal(fetched.lastLeaderEpoch, 2);
  }
});

test("the buffer holds the records and can be transferred", () => {
  for (const codec of [Codec.NONE, Codec.LZ4]) {
    const fetched = read(batchOf(entries(1_000), { codec }));
    const moved = structuredClone(fetched, { transfer: [fetched.buffer] });
    assert.equal(fetched.buffer.byteLength, 0);
    assert.equal(values(moved).at(-1), "v999");
  }
});

test("what lies before the requested offset is passed over, whole batches and parts of one", () => {
  const bytes = Buffer.concat([0, 10, 20].map((baseOffset) => batchOf(entries(10), { baseOffset })));
  const fetched = read(bytes, 15);
  assert.deepEqual(values(fetched, 15), [
    "v5",
    "v6",
    "v7",
    "v8",
    "v9",
    ...entries(10).map((_, i) => `v${i}`),
  ]);
  assert.equal(fetched.nextOffset, 30);
  assert.equal(read(bytes, 30).nextOffset, 30);
  assert.equal(read(bytes, 99).nextOffset, 99, "the position never goes back");
});

test("an incomplete last batch is left for the next fetch, wherever it was cut", () => {
  const first = batchOf(entries(3));
  const second = batchOf(entries(3), { baseOffset: 3 });
  for (let cut = 0; cut < second.length; cut++) {
    const fetched = read(Buffer.concat([first, second.subarray(0, cut)]));
    assert.equal(fetched.nextOffset, 3);
    assert.equal(values(fetched).length, 3);
  }
});

test("no bytes are no records", () => {
  const fetched = read(Buffer.alloc(0), 42);
  assert.equal(fetched.nextOffset, 42);
  assert.equal(fetched.lastLeaderEpoch, -1);
  assert.deepEqual(values(fetched), []);
});

test("a batch whose end never comes is an error, not an endless wait for it", () => {
  const batch = batchOf(entries(3), { baseOffset: 7 });
  for (const cut of [1, 11, 12, 16, 17, 60, batch.length - 1]) {
    assert.throws(() => read(batch.subarray(0, cut), 7), corrupt(7, /longer than the \d+ bytes that came/));
  }
  batch.writeInt32BE(2_000_000_000, BatchOffset.LENGTH);
  assert.throws(() => read(batch, 7), corrupt(7, /longer than/));
});

test("control batches, empty ones and markers give no records, but the position goes on", () => {
  assert.deepEqual(values(read(golden("abort"), 104)), []);
  assert.equal(read(golden("abort"), 104).nextOffset, 105);
  assert.equal(read(golden("commit"), 104).nextOffset, 105);
  assert.equal(read(golden("empty"), 100).nextOffset, 120);
  const bytes = Buffer.concat([
    golden("empty"),
    markerOf("commit", 1n, 120),
    batchOf(entries(2), { baseOffset: 121 }),
  ]);
  const fetched = read(bytes, 100);
  assert.deepEqual(
    decode(fetched, 100).map((message) => message.offset),
    [121, 122],
  );
  assert.equal(fetched.nextOffset, 123);
});

test("a compacted batch keeps its last offset, though its last records are gone", () => {
  const batch = batchOf(entries(3), { baseOffset: 50 });
  batch.writeInt32BE(9, BatchOffset.LAST_OFFSET_DELTA);
  const fetched = read(resealed(batch), 50);
  assert.equal(fetched.nextOffset, 60);
  assert.equal(values(fetched, 50).length, 3);
});

test("damage anywhere behind the CRC is found", () => {
  for (const codec of [Codec.NONE, Codec.LZ4]) {
    const good = batchOf(entries(20), { codec, baseOffset: 5 });
    for (let at = BatchOffset.CRC; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at]! ^= 0x10;
      assert.throws(
        () => read(bad, 5),
        corrupt(5, /its CRC is 0x[0-9a-f]{8}, but 0x[0-9a-f]{8} was written/),
      );
    }
  }
});

test("damage further on lets through what is good, and is the error of the next fetch", () => {
  const first = batchOf(entries(3));
  const second = batchOf(entries(3), { baseOffset: 3 });
  const damages: Record<string, (bad: Buffer) => void> = {
    crc: (bad) => (bad[bad.length - 1]! ^= 1),
    magic: (bad) => (bad[BatchOffset.MAGIC] = 9),
    length: (bad) => bad.writeInt32BE(-1, BatchOffset.LENGTH),
    offset: (bad) => bad.writeBigInt64BE(1n, BatchOffset.BASE_OFFSET),
  };
  for (const damage of Object.values(damages)) {
    const bad = Buffer.from(second);
    damage(bad);
    const fetched = read(Buffer.concat([first, bad, batchOf(entries(3), { baseOffset: 6 })]));
    assert.equal(fetched.nextOffset, 3);
    assert.equal(values(fetched).length, 3);
  }
});

test("older message formats are named as such", () => {
  assert.throws(
    () => read(golden("magic1"), 100),
    corrupt(100, /message format version 1, which brokers wrote before/),
  );
  const bad = golden("none");
  bad[BatchOffset.MAGIC] = 3;
  assert.throws(() => read(bad, 100), corrupt(100, /message format version is 3, which does not exist/));
});

test("a length that is too small, and offsets that cannot be, are errors", () => {
  const shape = (change: (batch: Buffer) => void): Buffer => {
    const batch = batchOf(entries(3), { baseOffset: 8 });
    change(batch);
    return resealed(batch);
  };
  for (const length of [-1, 0, 48]) {
    assert.throws(
      () =>
        read(
          shape((batch) => batch.writeInt32BE(length, BatchOffset.LENGTH)),
          8,
        ),
      corrupt(8, new RegExp(`its length is ${length}, less than`)),
    );
  }
  for (const [base, message] of [
    [2n ** 53n, /beyond 9007199254740991/],
    [2n ** 53n - 3n, /beyond 9007199254740991/],
    [2n ** 62n, /beyond/],
    [-5n, /its offsets go from -5 to -3/],
  ] as const) {
    assert.throws(
      () =>
        read(
          shape((batch) => batch.writeBigInt64BE(base, BatchOffset.BASE_OFFSET)),
          8,
        ),
      corrupt(8, message),
    );
  }
  assert.throws(
    () =>
      read(
        shape((batch) => batch.writeInt32BE(-1, BatchOffset.LAST_OFFSET_DELTA)),
        8,
      ),
    corrupt(8, /its offsets go from 8 to 7/),
  );
  const largest = read(
    shape((batch) => batch.writeBigInt64BE(2n ** 53n - 4n, BatchOffset.BASE_OFFSET)),
    8,
  );
  assert.equal(largest.nextOffset, Number.MAX_SAFE_INTEGER);
  assert.equal(decode(largest, 8).at(-1)!.offset, Number.MAX_SAFE_INTEGER - 1);
});

test("a number of records that cannot be is an error", () => {
  for (const count of [-1, 4, 100, 2_000_000_000]) {
    const batch = batchOf(entries(3), { baseOffset: 8 });
    batch.writeInt32BE(count, BatchOffset.RECORD_COUNT);
    assert.throws(
      () => read(resealed(batch), 8),
      corrupt(8, new RegExp(`says that it has ${count} records`)),
    );
  }
  const roomy = batchOf(entries(3), { baseOffset: 8 });
  roomy.writeInt32BE(2_000_000_000, BatchOffset.RECORD_COUNT);
  roomy.writeInt32BE(2_000_000_000, BatchOffset.LAST_OFFSET_DELTA);
  assert.throws(() => read(resealed(roomy), 8), corrupt(8, /says that it has 2000000000 records/));
});

test("an unknown compression is an error", () => {
  const batch = batchOf(entries(3), { attributes: 5 });
  assert.throws(
    () => decode(read(batch)),
    corrupt(0, /cannot be decompressed: its compression 5 is unknown/),
  );
});

test("without a list of aborted transactions their records are delivered, but never their markers", () => {
  const bytes = Buffer.concat([transactional(entries(2), 1n, 0), markerOf("abort", 1n, 2)]);
  const fetched = read(bytes);
  assert.equal(values(fetched).length, 2);
  assert.equal(fetched.nextOffset, 3);
});

test("records of aborted transactions are passed over, those beside them are not", () => {
  const bytes = Buffer.concat([
    transactional(entries(1), 1n, 0), // aborted
    transactional(entries(1), 2n, 1), // committed
    batchOf(entries(1), { baseOffset: 2, identity: { producerId: 1n, producerEpoch: 0, baseSequence: 0 } }),
    markerOf("abort", 1n, 3),
    transactional(entries(1), 1n, 4), // the same producer, committed
    markerOf("commit", 2n, 5),
    markerOf("commit", 1n, 6),
    transactional(entries(1), 1n, 7), // and aborted once more
    transactional(entries(1), 1n, 8),
    markerOf("abort", 1n, 9),
    transactional(entries(1), 3n, 10), // aborted, its marker is not in this answer
    transactional(entries(1), 3n, 11),
  ]);
  const aborted = [
    { producerId: 3n, firstOffset: 10 },
    { producerId: 1n, firstOffset: 0 },
    { producerId: 1n, firstOffset: 7 },
  ];
  for (const from of [0, 4, 8]) {
    const expected = [1, 2, 4].filter((offset) => offset >= from);
    const fetched = read(bytes, from, {
      aborted: aborted.filter(({ firstOffset }) => from === 0 || firstOffset > 0),
    });
    assert.deepEqual(
      decode(fetched, from).map((message) => message.offset),
      expected,
    );
    assert.equal(fetched.nextOffset, 12);
  }
});

test("a control batch without a record ends nothing", () => {
  const odd = markerOf("abort", 1n, 1);
  odd.writeInt32BE(0, BatchOffset.RECORD_COUNT);
  const bytes = Buffer.concat([
    transactional(entries(1), 1n, 0),
    resealed(odd),
    transactional(entries(1), 1n, 2),
  ]);
  const fetched = read(bytes, 0, { aborted: [{ producerId: 1n, firstOffset: 0 }] });
  assert.deepEqual(decode(fetched), []);
  assert.equal(fetched.nextOffset, 3);
});
