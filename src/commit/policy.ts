import { ConfigurationError } from "../errors.ts";
import type { Committable } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";

/** When a {@link CommitPolicy} has offsets sent: what comes first. */
export interface CommitPolicyOptions {
  /** Commit when so many milliseconds have passed since the last commit. */
  readonly everyMs?: number | undefined;
  /** Commit when so many offsets have been passed since the last commit, over all partitions. */
  readonly everyMessages?: number | undefined;
}

function checked(name: string, value: number | undefined): number | undefined {
  if (value !== undefined && !(Number.isFinite(value) && value >= 0)) {
    throw new ConfigurationError(`CommitPolicy: ${name} is ${value}, but must be a finite number from 0 up.`);
  }
  return value;
}

/**
 * When to commit: after a time or after a number of messages, whichever comes first; with neither, never except by
 * force (at the end of a drain). (Arroyo's `CommitPolicy`.)
 */
export class CommitPolicy {
  readonly everyMs: number | undefined;
  readonly everyMessages: number | undefined;

  /** @throws ConfigurationError for a number that is negative or not finite. */
  constructor(options: CommitPolicyOptions) {
    this.everyMs = checked("everyMs", options.everyMs);
    this.everyMessages = checked("everyMessages", options.everyMessages);
  }

  /** A fresh state to decide by, whose first period starts at `monotonicMs`. */
  start(monotonicMs: number): CommitPolicyState {
    return new CommitPolicyState(this, monotonicMs);
  }
}

/** Commits every message: safest on a crash, hardest on the broker. (Arroyo's `IMMEDIATE`.) */
export const IMMEDIATE: CommitPolicy = new CommitPolicy({ everyMessages: 1 });

/** The default. (Arroyo's `ONCE_PER_SECOND`.) */
export const ONCE_PER_SECOND: CommitPolicy = new CommitPolicy({ everyMs: 1_000 });

/** Remembers what was committed and when, and says when the next commit is due. */
export class CommitPolicyState {
  readonly #policy: CommitPolicy;
  readonly #committed = new Map<Partition, number>();
  #committedAtMs: number;

  constructor(policy: CommitPolicy, monotonicMs: number) {
    this.#policy = policy;
    this.#committedAtMs = monotonicMs;
  }

  shouldCommit(monotonicMs: number, offsets: Committable): boolean {
    const { everyMs, everyMessages } = this.#policy;
    if (everyMs !== undefined && monotonicMs - this.#committedAtMs >= everyMs) return true;
    if (everyMessages === undefined) return false;
    let passed = 0;
    for (const [partition, offset] of offsets) {
      const committed = this.#committed.get(partition);
      if (committed === undefined) this.#committed.set(partition, offset - 1);
      passed += offset - (committed ?? offset - 1);
    }
    return passed >= everyMessages;
  }

  /** When the next commit is due by time, on the monotonic clock; undefined if time does not matter. */
  dueAtMs(): number | undefined {
    return this.#policy.everyMs === undefined ? undefined : this.#committedAtMs + this.#policy.everyMs;
  }

  didCommit(monotonicMs: number, offsets: Committable): void {
    this.#committedAtMs = monotonicMs;
    for (const [partition, offset] of offsets) this.#committed.set(partition, offset);
  }
}
