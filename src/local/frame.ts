import { crc32c } from "@node-rs/crc32";

/**
 * How the files of a broker's folder are written: eight bytes that say what the file is, then one frame after the other.
 *
 * | bytes | of a frame, numbers in little-endian |
 * |---|---|
 * | 4 | the length of what follows the checksum |
 * | 4 | the CRC-32C of what follows |
 * | 8 | the sequence number: 0 for the first frame of the file, one more for each (in a log, the offset) |
 * | | the content |
 */
export const FRAME_HEADER_BYTES = 16;
export const FILE_HEADER_BYTES = 8;

/** Where the part begins that length and checksum are about. */
const CHECKED_FROM = 8;
const MIN_CHECKED_BYTES = FRAME_HEADER_BYTES - CHECKED_FROM;

/** The most that the content of a frame may have: more is taken for damage. */
export const MAX_CONTENT_BYTES: number = 64 * 1024 * 1024;

/** What a file is, as its first bytes say. */
export const FILE_KIND = { log: "ARROYOL1", offsets: "ARROYOC1" } as const;
export type FileKind = keyof typeof FILE_KIND;

const TWO_TO_32 = 2 ** 32;

/** Completes a frame whose content has been written behind its header, and which ends at `end`. */
export function sealFrame(bytes: Buffer, start: number, end: number, sequence: number): void {
  bytes.writeUInt32LE(end - start - CHECKED_FROM, start);
  bytes.writeUInt32LE(sequence % TWO_TO_32, start + 8);
  bytes.writeUInt32LE(Math.floor(sequence / TWO_TO_32), start + 12);
  bytes.writeUInt32LE(crc32c(bytes.subarray(start + CHECKED_FROM, end)), start + 4);
}

/** The size of the frame whose first four bytes lie here; undefined when no frame has such a length. */
export function sizeOfFrame(bytes: Buffer, at: number): number | undefined {
  const checked = bytes.readUInt32LE(at);
  if (checked < MIN_CHECKED_BYTES || checked > MIN_CHECKED_BYTES + MAX_CONTENT_BYTES) return undefined;
  return CHECKED_FROM + checked;
}

export function sequenceOfFrame(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 12) * TWO_TO_32 + bytes.readUInt32LE(at + 8);
}

/** Whether the bytes of a frame that lies here whole are those that were written. */
export function isFrameIntact(bytes: Buffer, at: number, size: number): boolean {
  return bytes.readUInt32LE(at + 4) === crc32c(bytes.subarray(at + CHECKED_FROM, at + size));
}
