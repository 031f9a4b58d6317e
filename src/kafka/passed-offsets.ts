import type { Partition } from "../message/partition.ts";

/** Positions that move on while nothing is consumed are committed so often at most. */
const COMMIT_EVERY_MS = 1_000;

/**
 * Commits positions that have gone on over what is no message, once everything before is committed: nobody else would,
 * and a group that has read a topic of transactions to its end would seem to lag behind the last marker for ever.
 */
export class PassedOffsets {
  readonly #partitions = new Set<Partition>();
  readonly #commit: (partitions: readonly Partition[]) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(commit: (partitions: readonly Partition[]) => void) {
    this.#commit = commit;
  }

  /** A partition's position has gone on. */
  note(partition: Partition): void {
    this.#partitions.add(partition);
    this.#timer ??= setTimeout(() => {
      const partitions = [...this.#partitions];
      this.close();
      this.#commit(partitions);
    }, COMMIT_EVERY_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#partitions.clear();
  }
}
