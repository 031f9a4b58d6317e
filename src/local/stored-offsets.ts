import type { Clock, ClockTimer } from "../clock.ts";
import { limitedLogger, type LimitedLogger } from "../log-limit.ts";
import type { Logger } from "../logger.ts";
import type { Partition } from "../message/partition.ts";
import type { Offsets } from "./storage.ts";

export interface StoredOffsetsOptions {
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly commit: (offsets: Offsets) => void;
}

/** Offsets that wait for the next automatic commit (`arroyo.enable.auto.commit`). */
export class StoredOffsets {
  readonly #options: StoredOffsetsOptions;
  readonly #logger: LimitedLogger;
  readonly #offsets = new Map<Partition, number>();
  #timer: ClockTimer | undefined;

  constructor(options: StoredOffsetsOptions) {
    this.#options = options;
    this.#logger = limitedLogger(options.logger, options.clock);
  }

  store(offsets: Offsets): void {
    for (const [partition, offset] of offsets) this.#offsets.set(partition, offset);
    this.#schedule();
  }

  /** Commits what is stored. What could not be committed is kept for the next time. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#offsets.size === 0) return;
    try {
      this.#options.commit(this.#offsets);
      this.#offsets.clear();
    } catch (error) {
      this.#logger.warn({ err: error }, "An automatic commit failed; its offsets go into the next one.");
      this.#schedule();
    }
  }

  /** These partitions are not ours any more. */
  forget(partitions: Iterable<Partition>): void {
    for (const partition of partitions) this.#offsets.delete(partition);
  }

  /** Commits for the last time. */
  close(): void {
    this.flush();
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#logger.flush();
  }

  #schedule(): void {
    this.#timer ??= this.#options.clock.setTimeout(() => this.flush(), this.#options.intervalMs);
  }
}
