import type { Partition } from "../message/partition.ts";
import type { DlqLimit } from "./policy.ts";

interface Counts {
  valid: number;
  invalid: number;
  consecutive: number;
  lastInvalid: number;
}

/**
 * Counts invalid messages per partition against a limit. Valid ones are told by the offsets between them, so that
 * nothing has to be done for those; offsets that the log has no message for (compaction, transactions) count with them.
 */
export class DlqLimitState {
  readonly #limit: DlqLimit;
  readonly #counts = new Map<Partition, Counts>();

  constructor(limit: DlqLimit) {
    this.#limit = limit;
  }

  /** A partition starts anew, at an offset. */
  start(partition: Partition, offset: number): void {
    this.#counts.set(partition, { valid: 0, invalid: 0, consecutive: 0, lastInvalid: offset - 1 });
  }

  remove(partition: Partition): void {
    this.#counts.delete(partition);
  }

  /** Counts an invalid message. Returns what limit it passes, in words; undefined when it passes none. */
  record(partition: Partition, offset: number): string | undefined {
    const counts = this.#counts.get(partition) ?? {
      valid: 0,
      invalid: 0,
      consecutive: 0,
      lastInvalid: offset - 1,
    };
    this.#counts.set(partition, counts);
    if (offset > counts.lastInvalid) {
      const valid = offset - counts.lastInvalid - 1;
      counts.valid += valid;
      counts.consecutive = valid === 0 ? counts.consecutive + 1 : 1;
      counts.lastInvalid = offset;
    }
    counts.invalid++;
    return this.#passed(counts);
  }

  #passed({ valid, invalid, consecutive }: Counts): string | undefined {
    const { maxInvalidRatio, maxConsecutiveCount } = this.#limit;
    // Without a valid one any ratio is passed: nothing speaks for the messages rather than for the consumer.
    if (maxInvalidRatio !== undefined && invalid > maxInvalidRatio * valid) {
      return `${invalid} invalid and ${valid} valid messages since the assignment are more than maxInvalidRatio ${maxInvalidRatio}`;
    }
    if (maxConsecutiveCount !== undefined && consecutive > maxConsecutiveCount) {
      return `${consecutive} invalid messages in a row are more than maxConsecutiveCount ${maxConsecutiveCount}`;
    }
    return undefined;
  }
}
