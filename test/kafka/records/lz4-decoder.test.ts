import assert from "node:assert/strict";
import { test } from "node:test";
import { assembleLz4 } from "../../../scripts/lz4-module.ts";
import { Codec, compress, decompress } from "../../../src/kafka/records/compression.ts";
import { LZ4_MODULE } from "../../../src/kafka/records/lz4-module.ts";

const LIMIT = 1024 * 1024;

/** A frame of independent blocks of up to 64 kB, none of which has a checksum. */
function frame(...blocks: readonly (readonly number[])[]): Buffer {
  const parts = [Buffer.from("04224d18604000", "hex")];
  for (const block of blocks) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(block.length);
    parts.push(length, Buffer.from(block));
  }
  return Buffer.concat([...parts, Buffer.alloc(4)]);
}

test("the decoder that runs is the one whose text is there to be read", async () => {
  const assembled = await assembleLz4();
  assert.equal(LZ4_MODULE, assembled.toString("base64"), "run: node scripts/lz4-module.ts");
});

test("patterns of any length are repeated as they were", () => {
  for (let period = 1; period <= 40; period++) {
    for (const length of [period + 4, 64, 300, 70_000]) {
      const bytes = Buffer.alloc(length, Buffer.from(Array.from({ length: period }, (_, i) => 65 + i)));
      const packed = Buffer.from(compress(Codec.LZ4, Buffer.concat([bytes, Buffer.from("the end")])));
      const unpacked = decompress(Codec.LZ4, packed, LIMIT);
      assert.equal(unpacked.toString(), `${bytes.toString()}the end`, `period ${period}, length ${length}`);
    }
  }
});

test("a block that reaches outside of itself is damaged", () => {
  const abc = [0x30, 0x61, 0x62, 0x63];
  assert.equal(decompress(Codec.LZ4, frame(abc), LIMIT).toString(), "abc");
  const damaged: Readonly<Record<string, readonly number[]>> = {
    "more literals than there are bytes": [0x40, 0x61, 0x62, 0x63],
    "a length that goes on behind the end": [0xf0, 0xff, 0xff],
    "a match in the place of the end": [0x30, 0x61, 0x62, 0x63, 0x03, 0x00],
    "half of an offset": [0x30, 0x61, 0x62, 0x63, 0x03],
    "an offset of nothing": [0x30, 0x61, 0x62, 0x63, 0x00, 0x00, 0x00],
    "an offset before the block's begin": [0x30, 0x61, 0x62, 0x63, 0x04, 0x00, 0x00],
    "the length of a match that goes on behind the end": [0x3f, 0x61, 0x62, 0x63, 0x03, 0x00, 0xff],
  };
  for (const [what, block] of Object.entries(damaged)) {
    assert.throws(() => decompress(Codec.LZ4, frame(abc, block), LIMIT), /cannot be decoded/, what);
  }
});

test("a block of more than its frame allows is damaged, whatever the limit", () => {
  const huge = [0x1f, 0x61, 0x01, 0x00, ...Array<number>(300).fill(0xff), 0x00, 0x10, 0x62];
  assert.throws(() => decompress(Codec.LZ4, frame(huge), LIMIT), /larger than it may be/);
});

test("what a frame says of its content must be so", () => {
  const good = Buffer.from("04224d18684004000000000000000005000000406162636400000000", "hex");
  assert.equal(decompress(Codec.LZ4, good, LIMIT).toString(), "abcd");
  const wrong = Buffer.from(good);
  wrong[6] = 5;
  assert.throws(() => decompress(Codec.LZ4, wrong, LIMIT), /says that it has 5/);
});
