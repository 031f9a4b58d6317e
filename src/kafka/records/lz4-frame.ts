import { DecompressionLimitError } from "./decompression-limit-error.ts";

/** The frame format of lz4: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md */

const MAGIC = 0x184d2204;
const HAS_BLOCK_CHECKSUM = 0x10;
const HAS_CONTENT_SIZE = 0x08;
const HAS_DICTIONARY_ID = 0x01;
/** In the length of a block: its bytes are there as they are. */
const STORED = 0x8000_0000;
/** One byte of a block makes no more than so many. */
const MAX_RATIO = 255;

/**
 * Checks that a frame decompresses to at most `maxBytes`, without decompressing it.
 *
 * @throws DecompressionLimitError when more would come out, Error when these bytes are not a whole lz4 frame.
 */
export function checkLz4Frame(frame: Buffer, maxBytes: number): void {
  let bound = 0;
  for (const block of blocksOf(frame))
    bound += Math.min(block.maxSize, (block.end - block.start) * MAX_RATIO);
  if (bound <= maxBytes) return;
  // Blocks need not be full: only now is it worth the time to look into them.
  let size = 0;
  for (const block of blocksOf(frame)) {
    size += block.stored ? block.end - block.start : blockSize(frame, block.start, block.end);
  }
  if (size > maxBytes) throw new DecompressionLimitError(maxBytes);
}

interface Block {
  readonly start: number;
  readonly end: number;
  readonly stored: boolean;
  /** No block of the frame holds more. */
  readonly maxSize: number;
}

function* blocksOf(frame: Buffer): Generator<Block> {
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
    yield { start, end, stored: (header & STORED) !== 0, maxSize };
  }
}

/** How many bytes the sequences of a block make (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md). */
function blockSize(frame: Buffer, start: number, end: number): number {
  let size = 0;
  let at = start;
  const more = (length: number): number => {
    if (length < 15) return length;
    let byte = 255;
    while (byte === 255 && at < end) {
      byte = frame[at++]!;
      length += byte;
    }
    return length;
  };
  while (at < end) {
    const token = frame[at++]!;
    const literals = more(token >> 4);
    size += literals;
    at += literals;
    if (at >= end) break;
    at += 2;
    size += more(token & 15) + 4;
  }
  return size;
}
