import { BrokerMessage } from "../../message/message.ts";
import type { Partition } from "../../message/partition.ts";
import { payloadOfBody, type KafkaPayload } from "../../message/payload.ts";
import { decompressApart, decompressionProblem } from "./compression.ts";
import { CorruptBatchError } from "./corrupt-batch-error.ts";
import { BatchField, BATCH_FIELDS, releaseBatches, type FetchedBatches } from "./fetched-batches.ts";

/**
 * Where the varint that is read next begins. One variable for the whole file, since a function returns but one number;
 * it measured as fast as loops written out in place.
 */
let cursor = 0;

/**
 * Turns the records of some fetched batches into messages, in order, as many at a time as are asked for. Only lengths are
 * read; keys, values and headers wait in the batch until somebody asks for them. A batch that came compressed is
 * decompressed when its turn comes.
 *
 * This is the hottest loop of the consumer (10 M records a second and core), hence plain arithmetic and no views.
 */
export class RecordDecoder {
  readonly #partition: Partition;
  /** What came. */
  readonly #fetched: Buffer<ArrayBuffer>;
  readonly #maxBatchBytes: number;
  readonly #batches: Float64Array;
  readonly #fromOffset: number;
  /** The row of the batch that comes next. */
  #row = 0;
  // The batch that is being read, and where its records lie.
  #bytes: Buffer;
  #at = 0;
  #end = 0;
  #recordsLeft = 0;
  #baseOffset = 0;
  #lastOffset = -1;
  #baseTimestamp = 0;
  #appendTimestamp = NaN;
  /** The lowest offset that the next record may have. */
  #expected: number;
  #memoryBytes = 0;

  /**
   * Takes over the bytes. Records before `fromOffset` are passed over. A batch that decompresses to more than
   * `maxBatchBytes` is an error.
   */
  constructor(
    partition: Partition,
    fetched: Pick<FetchedBatches, "buffer" | "batches"> & {
      readonly fromOffset: number;
      readonly maxBatchBytes: number;
    },
  ) {
    this.#partition = partition;
    this.#fetched = Buffer.from(fetched.buffer);
    this.#bytes = this.#fetched;
    this.#maxBatchBytes = fetched.maxBatchBytes;
    this.#batches = fetched.batches;
    this.#fromOffset = fetched.fromOffset;
    this.#expected = fetched.fromOffset;
  }

  /** How much memory the messages of the batches so far lie in. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /**
   * Appends the next messages, at most `max`. Returns true once the last one has been handed out.
   *
   * @throws CorruptBatchError at a record that cannot be read or a batch that cannot be decompressed, and again at each
   *   further call. The messages before it are handed out first.
   */
  next(max: number, into: BrokerMessage<KafkaPayload>[]): boolean {
    const partition = this.#partition;
    const fromOffset = this.#fromOffset;
    const full = into.length + max;
    const before = into.length;
    for (;;) {
      if (this.#recordsLeft === 0) {
        if (this.#at !== this.#end) return this.#fail("bytes are left behind its last record", into, before);
        if (this.#row >= this.#batches.length) {
          releaseBatches({ buffer: this.#fetched.buffer, batches: this.#batches });
          return true;
        }
        const problem = this.#nextBatch();
        if (problem !== undefined) return this.#fail(problem, into, before);
        continue;
      }
      const bytes = this.#bytes;
      const end = this.#end;
      const baseOffset = this.#baseOffset;
      const lastDelta = this.#lastOffset - baseOffset;
      const baseTimestamp = this.#baseTimestamp;
      const appendTimestamp = this.#appendTimestamp;
      const ownTimestamps = Number.isNaN(appendTimestamp);
      let left = this.#recordsLeft;
      let at = this.#at;
      let lowestDelta = this.#expected - baseOffset;
      let reason: string | undefined;
      while (left > 0 && into.length < full) {
        cursor = at;
        const length = varint(bytes);
        const recordEnd = cursor + length;
        if (length < MIN_LENGTH || recordEnd > end) {
          reason = "a record's length is wrong";
          break;
        }
        cursor++; // The attributes of a record, none of which is in use.
        const timestampDelta = varlong(bytes);
        const offsetDelta = varint(bytes);
        const bodyStart = cursor;
        skipField(bytes, recordEnd);
        skipField(bytes, recordEnd);
        // Nearly always there are no headers, and the body ends with their number.
        if (cursor + 1 !== recordEnd || bytes[cursor] !== 0) skipHeaders(bytes, recordEnd);
        else cursor++;
        if (cursor !== recordEnd) {
          reason = "a record's parts do not fill it";
          break;
        }
        if (offsetDelta < lowestDelta || offsetDelta > lastDelta) {
          reason = "a record's offset is out of order";
          break;
        }
        lowestDelta = offsetDelta + 1;
        at = recordEnd;
        left--;
        const offset = baseOffset + offsetDelta;
        if (offset < fromOffset) continue;
        const timestamp = ownTimestamps ? baseTimestamp + timestampDelta : appendTimestamp;
        into.push(
          new BrokerMessage(
            payloadOfBody(bytes, bodyStart, recordEnd),
            partition,
            offset,
            timestamp < 0 ? undefined : timestamp,
          ),
        );
      }
      this.#at = at;
      this.#recordsLeft = left;
      this.#expected = baseOffset + lowestDelta;
      if (reason !== undefined) return this.#fail(reason, into, before);
      if (left > 0) return false;
    }
  }

  /** Returns why there is none to be had. */
  #nextBatch(): string | undefined {
    const batches = this.#batches;
    const row = this.#row;
    this.#baseOffset = batches[row + BatchField.BASE_OFFSET]!;
    this.#expected = this.#baseOffset;
    const start = batches[row + BatchField.START]!;
    const end = batches[row + BatchField.END]!;
    const codec = batches[row + BatchField.CODEC]!;
    if (codec === 0) {
      this.#bytes = this.#fetched;
      this.#at = start;
      this.#end = end;
    } else {
      try {
        this.#bytes = decompressApart(codec, this.#fetched.subarray(start, end), this.#maxBatchBytes);
      } catch (error) {
        return decompressionProblem(error);
      }
      this.#at = 0;
      this.#end = this.#bytes.length;
    }
    this.#memoryBytes += this.#end - this.#at;
    this.#row = row + BATCH_FIELDS;
    this.#lastOffset = batches[row + BatchField.LAST_OFFSET]!;
    this.#recordsLeft = batches[row + BatchField.RECORD_COUNT]!;
    this.#baseTimestamp = batches[row + BatchField.BASE_TIMESTAMP]!;
    this.#appendTimestamp = batches[row + BatchField.APPEND_TIMESTAMP]!;
    return undefined;
  }

  #fail(reason: string, into: readonly unknown[], before: number): false {
    if (into.length > before) return false;
    throw new CorruptBatchError(this.#expected, reason, { where: `${this.#partition} ` });
  }
}

/** What follows a record's length is at least so long: attributes, two deltas, the lengths of key and value, no headers. */
const MIN_LENGTH = 6;

const MAX_VARLONG_BYTES = 10;

/** Reads 32 bits. Nothing that is too long gets past the checks of the caller: it becomes a negative number. */
function varint(bytes: Buffer): number {
  let at = cursor;
  let byte = bytes[at++]!;
  let zigzag = byte & 0x7f;
  for (let shift = 7; byte > 0x7f; shift += 7) {
    if (shift > 28) {
      cursor = at;
      return -2;
    }
    byte = bytes[at++]!;
    zigzag |= (byte & 0x7f) << shift;
  }
  cursor = at;
  return (zigzag >>> 1) ^ -(zigzag & 1);
}

/** Reads 64 bits as a number, which is exact up to 2^53. */
function varlong(bytes: Buffer): number {
  let at = cursor;
  let byte = bytes[at++]!;
  const negative = (byte & 1) === 1;
  let half = (byte & 0x7f) >>> 1;
  if (byte > 0x7f) {
    let factor = 64;
    do {
      byte = bytes[at++]!;
      half += (byte & 0x7f) * factor;
      factor *= 128;
    } while (byte > 0x7f && at - cursor < MAX_VARLONG_BYTES);
    // Goes on for ever: move on to where no record ends.
    if (byte > 0x7f) at = bytes.length + 1;
  }
  cursor = at;
  return negative ? -half - 1 : half;
}

/** Moves on behind a key or a value. A length that leads out of the record moves behind its end, which is noticed there. */
function skipField(bytes: Buffer, recordEnd: number): void {
  const length = varint(bytes);
  if (length < -1 || length > recordEnd - cursor) cursor = recordEnd + 1;
  else if (length > 0) cursor += length;
}

function skipHeaders(bytes: Buffer, recordEnd: number): void {
  const count = varint(bytes);
  // Each takes two bytes at least.
  if (count < 0 || count * 2 > recordEnd - cursor) {
    cursor = recordEnd + 1;
    return;
  }
  for (let i = 0; i < count; i++) {
    // There are fewer than it says, or one's name is null, which it cannot be.
    if (cursor >= recordEnd || bytes[cursor]! & 1) {
      cursor = recordEnd + 1;
      return;
    }
    skipField(bytes, recordEnd);
    skipField(bytes, recordEnd);
  }
}
