import { ConsumerError, ErrorCode } from "../../errors.ts";

/**
 * Record bytes that cannot be read: damaged on the way or on the disk, made by a faulty producer, or of a format that
 * this client does not know. `reason` says what is wrong, `offset` where.
 */
export class CorruptBatchError extends ConsumerError {
  /** The first offset that cannot be read. */
  readonly offset: number;
  readonly reason: string;

  constructor(
    offset: number,
    reason: string,
    options?: { readonly cause?: unknown; readonly where?: string },
  ) {
    super(`The record batch at ${options?.where ?? ""}offset ${offset} cannot be read: ${reason}.`, {
      cause: options?.cause,
      code: ErrorCode.CORRUPT_BATCH,
    });
    this.offset = offset;
    this.reason = reason;
  }
}
