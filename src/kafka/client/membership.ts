import type { ConsumerError } from "../../errors.ts";
import type { GroupSession } from "./group-session.ts";
import type { PartitionId } from "./protocol.ts";

/** Where a member of a group is. */
export type MembershipState =
  /** It asks to be let in, or waits for the group; what it kept in an incremental rebalance goes on meanwhile. */
  | "joining"
  | "stable"
  /** It hands partitions over: the main thread drains. */
  | "revoking"
  /** It was put out or left because the main thread had stopped polling, and waits until the main thread knows. */
  | "lost"
  | "stopped";

/**
 * What commits may be sent under now.
 *
 * - `ready`: a refusal means that the membership is over.
 * - `passing`: the coordinator still takes commits, but may begin the next generation at any moment and refuse them; that is
 *   no loss, and the same offsets go out again under the next one.
 * - `held`: not now, but soon again, perhaps for fewer partitions (between a JoinGroup and its SyncGroup, while a KIP-848
 *   heartbeat is under way).
 *
 * `changed` resolves when it is worth asking again.
 */
export type CommitSession =
  | { readonly state: "ready"; readonly session: GroupSession }
  | { readonly state: "passing"; readonly session: GroupSession; readonly changed: Promise<void> }
  | { readonly state: "held"; readonly changed: Promise<void> };

/** A consumer's part in its group, under one of Kafka's two group protocols. */
export interface Membership {
  readonly state: MembershipState;
  readonly memberId: string;
  /** Undefined: nothing can be committed, whatever is waiting is void. */
  readonly commitSession: CommitSession | undefined;
  /** The subscription means other topics now, or partitions were added. */
  rejoin(reason: string): void;
  /** The main thread has stopped polling: leave, and report everything as lost. */
  expel(reason: string): void;
  /** Leaves the group, at once: what was held is to have been handed over before. Idempotent. */
  stop(reason: string, timeoutMs: number): Promise<void>;
}

/**
 * What a membership tells the consumer's engine. It calls them one at a time and waits for each, except that `lost` may come
 * in the middle of a `revoke`, and makes it void.
 */
export interface MembershipEvents {
  /**
   * These partitions have come, in addition to what is held; the list may be empty. The engine looks up where to read them
   * from and tells the main thread on its own, partition by partition as it finds out, however many generations that takes.
   * It stops looking when they are revoked or lost.
   */
  assigned(session: GroupSession, added: readonly PartitionId[]): void;
  /**
   * These partitions, and no others, are to be drained within `drainMs` and committed within another `commitMs`. Resolves
   * when they are; only then may the membership tell the coordinator so. What is kept goes on being fetched and handled.
   */
  revoke(
    session: GroupSession,
    partitions: readonly PartitionId[],
    drainMs: number,
    commitMs: number,
  ): Promise<void>;
  /** These partitions are somebody else's. Resolves when the main thread knows, so that joining again makes sense. */
  lost(session: GroupSession, partitions: readonly PartitionId[], reason: string): Promise<void>;
  /** Nothing that could be tried again. */
  fatal(error: ConsumerError): void;
  member(memberId: string): void;
}
