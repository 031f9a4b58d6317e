import { AbortedTransactions, type AbortedTransaction } from "./aborted-transactions.ts";
import { Attribute, BatchOffset, readInt64 } from "./batch-format.ts";
import { readBatchHeader, type BatchHeader } from "./batch-header.ts";
import { CorruptBatchError } from "./corrupt-batch-error.ts";
import type { FetchedBatches } from "./fetched-batches.ts";

export interface ReadBatchesOptions {
  /** The offset that was asked for. */
  readonly fromOffset: number;
  /**
   * Whether the bytes are the caller's to give away. Where they have a buffer to themselves, the result is then that
   * buffer, and nothing is copied.
   */
  readonly mayTakeBytes?: boolean | undefined;
  /** With `isolation.level` read_committed: the aborted transactions of the answer, whose records are passed over. */
  readonly aborted?: readonly AbortedTransaction[] | undefined;
}

/** How far the walk has come. */
interface Position {
  readonly nextOffset: number;
  readonly leaderEpoch: number;
}

/** Of a buffer, so much may stay unused before it is worth copying. */
const KEPT_WASTE = 1.5;

/**
 * Reads the record bytes of one partition out of the answer to a Fetch: checks every batch, and gives all of them in one
 * buffer that can be transferred, still compressed.
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
  const isTaken = options.mayTakeBytes === true && isWorthTaking(bytes, kept);
  const from = isTaken ? 0 : kept[0]!.start;
  const rows: number[] = [];
  for (const header of kept) addRow(rows, bytes, header, from);
  return result(isTaken ? (bytes.buffer as ArrayBuffer) : copy(bytes, kept), rows, end);
}

/** Finds the batches that have records for us. */
function walk(
  bytes: Buffer,
  { fromOffset, aborted }: ReadBatchesOptions,
): { kept: BatchHeader[]; end: Position } {
  const transactions = aborted === undefined ? undefined : new AbortedTransactions(aborted);
  const kept: BatchHeader[] = [];
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
    end = { nextOffset: Math.max(fromOffset, expected), leaderEpoch: header.leaderEpoch };
    if (header.lastOffset < fromOffset) continue;
    const wanted = transactions === undefined || isWanted(bytes, header, transactions);
    const control = (header.attributes & Attribute.CONTROL) !== 0;
    if (wanted && !control && header.recordCount > 0) kept.push(header);
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
function isWorthTaking(bytes: Buffer, kept: readonly BatchHeader[]): boolean {
  if (bytes.length !== bytes.buffer.byteLength) return false;
  const needed = kept.at(-1)!.end - kept[0]!.start;
  return bytes.length <= needed * KEPT_WASTE;
}

/** The whole stretch, with the headers and whatever lies between. */
function copy(bytes: Buffer, kept: readonly BatchHeader[]): ArrayBuffer {
  const stretch = bytes.subarray(kept[0]!.start, kept.at(-1)!.end);
  const target = Buffer.allocUnsafeSlow(stretch.length);
  stretch.copy(target);
  return target.buffer;
}

/** `from` is where the result's buffer begins in the bytes. */
function addRow(rows: number[], bytes: Buffer, header: BatchHeader, from: number): void {
  const appendTime = (header.attributes & Attribute.LOG_APPEND_TIME) !== 0;
  rows.push(
    header.baseOffset,
    header.lastOffset,
    header.recordCount,
    readInt64(bytes, header.start + BatchOffset.BASE_TIMESTAMP),
    appendTime ? readInt64(bytes, header.start + BatchOffset.MAX_TIMESTAMP) : NaN,
    header.start + BatchOffset.RECORDS - from,
    header.end - from,
    header.leaderEpoch,
    header.attributes & Attribute.CODEC,
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
