import type { RebalanceCallbacks } from "../backend/consumer.ts";
import { deadlineAfter, type Clock } from "../clock.ts";
import type { Partition } from "../message/partition.ts";
import type { Offsets } from "./storage.ts";

/** What is kept of the time to give partitions back for the commit, at most, in ms. */
const COMMIT_MS = 1_000;

/** Something to tell the user of a consumer, in a poll. */
type Due = { readonly callbacks: RebalanceCallbacks } & (
  | { readonly type: "assigned"; readonly offsets: Offsets }
  | {
      readonly type: "revoked";
      readonly partitions: readonly Partition[];
      readonly handOverAtMs: number;
      readonly release: () => void;
    }
  | { readonly type: "lost"; readonly partitions: readonly Partition[] }
);

interface RunningRevoke {
  readonly abandon: AbortController;
  /** Callbacks of losses that came in the middle. */
  readonly losses: Promise<void>[];
}

export interface RebalancesOptions {
  readonly clock: Clock;
  /** Something is due: a poll that waits should run it. */
  readonly due: () => void;
  /** Partitions are ours from now on. */
  readonly added: (offsets: Offsets) => void;
  /** Of these partitions, those that were added and not removed since. */
  readonly known: (partitions: readonly Partition[]) => readonly Partition[];
}

/** Runs the callbacks of a consumer, in order and one at a time; only a loss does not wait for the drain it makes void. */
export class Rebalances {
  readonly #options: RebalancesOptions;
  #queue: Due[] = [];
  #running: RunningRevoke | undefined;
  #abandoned = false;

  constructor(options: RebalancesOptions) {
    this.#options = options;
  }

  get pending(): boolean {
    return this.#queue.length > 0;
  }

  assigned(callbacks: RebalanceCallbacks, offsets: Offsets): void {
    this.#enqueue({ type: "assigned", callbacks, offsets });
  }

  /** `release` is called when the callback has ended, however it did. */
  revoked(
    callbacks: RebalanceCallbacks,
    partitions: readonly Partition[],
    handOverAtMs: number,
    release: () => void,
  ): void {
    this.#enqueue({ type: "revoked", callbacks, partitions, handOverAtMs, release });
  }

  lost(callbacks: RebalanceCallbacks, partitions: readonly Partition[]): void {
    const running = this.#running;
    if (running === undefined) {
      this.#enqueue({ type: "lost", callbacks, partitions });
      return;
    }
    const loss = lose(callbacks, partitions);
    // Awaited when the drain has ended; until then it must not count as unhandled.
    loss.catch(() => {});
    running.losses.push(loss);
  }

  /** Takes assignments back that nobody was told of; returns which of the partitions those were. */
  withdraw(partitions: readonly Partition[]): readonly Partition[] {
    const wanted = new Set(partitions);
    const withdrawn: Partition[] = [];
    this.#queue = this.#queue.flatMap((due) => {
      if (due.type !== "assigned" || due.offsets.size === 0) return [due];
      const kept = [...due.offsets].filter(([partition]) => !wanted.has(partition));
      withdrawn.push(...[...due.offsets.keys()].filter((partition) => wanted.has(partition)));
      return kept.length === 0 ? [] : [{ ...due, offsets: new Map(kept) }];
    });
    return withdrawn;
  }

  /** Rejects with what a callback threw; the group goes on all the same. */
  async run(): Promise<void> {
    for (let due = this.#queue.shift(); due !== undefined; due = this.#queue.shift()) {
      if (due.type === "assigned") {
        this.#options.added(due.offsets);
        await due.callbacks.onAssign?.(due.offsets);
      } else if (due.type === "revoked") {
        await this.#revoke(due);
      } else {
        await lose(due.callbacks, due.partitions);
      }
    }
  }

  /** No callback is called any more, and one that runs is told to make haste. */
  abandon(): void {
    this.#abandoned = true;
    this.#queue = [];
    this.#running?.abandon.abort();
  }

  #enqueue(due: Due): void {
    if (this.#abandoned) return;
    this.#queue.push(due);
    this.#options.due();
  }

  async #revoke({
    callbacks,
    partitions,
    handOverAtMs,
    release,
  }: Extract<Due, { type: "revoked" }>): Promise<void> {
    const leftMs = handOverAtMs - this.#options.clock.monotonicMs();
    using drained = deadlineAfter(this.#options.clock, leftMs - Math.min(COMMIT_MS, leftMs / 10));
    const running: RunningRevoke = { abandon: new AbortController(), losses: [] };
    this.#running = running;
    try {
      // What was lost meanwhile was told as lost.
      const known = this.#options.known(partitions);
      if (known.length > 0) {
        await callbacks.onRevoke?.(known, AbortSignal.any([drained, running.abandon.signal]));
      }
    } finally {
      this.#running = undefined;
      release();
      await Promise.all(running.losses);
    }
  }
}

async function lose(callbacks: RebalanceCallbacks, partitions: readonly Partition[]): Promise<void> {
  if (partitions.length > 0) await callbacks.onLost?.(partitions);
}
