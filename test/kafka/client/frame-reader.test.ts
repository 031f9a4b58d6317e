import assert from "node:assert/strict";
import { test } from "node:test";
import { BadLengthError, FrameReader } from "../../../src/kafka/client/frame-reader.ts";
import { SeededRandom } from "../../seeded-random.ts";

const MAX_BYTES = 40_000_000;

function frameOf(content: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(content.length);
  return Buffer.concat([length, content]);
}

/** A reader, and copies of what it has read. */
function reading(maxBytes: number = MAX_BYTES): { reader: FrameReader; frames: Buffer[] } {
  const frames: Buffer[] = [];
  return { frames, reader: new FrameReader(maxBytes, (frame) => frames.push(Buffer.from(frame))) };
}

/** Gives bytes to a reader as a socket does: to where it says, as many as there are, but no more than `most`. */
function pour(reader: FrameReader, bytes: Buffer, most: () => number): void {
  for (let at = 0; at < bytes.length;) {
    const target = reader.target();
    const count = Math.min(target.length, most(), bytes.length - at);
    bytes.copy(target, 0, at, at + count);
    at += count;
    reader.filled(count);
  }
}

test("answers of all sizes come out whole and in order, in whatever pieces their bytes come", () => {
  const random = new SeededRandom(7);
  const sizes = [4, 5, 100, 16_379, 16_380, 16_381, 16_384, 16_385, 20_000, 1_000_000, 9_000_000, 17, 70_000];
  const contents = [...sizes, ...sizes.toReversed(), 30_000, 29_999].map((size) =>
    Buffer.alloc(size, random.below(256)),
  );
  const bytes = Buffer.concat(contents.map(frameOf));
  for (const most of [() => Infinity, () => 4_096, () => 1 + random.below(60_000), () => 16_383]) {
    const { reader, frames } = reading();
    pour(reader, bytes, most);
    assert.deepEqual(
      frames.map(({ length }) => length),
      contents.map(({ length }) => length),
    );
    for (const [index, content] of contents.entries()) assert.ok(frames[index]!.equals(content));

    const taking = reading();
    for (let at = 0; at < bytes.length;) {
      const count = Math.min(most(), bytes.length - at);
      taking.reader.take(bytes.subarray(at, at + count));
      at += count;
    }
    assert.equal(taking.frames.length, contents.length);
    for (const [index, content] of contents.entries()) assert.ok(taking.frames[index]!.equals(content));
  }
});

test("a byte at a time", () => {
  const { reader, frames } = reading();
  pour(reader, Buffer.concat([frameOf(Buffer.alloc(20_000, 1)), frameOf(Buffer.from("last"))]), () => 1);
  assert.deepEqual([frames[0]?.length, frames[1]?.toString()], [20_000, "last"]);
});

test("the memory of a long answer is used again for the next one, up to a limit", () => {
  const memories = new Set<ArrayBufferLike>();
  const reader = new FrameReader(MAX_BYTES, (frame) => memories.add(frame.buffer));
  const long = frameOf(Buffer.alloc(2_000_000));
  for (let round = 0; round < 50; round += 1) pour(reader, long, () => Infinity);
  assert.equal(memories.size, 1);
  const huge = frameOf(Buffer.alloc(9_000_000));
  for (let round = 0; round < 3; round += 1) pour(reader, huge, () => Infinity);
  assert.equal(memories.size, 4);
});

test("a length that no answer can have is an error at once, behind good answers too", () => {
  for (const length of [-1, 0, 3, 1_001]) {
    const { reader, frames } = reading(1_000);
    const bad = Buffer.alloc(8, 0xab);
    bad.writeInt32BE(length);
    assert.throws(
      () => pour(reader, Buffer.concat([frameOf(Buffer.from("good")), bad]), () => Infinity),
      (error) => error instanceof BadLengthError && error.length === length && error.bytes.equals(bad),
    );
    assert.deepEqual(frames.map(String), ["good"]);
  }
});
