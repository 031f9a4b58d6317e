import { Latch } from "./latch.ts";

/** Why a membership has ended without our doing. */
export interface Gone {
  /** The coordinator's error code; 0 when it was this client that gave up. */
  readonly errorCode: number;
  readonly reason: string;
}

/** One generation of a membership: what heartbeats and commits are sent under, and how it ends. */
export class GroupSession {
  readonly groupId: string;
  readonly memberId: string;
  /** Of the classic protocol: it never changes. Under KIP-848 the member epoch, which goes up while the membership lasts. */
  generationId: number;
  readonly groupInstanceId: string | null;
  /** Set when the member has to join again: drain first. Its value is the reason. */
  readonly rejoin: Latch<string> = new Latch();
  /** Set when the partitions are not ours any more: nothing can be committed. */
  readonly gone: Latch<Gone> = new Latch();
  /**
   * When the last heartbeat was sent that found the group at rest, on the monotonic clock. A rebalance that we hear of
   * can have begun right after it, so that is what our deadline to join counts from.
   */
  cleanAtMs: number;

  constructor(options: {
    readonly groupId: string;
    readonly memberId: string;
    readonly generationId: number;
    readonly groupInstanceId: string | null;
    readonly cleanAtMs: number;
  }) {
    this.groupId = options.groupId;
    this.memberId = options.memberId;
    this.generationId = options.generationId;
    this.groupInstanceId = options.groupInstanceId;
    this.cleanAtMs = options.cleanAtMs;
  }
}
