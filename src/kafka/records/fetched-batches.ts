/**
 * Batches on their way from the I/O thread to the main thread: the bytes of their records as they came, in one buffer that is
 * transferred, and for each batch a row of numbers that says where its records are and what its header said.
 */
export interface FetchedBatches {
  readonly buffer: ArrayBuffer;
  /** {@link BATCH_FIELDS} numbers for each batch, in the order of {@link BatchField}. */
  readonly batches: Float64Array;
  /** What to fetch next: behind the last whole batch, also one that had no records for us. */
  readonly nextOffset: number;
  /** The leader epoch of the last whole batch; -1 when there was none. */
  readonly lastLeaderEpoch: number;
}

/** What a batch's row says. */
export const BatchField = {
  BASE_OFFSET: 0,
  LAST_OFFSET: 1,
  RECORD_COUNT: 2,
  BASE_TIMESTAMP: 3,
  /** The timestamp of all its records where the broker gives it (LogAppendTime); NaN where each has its own. */
  APPEND_TIMESTAMP: 4,
  /** Where its records start and end in the buffer. */
  START: 5,
  END: 6,
  LEADER_EPOCH: 7,
  /** How its records are compressed. */
  CODEC: 8,
} as const;

/** How many numbers a batch's row has. */
export const BATCH_FIELDS = 9;

/**
 * Gives the memory of batches back that nobody reads any more, unless messages may lie in it: those of batches that came
 * compressed lie elsewhere. Otherwise it would stay until the next collection of the whole heap, since what has waited for a
 * while counts as old: those collections took a third of the time of a consumer of compressed topics.
 */
export function releaseBatches({ buffer, batches }: Pick<FetchedBatches, "buffer" | "batches">): void {
  for (let row = 0; row < batches.length; row += BATCH_FIELDS) {
    if (batches[row + BatchField.CODEC] === 0) return;
  }
  if (!buffer.detached) buffer.transfer(0);
}
