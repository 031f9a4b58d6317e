import type { Clock, ClockTimer } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import type { CommitQueue } from "./commit-queue.ts";
import { partitionKey, type CommitOffset, type PartitionId } from "./protocol.ts";

interface StoredOffsetsOptions {
  readonly commits: CommitQueue;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Offsets that wait for the next automatic commit (`arroyo.enable.auto.commit`). */
export class StoredOffsets {
  readonly #options: StoredOffsetsOptions;
  #offsets = new Map<string, CommitOffset>();
  #timer: ClockTimer | undefined;
  #closed = false;

  constructor(options: StoredOffsetsOptions) {
    this.#options = options;
  }

  store(offsets: readonly CommitOffset[]): void {
    for (const offset of offsets) this.#offsets.set(partitionKey(offset), offset);
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#timer = undefined;
      void this.flush(this.#options.intervalMs);
    }, this.#options.intervalMs);
  }

  /** Commits what is stored. What could not be committed is kept for the next time, unless something newer came. */
  async flush(timeoutMs: number): Promise<void> {
    const offsets = this.#offsets;
    if (offsets.size === 0) return;
    this.#offsets = new Map();
    try {
      await this.#options.commits.commit([...offsets.values()], timeoutMs);
    } catch (error) {
      this.#options.logger.warn(
        { err: error },
        "An automatic commit failed; its offsets go into the next one.",
      );
      const newer = this.#offsets;
      this.#offsets = offsets;
      if (!this.#closed) this.store([...newer.values()]);
    }
  }

  /** These partitions are not ours any more: nothing of theirs may be committed. */
  clear(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#offsets.delete(partitionKey(partition));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#offsets.clear();
  }
}
