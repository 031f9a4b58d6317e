import { AbortedTransactions, type AbortedTransaction } from "./aborted-transactions.ts";
import { Attribute, BatchOffset, readInt64 } from "./batch-format.ts";
import { readBatchHeader, type BatchHeader } from "./batch-header.ts";
import { decompress, decompressionProblem } from "./compression.ts";
import { CorruptBatchError } from "./corrupt-batch-error.ts";
import type { FetchedBatches } from "./fetched-batches.ts";

export interface ReadBatchesOptions {
  /** The offset that was asked for. */
  readonly fromOffset: number;
  /**
   * The most bytes that one answer may decompress to. A single batch that exceeds it is an error; several together are cut
   * before the one that would, and the rest is fetched anew.
   */
  readonly maxDecompressedBytes: number;
  /**
   * Whether the bytes are the caller's to give away. Where nothing is compressed and they have a buffer to themselves, the
   * result is then that buffer, and nothing is copied.
   */
  readonly mayTakeBytes?: boolean | undefined;
  /** Whether compressed records are left as they are, for whoever reads them to decompress. */
  readonly mayStayCompressed?: boolean | undefined;
  /**
   * How many bytes a compressed byte is likely to become, as those before it did. A good guess saves a copy.
   */
  readonly expectedRatio?: number | undefined;
  /** With `isolation.level` read_committed: the aborted transactions of the answer, whose records are passed over. */
  readonly aborted?: readonly AbortedTransaction[] | undefined;
}

/** How far the walk has come. */
interface Position {
  readonly nextOffset: number;
  readonly leaderEpoch: number;
}

interface Kept {
  readonly header: BatchHeader;
  /** Where reading stops if this batch turns out not to be readable. */
  readonly before: Position;
}

/** What is set aside for a batch of which nothing is known; doubled where it was too little. */
const GUESSED_RATIO = 4;
/** Of a buffer, so much may stay unused before it is worth copying. */
const KEPT_WASTE = 1.5;

/**
 * Reads the record bytes of one partition out of the answer to a Fetch: checks every batch, decompresses it, and puts the
 * bytes of all records into one buffer that can be transferred. They are copied once.
 *
 * Control batches, those of aborted transactions, those wholly before `fromOffset` and empty ones (left by compaction) give
 * no records, but the position goes on behind them. A last batch that is incomplete is normal.
 *
 * @throws CorruptBatchError when the first batch that is needed cannot be read. One further on only ends the result, so
 *   that what is good is delivered: it is the first one of the next fetch.
 */
export function readBatches(bytes: Buffer, options: ReadBatchesOptions): FetchedBatches {
  const { kept, end } = walk(bytes, options);
  if (kept.length === 0) return result(new ArrayBuffer(0), [], end);
  const compressed = kept.some(({ header }) => codecOf(header) !== 0);
  if (compressed && options.mayStayCompressed !== true) return unpack(bytes, kept, end, options);
  return options.mayTakeBytes === true && isWorthTaking(bytes, kept)
    ? take(bytes, kept, end)
    : copy(bytes, kept, end);
}

/** Finds the batches that have records for us. */
function walk(bytes: Buffer, { fromOffset, aborted }: ReadBatchesOptions): { kept: Kept[]; end: Position } {
  const transactions = aborted === undefined ? undefined : new AbortedTransactions(aborted);
  const kept: Kept[] = [];
  let end: Position = { nextOffset: fromOffset, leaderEpoch: -1 };
  /** No batch begins before the end of the last one. */
  let expected = 0;
  let at = 0;
  while (at < bytes.length) {
    let header: BatchHeader | undefined;
    try {
      header = readBatchHeader(bytes, at, end.nextOffset);
      if (header === undefined && end.nextOffset === fromOffset) {
        throw new CorruptBatchError(fromOffset, `it is longer than the ${bytes.length} bytes that came`);
      }
      if (header !== undefined && header.baseOffset < expected) {
        throw new CorruptBatchError(
          end.nextOffset,
          `it begins at ${header.baseOffset}, before the end of the last one`,
        );
      }
    } catch (error) {
      if (end.nextOffset > fromOffset) break;
      throw error;
    }
    if (header === undefined) break;
    at = header.end;
    expected = header.lastOffset + 1;
    const before = end;
    end = { nextOffset: Math.max(fromOffset, expected), leaderEpoch: header.leaderEpoch };
    if (header.lastOffset < fromOffset) continue;
    const wanted = transactions === undefined || isWanted(bytes, header, transactions);
    const control = (header.attributes & Attribute.CONTROL) !== 0;
    if (wanted && !control && header.recordCount > 0) kept.push({ header, before });
  }
  return { kept, end };
}

/** Whether a batch is outside of aborted transactions. */
function isWanted(bytes: Buffer, header: BatchHeader, transactions: AbortedTransactions): boolean {
  if ((header.attributes & Attribute.TRANSACTIONAL) === 0) return true;
  transactions.advance(header.lastOffset);
  const producerId = bytes.readBigInt64BE(header.start + BatchOffset.PRODUCER_ID);
  if ((header.attributes & Attribute.CONTROL) === 0) return !transactions.has(producerId);
  if (isAbortMarker(bytes, header)) transactions.end(producerId);
  return false;
}

/** The marker's key is its version and its type, 0 for an abort, each of 16 bits; everything before it is one byte long. */
function isAbortMarker(bytes: Buffer, { start, end, recordCount }: BatchHeader): boolean {
  const key = start + BatchOffset.RECORDS + 5;
  return recordCount > 0 && key + 4 <= end && bytes.readInt16BE(key + 2) === 0;
}

/** Whether the buffer holds these bytes alone, and not much beyond what is needed of them. */
function isWorthTaking(bytes: Buffer, kept: readonly Kept[]): boolean {
  if (bytes.length !== bytes.buffer.byteLength) return false;
  const needed = kept.at(-1)!.header.end - kept[0]!.header.start;
  return bytes.length <= needed * KEPT_WASTE;
}

/** Nothing is to be decompressed: the bytes as they are. */
function take(bytes: Buffer, kept: readonly Kept[], end: Position): FetchedBatches {
  const rows: number[] = [];
  for (const { header } of kept) {
    addRow(rows, bytes, header, header.start + BatchOffset.RECORDS, header.end, codecOf(header));
  }
  return result(bytes.buffer as ArrayBuffer, rows, end);
}

/** Nothing is to be decompressed: one copy of the whole stretch, with the headers and whatever lies between. */
function copy(bytes: Buffer, kept: readonly Kept[], end: Position): FetchedBatches {
  const from = kept[0]!.header.start;
  const to = kept.at(-1)!.header.end;
  const target = Buffer.allocUnsafeSlow(to - from);
  bytes.copy(target, 0, from, to);
  const rows: number[] = [];
  for (const { header } of kept) {
    const start = header.start + BatchOffset.RECORDS - from;
    addRow(rows, bytes, header, start, header.end - from, codecOf(header));
  }
  return result(target.buffer, rows, end);
}

function unpack(
  bytes: Buffer,
  kept: readonly Kept[],
  end: Position,
  { fromOffset, maxDecompressedBytes: maxBytes, expectedRatio = GUESSED_RATIO }: ReadBatchesOptions,
): FetchedBatches {
  let guess = 0;
  for (const { header } of kept) {
    guess += (header.end - header.start) * (codecOf(header) === 0 ? 1 : expectedRatio);
  }
  let target: Buffer = Buffer.allocUnsafeSlow(Math.min(Math.ceil(guess), maxBytes));
  let at = 0;
  const rows: number[] = [];
  for (const { header, before } of kept) {
    let records: Buffer;
    try {
      records = decompressed(bytes, header, maxBytes);
    } catch (error) {
      if (before.nextOffset === fromOffset) throw error;
      end = before;
      break;
    }
    if (at + records.length > maxBytes && rows.length > 0) {
      end = before;
      break;
    }
    if (at + records.length > target.length) target = grown(target, at, at + records.length);
    records.copy(target, at);
    addRow(rows, bytes, header, at, at + records.length, 0);
    at += records.length;
  }
  const { buffer } = target.length > at * KEPT_WASTE ? grown(target, at, at) : target;
  return result(buffer as ArrayBuffer, rows, end);
}

function decompressed(bytes: Buffer, header: BatchHeader, maxBytes: number): Buffer {
  const packed = bytes.subarray(header.start + BatchOffset.RECORDS, header.end);
  try {
    return decompress(codecOf(header), packed, maxBytes);
  } catch (error) {
    throw new CorruptBatchError(header.baseOffset, decompressionProblem(error), {
      cause: error,
      isAsWritten: true,
    });
  }
}

/** The first `used` bytes in a buffer that holds at least `needed`. */
function grown(target: Buffer, used: number, needed: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(
    needed > target.length ? Math.max(needed, target.length * 2) : needed,
  );
  target.copy(larger, 0, 0, used);
  return larger;
}

function codecOf(header: BatchHeader): number {
  return header.attributes & Attribute.CODEC;
}

function addRow(
  rows: number[],
  bytes: Buffer,
  header: BatchHeader,
  start: number,
  end: number,
  codec: number,
): void {
  const appendTime = (header.attributes & Attribute.LOG_APPEND_TIME) !== 0;
  rows.push(
    header.baseOffset,
    header.lastOffset,
    header.recordCount,
    readInt64(bytes, header.start + BatchOffset.BASE_TIMESTAMP),
    appendTime ? readInt64(bytes, header.start + BatchOffset.MAX_TIMESTAMP) : NaN,
    start,
    end,
    header.leaderEpoch,
    codec,
  );
}

function result(buffer: ArrayBuffer, rows: readonly number[], end: Position): FetchedBatches {
  return {
    buffer,
    batches: Float64Array.from(rows),
    nextOffset: end.nextOffset,
    lastLeaderEpoch: end.leaderEpoch,
  };
}
