import { test } from "node:test";
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Codec, compress, decompress } from "../../../src/kafka/records/compression.ts";
import { LZ4_CONTENT, LZ4_FRAMES } from "./lz4-frames.ts";

const LIMIT = 64 * 1024 * 1024;
const CODECS = Object.entries(Codec).filter(([, codec]) => codec !== Codec.NONE);
const TEXT = Buffer.from(
  Array.from({ length: 5_000 }, (_, i) => `{"id":${i},"name":"${i % 97}"}`).join("\n"),
);

/** What was compressed, kept: the result of compress and decompress is only valid until the next call. */
const packed = (codec: Codec, bytes: Buffer): Buffer => Buffer.from(compress(codec, bytes));

for (const [name, codec] of CODECS) {
  test(`${name} gives back what went in, whatever it is`, () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.of(1),
      TEXT,
      Buffer.alloc(3_000_000),
      randomBytes(200_001),
      Buffer.from(new SharedArrayBuffer(5_000)).fill("shared"),
    ]) {
      assert.ok(decompress(codec, packed(codec, bytes), LIMIT).equals(bytes), `${bytes.length} bytes`);
    }
  });

  test(`${name} puts out no more than it may, and exactly as much if that is the limit`, () => {
    const zeros = packed(codec, Buffer.alloc(1_000_000));
    assert.equal(decompress(codec, zeros, 1_000_000).length, 1_000_000);
    assert.throws(() => decompress(codec, zeros, 999_999), /more than 999999 bytes would come out/);
    assert.throws(() => decompress(codec, packed(codec, TEXT), 1_000), /more than 1000 bytes would come out/);
  });

  test(`${name} that is damaged ends in an error, and the next batch is read all the same`, () => {
    const good = packed(codec, TEXT);
    for (let cut = 0; cut < good.length; cut += 1 + Math.floor(good.length / 50)) {
      assert.throws(() => decompress(codec, good.subarray(0, cut), LIMIT), Error);
    }
    assert.throws(() => decompress(codec, Buffer.from("these are no compressed bytes at all"), LIMIT), Error);
    assert.ok(decompress(codec, good, LIMIT).equals(TEXT));
  });
}

test("a thousand damaged inputs in a row leave lz4 and snappy as they were", () => {
  for (const codec of [Codec.LZ4, Codec.SNAPPY]) {
    const good = packed(codec, TEXT);
    for (let i = 0; i < 1_000; i++) {
      const bad = Buffer.from(good);
      for (let k = 0; k < 8; k++) bad[20 + ((i * 131 + k * 977) % (bad.length - 20))]! ^= 0x5a;
      try {
        decompress(codec, bad, LIMIT);
      } catch {
        // It may well be readable; only the next one counts.
      }
    }
    assert.ok(decompress(codec, good, LIMIT).equals(TEXT));
  }
});

for (const [what, frame] of Object.entries(LZ4_FRAMES)) {
  test(`lz4 frames with ${what} are read`, () => {
    const bytes = Buffer.from(frame, "base64");
    assert.equal(decompress(Codec.LZ4, bytes, LZ4_CONTENT.length).toString(), LZ4_CONTENT);
    assert.throws(() => decompress(Codec.LZ4, bytes, LZ4_CONTENT.length - 1), /more than .* would come out/);
  });
}

test("zstd and gzip in several frames are read to the end, also with something in between that is to be skipped", () => {
  const skipped = Buffer.from("502a4d1803000000aabbcc", "hex");
  const [first, second] = [TEXT.subarray(0, 70_000), TEXT.subarray(70_000)];
  const framed = (...parts: Buffer[]): Buffer => Buffer.concat(parts);
  const [a, b] = [zstdCompressSync(first), zstdCompressSync(second)];
  const empty = zstdCompressSync(Buffer.alloc(0));
  for (const bytes of [framed(a, b), framed(skipped, a, skipped, empty, b, empty), framed(a, b, skipped)]) {
    assert.ok(decompress(Codec.ZSTD, bytes, LIMIT).equals(TEXT));
    assert.ok(decompress(Codec.ZSTD, bytes, TEXT.length).equals(TEXT), "just as much as may come out");
    assert.throws(() => decompress(Codec.ZSTD, bytes, TEXT.length - 1), /more than \d+ bytes would come out/);
  }
  assert.throws(() => decompress(Codec.ZSTD, framed(a, b.subarray(0, -1)), LIMIT), Error, "cut off");
  assert.throws(() => decompress(Codec.ZSTD, framed(a, Buffer.from("garbage")), LIMIT), Error);
  const members = framed(gzipSync(first), gzipSync(second));
  assert.ok(decompress(Codec.GZIP, members, LIMIT).equals(TEXT));
});

test("more frames than any writer makes are refused, so that they cannot keep the thread busy", () => {
  const empty = zstdCompressSync(Buffer.alloc(0));
  const frames = Buffer.alloc(100_000 * empty.length, empty);
  assert.throws(() => decompress(Codec.ZSTD, frames, LIMIT), /it has more than 1000 frames/);
});

test("snappy is read as bare block and in the framing of Java, with several blocks", () => {
  const parts = [TEXT.subarray(0, 1_000), TEXT.subarray(1_000, 40_000), TEXT.subarray(40_000)];
  const framed: Buffer[] = [Buffer.from("82534e415050590000000001", "hex"), Buffer.from("00000001", "hex")];
  for (const part of parts) {
    const block = packed(Codec.SNAPPY, part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    framed.push(length, block);
  }
  const bytes = Buffer.concat(framed);
  assert.ok(decompress(Codec.SNAPPY, bytes, LIMIT).equals(TEXT));
  assert.throws(() => decompress(Codec.SNAPPY, bytes, TEXT.length - 1), /more than/);
  assert.throws(() => decompress(Codec.SNAPPY, bytes.subarray(0, -1), LIMIT), /cut short/);
  assert.throws(() => decompress(Codec.SNAPPY, bytes.subarray(0, 18), LIMIT), /cut short/);
});

test("a size that is only claimed does not cost the memory for it", () => {
  const gzip = gzipSync(TEXT);
  gzip.writeUInt32LE(0xffff_fff0, gzip.length - 4);
  assert.throws(() => decompress(Codec.GZIP, gzip, LIMIT), Error);
  const snappy = Buffer.from("ffffffff0f00", "hex");
  assert.throws(() => decompress(Codec.SNAPPY, snappy, LIMIT), /more than/);
  const zstd = zstdCompressSync(TEXT);
  for (const limit of [TEXT.length, LIMIT]) assert.ok(decompress(Codec.ZSTD, zstd, limit).equals(TEXT));
});

test("a codec that Kafka does not have is an error", () => {
  for (const codec of [5, 6, 7]) {
    assert.throws(() => decompress(codec, TEXT, LIMIT), new RegExp(`its compression ${codec} is unknown`));
  }
});
