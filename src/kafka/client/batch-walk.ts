import { BatchOffset, LENGTH_OVERHEAD, readInt64 } from "../records/batch-format.ts";

/** What the headers of the batches in an answer say. Nothing in it is verified. */
export interface BatchWalk {
  /** Whole batches. */
  readonly batches: number;
  /** After the last whole batch; `fromOffset` when there is none. */
  readonly nextOffset: number;
  /** Of the last whole batch; -1 when there is none. */
  readonly leaderEpoch: number;
  /** How long the batch after the whole ones says that it is; 0 when not even that is there. */
  readonly cutOffBytes: number;
}

/** Where the batch that begins at `at` ends; -1 when it is not there as a whole. */
function batchEnd(records: Buffer, at: number): number {
  if (records.length - at < BatchOffset.RECORDS) return -1;
  const end = at + LENGTH_OVERHEAD + records.readInt32BE(at + BatchOffset.LENGTH);
  return end >= at + BatchOffset.RECORDS && end <= records.length ? end : -1;
}

/**
 * Goes over the headers only, which takes some nanoseconds a batch. So the next Fetch can be on its way before the
 * checksums of this answer are verified; when they turn out wrong, it is taken back.
 */
export function walkBatches(records: Buffer, fromOffset: number): BatchWalk {
  let at = 0;
  let batches = 0;
  let nextOffset = fromOffset;
  let leaderEpoch = -1;
  for (let end = batchEnd(records, at); end >= 0; end = batchEnd(records, at)) {
    batches += 1;
    const baseOffset = readInt64(records, at + BatchOffset.BASE_OFFSET);
    nextOffset = baseOffset + records.readInt32BE(at + BatchOffset.LAST_OFFSET_DELTA) + 1;
    leaderEpoch = records.readInt32BE(at + BatchOffset.LEADER_EPOCH);
    at = end;
  }
  const hasLength = records.length - at >= LENGTH_OVERHEAD;
  const cutOffBytes = hasLength ? LENGTH_OVERHEAD + records.readInt32BE(at + BatchOffset.LENGTH) : 0;
  return { batches, nextOffset, leaderEpoch, cutOffBytes };
}
