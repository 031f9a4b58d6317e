import type { GroupAssignment } from "./consumer-protocol.ts";
import type { GroupSession } from "./group-session.ts";

/** What a membership takes from the topics' metadata. */
export interface GroupTopics {
  /** The names that the subscription means now. */
  names(): readonly string[];
  /** Partition counts of the topics of the whole group, for its leader; refreshed if any is not known yet. */
  partitionCounts(topics: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, number>>;
}

/** A protocol that a member offers when it joins, in the order of its liking. */
export interface OfferedProtocol {
  readonly name: string;
  readonly metadata: Buffer;
}

export interface JoinAnswer {
  readonly errorCode: number;
  readonly generationId: number;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly memberId: string;
  readonly skipAssignment: boolean;
  /** All members, for the leader; empty for the others. */
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly metadata: Buffer;
  }[];
}

export interface SyncAnswer {
  readonly errorCode: number;
  readonly assignment: Buffer;
}

/** The requests of a classic membership, each one try. They reject when the coordinator could not be asked. */
export interface GroupRequests {
  join(
    memberId: string,
    protocols: readonly OfferedProtocol[],
    reason: string,
    signal: AbortSignal,
  ): Promise<JoinAnswer>;
  sync(
    session: GroupSession,
    protocolName: string,
    assignments: ReadonlyMap<string, GroupAssignment>,
    signal: AbortSignal,
  ): Promise<SyncAnswer>;
  /** Resolves with the error code of the answer. */
  heartbeat(session: GroupSession, signal: AbortSignal): Promise<number>;
  leave(memberId: string, reason: string, timeoutMs: number): Promise<void>;
  forgetCoordinator(): void;
}
