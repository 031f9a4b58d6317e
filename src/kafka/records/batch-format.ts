/**
 * Where things are in a record batch of format version 2 (https://kafka.apache.org/documentation/#recordbatch). All
 * numbers are big-endian.
 */
export const BatchOffset = {
  BASE_OFFSET: 0,
  /** The length of everything behind this field. */
  LENGTH: 8,
  LEADER_EPOCH: 12,
  MAGIC: 16,
  CRC: 17,
  /** From here on to the end of the batch the CRC is taken. */
  ATTRIBUTES: 21,
  LAST_OFFSET_DELTA: 23,
  BASE_TIMESTAMP: 27,
  MAX_TIMESTAMP: 35,
  PRODUCER_ID: 43,
  PRODUCER_EPOCH: 51,
  BASE_SEQUENCE: 53,
  RECORD_COUNT: 57,
  RECORDS: 61,
} as const;

/** Bytes in front of what LENGTH counts. */
export const LENGTH_OVERHEAD = 12;

export const MAGIC_V2 = 2;

export const Attribute = {
  CODEC: 0x07,
  LOG_APPEND_TIME: 0x08,
  TRANSACTIONAL: 0x10,
  CONTROL: 0x20,
} as const;

/** The smallest record: its length, attributes, two deltas, and the lengths of key, value and headers. */
export const MIN_RECORD_BYTES = 7;

/** A signed 64-bit integer as a number: exact up to 2^53, rounded beyond. */
export function readInt64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

/** Writes a whole number as a signed 64-bit integer. */
export function writeInt64(bytes: Buffer, at: number, value: number): void {
  bytes.writeInt32BE(Math.floor(value / 0x1_0000_0000), at);
  bytes.writeUInt32BE(value >>> 0, at + 4);
}
