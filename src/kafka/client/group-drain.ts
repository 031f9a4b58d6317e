import type { Clock } from "../../clock.ts";
import { whenAborted } from "./abortable.ts";
import type { GroupSession } from "./group-session.ts";
import { sleep } from "./latch.ts";
import type { MembershipEvents } from "./membership.ts";
import type { PartitionId } from "./protocol.ts";

/** What the commit at the end of a drain is given, at most; and its share where the whole is short. */
const COMMIT_MS = 3_000;
const COMMIT_SHARE = 0.25;

/** How the time that is left for a hand-over is divided between the drain and the commit after it. */
export function drainTimes(leftMs: number): { readonly drainMs: number; readonly commitMs: number } {
  const commitMs = Math.min(COMMIT_MS, leftMs * COMMIT_SHARE);
  return { drainMs: leftMs - commitMs, commitMs };
}

export interface DrainOptions {
  readonly events: Pick<MembershipEvents, "revoke">;
  readonly session: GroupSession;
  readonly partitions: readonly PartitionId[];
  /** How long the group can wait from now on. */
  readonly leftMs: number;
  readonly clock: Clock;
  /** Aborts when the partitions are not ours to hand over any more. */
  readonly over: AbortSignal;
}

/**
 * Has partitions drained and committed. Resolves to whether they were, in time and while they were still ours. A drain that
 * is too late ends the membership: the group has gone on without it.
 */
export async function drain(options: DrainOptions): Promise<boolean> {
  const { events, session, partitions, leftMs, clock, over } = options;
  const { drainMs, commitMs } = drainTimes(leftMs);
  const done = new AbortController();
  const ending = await Promise.race([
    events.revoke(session, partitions, drainMs, commitMs).then(() => "drained" as const),
    whenAborted(over, done.signal).then(() => "over" as const),
    sleep(clock, leftMs, done.signal).then(() => "late" as const),
  ]);
  done.abort();
  if (ending === "late") {
    session.gone.set({
      errorCode: 0,
      reason: "the drain took longer than the group could wait (max.poll.interval.ms)",
    });
  }
  return ending === "drained" && !over.aborted;
}
