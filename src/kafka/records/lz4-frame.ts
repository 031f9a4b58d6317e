import { lz4Decoder } from "./lz4-decoder.ts";

/** The frame format of lz4: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md */

const MAGIC = 0x184d2204;
const IS_INDEPENDENT = 0x20;
const HAS_BLOCK_CHECKSUM = 0x10;
const HAS_CONTENT_SIZE = 0x08;
const HAS_DICTIONARY_ID = 0x01;
/** In the length of a block: its bytes are there as they are. */
const STORED = 0x8000_0000;
/** One byte of a block makes no more than so many. */
const MAX_RATIO = 255;

/** A block of a frame, by where it lies. */
export interface Lz4Block {
  readonly start: number;
  readonly end: number;
  readonly stored: boolean;
  /** No block of the frame holds more. */
  readonly maxSize: number;
}

/**
 * Decompresses a frame. The result lies in memory that the next call uses again.
 *
 * @throws DecompressionLimitError when more than `maxBytes` would come out, Error when these bytes are not a whole lz4 frame.
 */
export function decompressLz4(frame: Buffer, maxBytes: number): Buffer {
  // Gone through twice rather than kept: a block of one byte would take more memory than it may make.
  let bound = 0;
  for (const { start, end, maxSize } of blocksOf(frame))
    bound += Math.min(maxSize, (end - start) * MAX_RATIO);
  const flags = frame[4]!;
  const output = lz4Decoder.decode(frame, blocksOf(frame), (flags & IS_INDEPENDENT) === 0, bound, maxBytes);
  if ((flags & HAS_CONTENT_SIZE) !== 0) checkSize(frame, output.length);
  return output;
}

function checkSize(frame: Buffer, size: number): void {
  const claimed = frame.readBigUInt64LE(6);
  if (claimed !== BigInt(size))
    throw new Error(`its lz4 frame has ${size} bytes, but says that it has ${claimed}`);
}

function* blocksOf(frame: Buffer): Generator<Lz4Block, void> {
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw new Error("it is no lz4 frame");
  const flags = frame[4]!;
  if (flags >> 6 !== 1) throw new Error(`its lz4 frame has version ${flags >> 6}, not 1`);
  const checksum = (flags & HAS_BLOCK_CHECKSUM) === 0 ? 0 : 4;
  const maxSize = 1 << (8 + 2 * ((frame[5]! >> 4) & 7));
  let at = 7 + ((flags & HAS_CONTENT_SIZE) === 0 ? 0 : 8) + ((flags & HAS_DICTIONARY_ID) === 0 ? 0 : 4);
  for (;;) {
    if (at + 4 > frame.length) throw new Error("its lz4 frame is cut short");
    const header = frame.readUInt32LE(at);
    if (header === 0) return;
    const start = at + 4;
    const end = start + (header & ~STORED);
    at = end + checksum;
    if (at > frame.length) throw new Error("its lz4 frame is cut short");
    yield { start, end, stored: header >>> 31 === 1, maxSize };
  }
}
