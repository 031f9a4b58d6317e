import { crc32c } from "@node-rs/crc32";

/**
 * How the files of a broker's folder are written: eight bytes that say what the file is, then one frame after the other.
 *
 * | bytes | of a frame, numbers in little-endian |
 * |---|---|
 * | 4 | the length of the whole frame |
 * | 4 | the same with every bit inverted: so a damaged length is not taken for a frame that was not written to its end |
 * | 4 | the CRC-32C of what follows |
 * | 8 | the sequence number: 0 for the first frame of the file, one more for each (in a log, the offset) |
 * | | the content |
 */
export const FRAME_HEADER_BYTES = 20;
export const FILE_HEADER_BYTES = 8;

/** Where in a frame the part begins that the checksum is of. */
const CHECKED_FROM = 12;

/** The most that the content of a frame may have: more is taken for damage. */
export const MAX_CONTENT_BYTES: number = 64 * 1024 * 1024;

/** What a file is, as its first bytes say. */
export const FILE_KIND = { log: "ARROYOL1", offsets: "ARROYOC1" } as const;
export type FileKind = keyof typeof FILE_KIND;

const TWO_TO_32 = 2 ** 32;

/** Completes a frame whose content has been written behind its header, and which ends at `end`. */
export function sealFrame(bytes: Buffer, start: number, end: number, sequence: number): void {
  const size = end - start;
  bytes.writeUInt32LE(size, start);
  bytes.writeUInt32LE(~size >>> 0, start + 4);
  bytes.writeUInt32LE(sequence % TWO_TO_32, start + 12);
  bytes.writeUInt32LE(Math.floor(sequence / TWO_TO_32), start + 16);
  bytes.writeUInt32LE(crc32c(bytes.subarray(start + CHECKED_FROM, end)), start + 8);
}

/** The size of the frame whose header lies here; undefined when it is none, or another than the one that should be here. */
export function sizeOfFrame(bytes: Buffer, at: number, sequence: number): number | undefined {
  const size = bytes.readUInt32LE(at);
  if (size !== ~bytes.readUInt32LE(at + 4) >>> 0) return undefined;
  if (size < FRAME_HEADER_BYTES || size > FRAME_HEADER_BYTES + MAX_CONTENT_BYTES) return undefined;
  return bytes.readUInt32LE(at + 16) * TWO_TO_32 + bytes.readUInt32LE(at + 12) === sequence
    ? size
    : undefined;
}

/** Whether the bytes of a frame that lies here whole are those that were written. */
export function isFrameIntact(bytes: Buffer, at: number, size: number): boolean {
  return bytes.readUInt32LE(at + 8) === crc32c(bytes.subarray(at + CHECKED_FROM, at + size));
}
