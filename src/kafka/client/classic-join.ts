import type { Clock } from "../../clock.ts";
import { ConsumerError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { ASSIGNORS } from "./assignor-names.ts";
import type { GroupMemberView } from "./assignors.ts";
import { Backoff } from "./backoff.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeSubscription,
  NO_CLAIM,
  type Claim,
  type GroupAssignment,
} from "./consumer-protocol.ts";
import { ErrorCodes, errorName, needsCoordinatorLookup } from "./error-codes.ts";
import type { GroupRequests, GroupTopics, JoinAnswer, OfferedProtocol } from "./group-requests.ts";
import { GroupSession, type Gone } from "./group-session.ts";
import { cannotBeMember, FATAL_JOIN_ERRORS, joinError } from "./join-errors.ts";
import { sleep } from "./latch.ts";
import type { PartitionId } from "./protocol.ts";
import { SlowJoin } from "./slow-join.ts";
import { TransportError } from "./transport-error.ts";

export interface ClassicJoinOptions {
  readonly groupId: string;
  readonly groupInstanceId: string | null;
  readonly strategies: readonly string[];
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly requests: GroupRequests;
  readonly topics: GroupTopics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The broker has named the member, or knows it no more. */
  readonly named: (memberId: string) => void;
}

/** Told while a member that keeps its partitions is joining. */
export interface JoinProgress {
  /** A generation has begun; what this member has in it is not known yet. */
  began(session: GroupSession): void;
  /** Another rebalance came before that was known. */
  again(session: GroupSession): void;
}

export type JoinOutcome =
  | {
      readonly type: "joined";
      readonly session: GroupSession;
      readonly partitions: readonly PartitionId[];
    }
  /** Whatever the member claimed is void. */
  | ({ readonly type: "gone" } & Gone)
  | { readonly type: "fatal"; readonly error: ConsumerError; readonly errorCode: number }
  /** The signal has aborted. */
  | { readonly type: "aborted" };

/** JoinGroup and SyncGroup, tried again for as long as it takes. */
export class ClassicJoin {
  readonly #options: ClassicJoinOptions;
  readonly #backoff: Backoff;
  readonly #slow: SlowJoin;
  #memberId = "";
  /** Why what is asked for now is outdated already, if it is. */
  outdated: string | undefined;

  constructor(options: ClassicJoinOptions) {
    const { groupId, clock, logger } = options;
    this.#options = options;
    this.#backoff = new Backoff({ initialMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs });
    this.#slow = new SlowJoin(groupId, clock, logger);
  }

  /** Empty while the broker has not named the member. */
  get memberId(): string {
    return this.#memberId;
  }

  /** The coordinator does not know this member any more. */
  forget(): void {
    this.#remember("");
  }

  /** Joins until there is an assignment, or there can never be one. */
  async join(
    claim: Claim | undefined,
    reason: string,
    progress: JoinProgress,
    signal: AbortSignal,
  ): Promise<JoinOutcome> {
    const { requests, groupId, logger, clock } = this.#options;
    while (!signal.aborted) {
      try {
        this.outdated = undefined;
        const offered = this.#protocols(this.#options.topics.names(), claim ?? NO_CLAIM);
        const answer = await requests.join(this.#memberId, offered, reason, signal);
        const { errorCode } = answer;
        if (errorCode === ErrorCodes.MEMBER_ID_REQUIRED) {
          // KIP-394: the broker has named us, and wants us to ask again under that name.
          this.#remember(answer.memberId);
          continue;
        }
        const outcome =
          errorCode === ErrorCodes.NONE
            ? await this.#sync(answer, claim, progress, signal)
            : this.#refused(errorCode, "JoinGroup", claim);
        if (outcome === "at once") continue;
        if (outcome?.type === "joined") {
          this.#backoff.reset();
          this.#slow.joined();
        }
        if (outcome !== undefined) return outcome;
      } catch (error) {
        if (signal.aborted) break;
        if (!TransportError.is(error)) {
          return { type: "fatal", error: cannotBeMember(groupId, error), errorCode: 0 };
        }
        requests.forgetCoordinator();
        this.#slow.failed(error.message);
        logger.debug({ groupId, err: error }, "Joining the group failed; it is tried again.");
      }
      await sleep(clock, this.#backoff.next(), signal);
    }
    return { type: "aborted" };
  }

  async #sync(
    answer: JoinAnswer,
    claim: Claim | undefined,
    progress: JoinProgress,
    signal: AbortSignal,
  ): Promise<JoinOutcome | "at once" | undefined> {
    const { groupId, groupInstanceId, clock, requests } = this.#options;
    const protocolName = answer.protocolName ?? "";
    this.#remember(answer.memberId);
    const session = new GroupSession({
      groupId,
      groupInstanceId,
      memberId: answer.memberId,
      generationId: answer.generationId,
      cleanAtMs: clock.monotonicMs(),
    });
    progress.began(session);
    const assignments = await this.#assignAsLeader(answer, protocolName, signal);
    session.cleanAtMs = clock.monotonicMs();
    const { errorCode, assignment } = await requests.sync(session, protocolName, assignments, signal);
    if (errorCode === ErrorCodes.NONE) {
      const partitions: PartitionId[] = [];
      for (const [topic, indices] of decodeAssignment(assignment)) {
        for (const index of indices) partitions.push({ topic, index });
      }
      return { type: "joined", session, partitions };
    }
    if (errorCode === ErrorCodes.REBALANCE_IN_PROGRESS) {
      progress.again(session);
      return "at once";
    }
    return this.#refused(errorCode, "SyncGroup", claim);
  }

  /** What an error code comes to; undefined when it is to be tried again after a pause. */
  #refused(
    errorCode: number,
    request: string,
    claim: Claim | undefined,
  ): Exclude<JoinOutcome, { type: "joined" }> | undefined {
    const { requests, logger, groupId } = this.#options;
    if (FATAL_JOIN_ERRORS.has(errorCode)) {
      return { type: "fatal", error: joinError(groupId, errorCode), errorCode };
    }
    const reason = `the coordinator answered ${request} with ${errorName(errorCode)}`;
    this.#slow.failed(reason);
    logger.debug({ groupId, request, reason: errorName(errorCode) }, "The coordinator asks to try again.");
    if (errorCode === ErrorCodes.UNKNOWN_MEMBER_ID) this.#remember("");
    if (needsCoordinatorLookup(errorCode)) requests.forgetCoordinator();
    // The group has gone on without this member: what it had is with others, or soon will be.
    const isGone = errorCode === ErrorCodes.UNKNOWN_MEMBER_ID || errorCode === ErrorCodes.ILLEGAL_GENERATION;
    return isGone && claim !== undefined ? { type: "gone", errorCode, reason } : undefined;
  }

  /** The assignments of all members if this one leads the group; nothing otherwise. */
  async #assignAsLeader(
    answer: JoinAnswer,
    protocolName: string,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, GroupAssignment>> {
    const { groupId } = this.#options;
    if (answer.leader !== answer.memberId) return new Map();
    const assignor = ASSIGNORS.get(protocolName);
    if (assignor === undefined) {
      throw new ConsumerError(
        `Group ${groupId}: the coordinator chose the unknown assignor "${protocolName}".`,
      );
    }
    const members = answer.members.map(({ memberId, groupInstanceId, metadata }): GroupMemberView => ({
      memberId,
      groupInstanceId: groupInstanceId ?? undefined,
      subscription: decodeSubscription(metadata),
    }));
    const topics = [...new Set(members.flatMap((member) => member.subscription.topics))];
    // A leader that has come back under its old assignment (KIP-814) goes on watching the topics of the group all the same.
    const counts = await this.#options.topics.partitionCounts(topics, signal);
    return answer.skipAssignment ? new Map() : assignor.assign(members, counts);
  }

  #protocols(topics: readonly string[], claim: Claim): OfferedProtocol[] {
    return this.#options.strategies.map((name) => ({
      name,
      metadata: encodeSubscription(topics, claim, ASSIGNORS.get(name)?.incremental === true),
    }));
  }

  #remember(memberId: string): void {
    if (this.#memberId === memberId) return;
    this.#memberId = memberId;
    this.#options.named(memberId);
  }
}
