import {
  Attribute,
  BatchOffset,
  LENGTH_OVERHEAD,
  MAGIC_V2,
  MIN_RECORD_BYTES,
  readInt64,
} from "./batch-format.ts";
import { CorruptBatchError } from "./corrupt-batch-error.ts";
import { crc32c } from "./crc32c.ts";

/** What the header of a batch says, checked. `start` and `end` are those of the whole batch. */
export interface BatchHeader {
  readonly start: number;
  readonly end: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly attributes: number;
  readonly recordCount: number;
}

/**
 * Reads and checks the header of the batch at `start`: its length, format, CRC-32C and offsets. Undefined when the bytes
 * end before the batch does.
 *
 * `expected` is the lowest offset that it may begin with, since no two batches overlap.
 *
 * @throws CorruptBatchError
 */
export function readBatchHeader(bytes: Buffer, start: number, expected: number): BatchHeader | undefined {
  const available = bytes.length - start;
  // The format comes first: a batch of an older one has another header behind it.
  if (available > BatchOffset.MAGIC) checkFormat(bytes, start, expected);
  if (available < LENGTH_OVERHEAD) return undefined;
  const length = bytes.readInt32BE(start + BatchOffset.LENGTH);
  if (length < BatchOffset.RECORDS - LENGTH_OVERHEAD) {
    throw new CorruptBatchError(expected, `its length is ${length}, less than that of its header`);
  }
  if (available - LENGTH_OVERHEAD < length) return undefined;
  const end = start + LENGTH_OVERHEAD + length;
  const crc = bytes.readUInt32BE(start + BatchOffset.CRC);
  const computed = crc32c(bytes.subarray(start + BatchOffset.ATTRIBUTES, end));
  if (crc !== computed) {
    throw new CorruptBatchError(expected, `its CRC is ${hex(computed)}, but ${hex(crc)} was written`);
  }
  const baseOffset = readInt64(bytes, start + BatchOffset.BASE_OFFSET);
  const lastOffsetDelta = bytes.readInt32BE(start + BatchOffset.LAST_OFFSET_DELTA);
  const recordCount = bytes.readInt32BE(start + BatchOffset.RECORD_COUNT);
  const lastOffset = baseOffset + lastOffsetDelta;
  checkOffsets(baseOffset, lastOffsetDelta, expected);
  const attributes = bytes.readInt16BE(start + BatchOffset.ATTRIBUTES);
  const room =
    (attributes & Attribute.CODEC) === 0
      ? (end - start - BatchOffset.RECORDS) / MIN_RECORD_BYTES
      : lastOffsetDelta + 1;
  if (recordCount < 0 || recordCount > lastOffsetDelta + 1 || recordCount > room) {
    throw new CorruptBatchError(baseOffset, `it says that it has ${recordCount} records, which it cannot`);
  }
  const leaderEpoch = bytes.readInt32BE(start + BatchOffset.LEADER_EPOCH);
  return { start, end, baseOffset, lastOffset, leaderEpoch, attributes, recordCount };
}

function checkFormat(bytes: Buffer, start: number, expected: number): void {
  const magic = bytes.readInt8(start + BatchOffset.MAGIC);
  if (magic === MAGIC_V2) return;
  throw new CorruptBatchError(
    expected,
    magic === 0 || magic === 1
      ? `it has message format version ${magic}, which brokers wrote before Kafka 0.11 and this client does not read`
      : `its message format version is ${magic}, which does not exist`,
  );
}

function checkOffsets(baseOffset: number, lastOffsetDelta: number, expected: number): void {
  if (!Number.isSafeInteger(baseOffset + lastOffsetDelta + 1)) {
    throw new CorruptBatchError(
      expected,
      `its offsets go beyond ${Number.MAX_SAFE_INTEGER}, the largest that can be handled`,
    );
  }
  if (baseOffset < 0 || lastOffsetDelta < 0) {
    throw new CorruptBatchError(
      expected,
      `its offsets go from ${baseOffset} to ${baseOffset + lastOffsetDelta}`,
    );
  }
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, "0")}`;
}
