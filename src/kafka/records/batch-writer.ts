import { bodySize, writeBody, type KafkaPayload } from "../../message/payload.ts";
import { varintSize, writeVarint } from "../../message/varint.ts";
import { Attribute, BatchOffset, LENGTH_OVERHEAD, MAGIC_V2, writeInt64 } from "./batch-format.ts";
import { Codec, compress } from "./compression.ts";
import { crc32c } from "./crc32c.ts";

/** Who wrote a batch, for brokers that leave out what they have already; all -1 without idempotence. */
export interface ProducerIdentity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** A batch that is complete but for what {@link sealBatch} does. */
export interface WrittenBatch {
  /** May be larger than the batch. Can be transferred. */
  readonly buffer: ArrayBuffer;
  readonly length: number;
  readonly recordCount: number;
}

const MIN_CAPACITY = 1024;
const MAX_TIMESTAMP_DELTA = 2 ** 31 - 1;

/** The size in bytes of a batch that holds nothing but this payload. */
export function soloBatchSize(payload: KafkaPayload): number {
  const length = 3 + bodySize(payload);
  return BatchOffset.RECORDS + varintSize(length) + length;
}

/**
 * Writes one record batch, record by record, straight into the buffer that is sent. It is laid out on the main thread, and
 * compressed and sealed with its CRC on the I/O thread.
 */
export class BatchWriter {
  readonly #maxBytes: number;
  #target: Buffer;
  #at: number = BatchOffset.RECORDS;
  #count = 0;
  #baseTimestamp = 0;
  #maxTimestamp = 0;

  /** A batch of at most `maxBytes`, unless a single record is larger. `expectedBytes` are set aside for it at first. */
  constructor(maxBytes: number, expectedBytes: number) {
    this.#maxBytes = maxBytes;
    this.#target = Buffer.allocUnsafeSlow(Math.max(MIN_CAPACITY, Math.min(expectedBytes, maxBytes)));
  }

  get recordCount(): number {
    return this.#count;
  }

  /** The size of the batch so far. */
  get length(): number {
    return this.#at;
  }

  /** Adds a record. Returns false, and adds nothing, when it has no place in this batch any more. */
  append(payload: KafkaPayload, timestampMs: number): boolean {
    const count = this.#count;
    const delta = count === 0 ? 0 : timestampMs - this.#baseTimestamp;
    const length = 1 + varintSize(delta) + varintSize(count) + bodySize(payload);
    const needed = this.#at + varintSize(length) + length;
    if (count === 0) {
      this.#baseTimestamp = timestampMs;
      this.#maxTimestamp = timestampMs;
    } else {
      if (needed > this.#maxBytes || delta > MAX_TIMESTAMP_DELTA || delta < -MAX_TIMESTAMP_DELTA)
        return false;
      if (timestampMs > this.#maxTimestamp) this.#maxTimestamp = timestampMs;
    }
    if (needed > this.#target.length) this.#grow(needed);
    const target = this.#target;
    let at = writeVarint(target, this.#at, length);
    target[at++] = 0;
    at = writeVarint(target, at, delta);
    at = writeVarint(target, at, count);
    this.#at = writeBody(payload, target, at);
    this.#count = count + 1;
    return true;
  }

  /** Completes the header. Nothing may be added afterwards. */
  finish(): WrittenBatch {
    const target = this.#target;
    const count = this.#count;
    writeInt64(target, BatchOffset.BASE_OFFSET, 0);
    target.writeInt32BE(this.#at - LENGTH_OVERHEAD, BatchOffset.LENGTH);
    target.writeInt32BE(-1, BatchOffset.LEADER_EPOCH);
    target[BatchOffset.MAGIC] = MAGIC_V2;
    target.writeUInt32BE(0, BatchOffset.CRC);
    target.writeInt16BE(0, BatchOffset.ATTRIBUTES);
    target.writeInt32BE(count - 1, BatchOffset.LAST_OFFSET_DELTA);
    writeInt64(target, BatchOffset.BASE_TIMESTAMP, this.#baseTimestamp);
    writeInt64(target, BatchOffset.MAX_TIMESTAMP, this.#maxTimestamp);
    target.fill(0xff, BatchOffset.PRODUCER_ID, BatchOffset.RECORD_COUNT);
    target.writeInt32BE(count, BatchOffset.RECORD_COUNT);
    return { buffer: target.buffer as ArrayBuffer, length: this.#at, recordCount: count };
  }

  #grow(needed: number): void {
    const doubled = Math.min(this.#target.length * 2, this.#maxBytes);
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, doubled));
    this.#target.copy(larger, 0, 0, this.#at);
    this.#target = larger;
  }
}

/**
 * Compresses a written batch and sets its CRC: then it can be sent, as often as needed. Records that compression would make
 * larger stay as they are.
 */
export function sealBatch(batch: WrittenBatch, codec: Codec, identity?: ProducerIdentity): Buffer {
  let sealed = Buffer.from(batch.buffer, 0, batch.length);
  if (codec !== Codec.NONE) {
    const packed = compress(codec, sealed.subarray(BatchOffset.RECORDS));
    if (packed.length < batch.length - BatchOffset.RECORDS) {
      sealed = Buffer.concat([sealed.subarray(0, BatchOffset.RECORDS), packed]);
      sealed.writeInt32BE(sealed.length - LENGTH_OVERHEAD, BatchOffset.LENGTH);
      sealed.writeInt16BE(codec & Attribute.CODEC, BatchOffset.ATTRIBUTES);
    }
  }
  sign(sealed, identity);
  return sealed;
}

/** The same sealed batch under another identity. The one before is left as it is: a socket may still be writing it. */
export function resealBatch(sealed: Buffer, identity: ProducerIdentity): Buffer {
  const copy = Buffer.from(sealed);
  sign(copy, identity);
  return copy;
}

function sign(sealed: Buffer, identity: ProducerIdentity | undefined): void {
  if (identity !== undefined) {
    sealed.writeBigInt64BE(identity.producerId, BatchOffset.PRODUCER_ID);
    sealed.writeInt16BE(identity.producerEpoch, BatchOffset.PRODUCER_EPOCH);
    sealed.writeInt32BE(identity.baseSequence, BatchOffset.BASE_SEQUENCE);
  }
  sealed.writeUInt32BE(crc32c(sealed.subarray(BatchOffset.ATTRIBUTES)), BatchOffset.CRC);
}
