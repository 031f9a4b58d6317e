import type { Clock } from "../../clock.ts";
import { ConsumerError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { whenAborted } from "./abortable.ts";
import { ASSIGNORS, type GroupMemberView } from "./assignors.ts";
import { Backoff } from "./backoff.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeSubscription,
  type GroupAssignment,
} from "./consumer-protocol.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";
import type { GroupRequests, JoinAnswer } from "./group-requests.ts";
import { GroupSession } from "./group-session.ts";
import { Heartbeat } from "./heartbeat.ts";
import { sleep } from "./latch.ts";
import type { PartitionId } from "./protocol.ts";
import { TransportError } from "./transport-error.ts";

/** What a membership takes from the topics' metadata. */
export interface GroupTopics {
  /** The names that the subscription means now. */
  names(): readonly string[];
  /** Partition counts of the topics of the whole group, for its leader; refreshed if any is not known yet. */
  partitionCounts(topics: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, number>>;
}

export interface MemberEvents {
  /** The member has this assignment from now on. Aborts when the session ends; resolves when it was handed on. */
  assigned(session: GroupSession, partitions: readonly PartitionId[], signal: AbortSignal): Promise<void>;
  /** Everything is to be drained within `drainMs` and committed within another `commitMs`. Resolves when it is. */
  revoke(session: GroupSession, drainMs: number, commitMs: number): Promise<void>;
  /** Everything is somebody else's. Resolves when the main thread knows, so that joining again makes sense. */
  lost(session: GroupSession, reason: string): Promise<void>;
  /** Nothing that could be tried again. */
  fatal(error: ConsumerError): void;
  member(memberId: string): void;
}

export interface ClassicMemberOptions {
  readonly groupId: string;
  readonly groupInstanceId: string | null;
  readonly strategies: readonly string[];
  readonly heartbeatIntervalMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly requests: GroupRequests;
  readonly topics: GroupTopics;
  readonly events: MemberEvents;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What the commit at the end of a drain is given, at most; and its share where the whole is short. */
const COMMIT_MS = 3_000;
const COMMIT_SHARE = 0.25;

const FATAL_JOIN_ERRORS: ReadonlySet<number> = new Set([
  ErrorCodes.INCONSISTENT_GROUP_PROTOCOL,
  ErrorCodes.INVALID_GROUP_ID,
  ErrorCodes.INVALID_SESSION_TIMEOUT,
  ErrorCodes.GROUP_AUTHORIZATION_FAILED,
  ErrorCodes.GROUP_MAX_SIZE_REACHED,
  ErrorCodes.FENCED_INSTANCE_ID,
  ErrorCodes.UNSUPPORTED_VERSION,
]);

/** What ended a stay in the group. */
type Ending = "drained" | "gone" | "stopped";

/**
 * A member of a group under Kafka's classic protocol (JoinGroup, SyncGroup, Heartbeat), with an eager assignor: it gives
 * everything back before it joins again, and joins again only after what it had was drained and committed.
 */
export class ClassicMember {
  readonly #options: ClassicMemberOptions;
  readonly #backoff: Backoff;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  #stopping: Promise<void> | undefined;
  #memberId = "";
  #session: GroupSession | undefined;
  #reason = "the consumer subscribes";
  /** Why the join that is under way is outdated already, if it is. */
  #outdated: string | undefined;

  constructor(options: ClassicMemberOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ initialMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs });
    this.#running = this.#run().catch((error: unknown) => {
      options.events.fatal(
        new ConsumerError(`Group ${options.groupId}: the membership has failed.`, { cause: error }),
      );
    });
  }

  /** The generation that the member is in; undefined while it is (re)joining. */
  get session(): GroupSession | undefined {
    return this.#session;
  }

  get memberId(): string {
    return this.#memberId;
  }

  /** The group should be assigned anew: the subscription means other topics now, or partitions were added. */
  rejoin(reason: string): void {
    if (this.#session === undefined) this.#outdated = reason;
    else this.#session.rejoin.set(reason);
  }

  /** The member is out, without our doing or because the main thread has stopped polling: leave, and tell. */
  expel(reason: string): void {
    this.#session?.gone.set({ errorCode: 0, reason });
  }

  /**
   * Leaves the group, at once. A join that is pending at the broker is left as well: the request goes over another
   * connection. What was assigned is to have been drained before.
   */
  stop(reason: string, timeoutMs: number): Promise<void> {
    this.#stopped.abort();
    this.#stopping ??= Promise.all([this.#leave(reason, timeoutMs), this.#running]).then(() => {});
    return this.#stopping;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const joined = await this.#join(signal);
      if (joined === undefined) return;
      await this.#stay(joined.session, joined.partitions);
    }
  }

  /** Joins until it has an assignment; undefined when it was stopped, or can never have one. */
  async #join(
    signal: AbortSignal,
  ): Promise<{ readonly session: GroupSession; readonly partitions: readonly PartitionId[] } | undefined> {
    const { requests, events, groupId, logger } = this.#options;
    while (!signal.aborted) {
      try {
        this.#outdated = undefined;
        const topics = this.#options.topics.names();
        const answer = await requests.join(this.#memberId, this.#protocols(topics), this.#reason, signal);
        const { errorCode } = answer;
        if (errorCode === ErrorCodes.MEMBER_ID_REQUIRED) {
          // KIP-394: the broker has named us, and wants us to ask again under that name.
          this.#remember(answer.memberId);
          continue;
        }
        if (FATAL_JOIN_ERRORS.has(errorCode)) {
          events.fatal(joinError(groupId, errorCode));
          return undefined;
        }
        if (errorCode === ErrorCodes.NONE) {
          this.#remember(answer.memberId);
          const joined = await this.#sync(answer, signal);
          if (joined !== undefined) {
            this.#backoff.reset();
            return joined;
          }
          continue;
        }
        this.#afterError(errorCode, "JoinGroup");
      } catch (error) {
        if (signal.aborted) return undefined;
        if (!TransportError.is(error)) {
          events.fatal(error instanceof ConsumerError ? error : cannotBeMember(groupId, error));
          return undefined;
        }
        requests.forgetCoordinator();
        logger.debug({ groupId, error }, "Joining the group failed; it is tried again.");
      }
      await sleep(this.#options.clock, this.#backoff.next(), signal);
    }
    return undefined;
  }

  async #sync(
    answer: JoinAnswer,
    signal: AbortSignal,
  ): Promise<{ readonly session: GroupSession; readonly partitions: readonly PartitionId[] } | undefined> {
    const { groupId, groupInstanceId, clock, requests } = this.#options;
    const protocolName = answer.protocolName ?? "";
    const session = new GroupSession({
      groupId,
      groupInstanceId,
      memberId: answer.memberId,
      generationId: answer.generationId,
      cleanAtMs: clock.monotonicMs(),
    });
    const assignments = await this.#assignAsLeader(answer, protocolName, signal);
    session.cleanAtMs = clock.monotonicMs();
    const synced = await requests.sync(session, protocolName, assignments, signal);
    if (synced.errorCode !== ErrorCodes.NONE) {
      if (FATAL_JOIN_ERRORS.has(synced.errorCode)) throw joinError(groupId, synced.errorCode);
      this.#afterError(synced.errorCode, "SyncGroup");
      // A rebalance that began meanwhile wants the next JoinGroup now; anything else wants a pause.
      if (synced.errorCode !== ErrorCodes.REBALANCE_IN_PROGRESS) {
        await sleep(clock, this.#backoff.next(), signal);
      }
      return undefined;
    }
    const partitions: PartitionId[] = [];
    for (const [topic, indices] of decodeAssignment(synced.assignment)) {
      for (const index of indices) partitions.push({ topic, index });
    }
    return { session, partitions };
  }

  /** The assignments of all members if this one leads the group; nothing otherwise. */
  async #assignAsLeader(
    answer: JoinAnswer,
    protocolName: string,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, GroupAssignment>> {
    const { groupId } = this.#options;
    if (answer.leader !== answer.memberId || answer.skipAssignment) return new Map();
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
    return assignor.assign(members, await this.#options.topics.partitionCounts(topics, signal));
  }

  /** Lives with an assignment until it has ended, heartbeats all the while. */
  async #stay(session: GroupSession, partitions: readonly PartitionId[]): Promise<void> {
    const { requests, events, clock, logger, groupId } = this.#options;
    this.#session = session;
    logger.info(
      {
        groupId,
        memberId: session.memberId,
        generationId: session.generationId,
        partitions: partitions.length,
      },
      "Joined the group.",
    );
    const heartbeat = new Heartbeat({
      requests,
      session,
      intervalMs: this.#options.heartbeatIntervalMs,
      backoff: new Backoff({
        initialMs: this.#options.retryBackoffMs,
        maxMs: this.#options.retryBackoffMaxMs,
      }),
      clock,
      logger,
    });
    const ended = new AbortController();
    const end = (): void => ended.abort();
    void session.rejoin.promise.then(end);
    void session.gone.promise.then(end);
    this.#stopped.signal.addEventListener("abort", end);
    if (this.#stopped.signal.aborted) end();
    if (this.#outdated !== undefined) session.rejoin.set(this.#outdated);
    try {
      await events.assigned(session, partitions, ended.signal);
      await whenAborted(ended.signal);
      const ending = await this.#end(session);
      await heartbeat.stop();
      this.#session = undefined;
      if (ending === "gone") await this.#mournLoss(session);
      else this.#reason = session.rejoin.value ?? this.#reason;
    } finally {
      this.#session = undefined;
      this.#stopped.signal.removeEventListener("abort", end);
      await heartbeat.stop();
    }
  }

  /** Drains, if there is still something that is ours. */
  async #end(session: GroupSession): Promise<Ending> {
    const { events, clock, rebalanceTimeoutMs, logger, groupId } = this.#options;
    if (this.#stopped.signal.aborted) return "stopped";
    if (session.gone.isSet) return "gone";
    // Java's and librdkafka's members have the same time, counted from the first of them to join; we only know that
    // there was no rebalance yet when our last clean heartbeat was sent.
    const leftMs = Math.max(0, session.cleanAtMs + rebalanceTimeoutMs - clock.monotonicMs());
    const commitMs = Math.min(COMMIT_MS, leftMs * COMMIT_SHARE);
    logger.info(
      { groupId, reason: session.rejoin.value, drainMs: leftMs - commitMs },
      "Draining before a rebalance.",
    );
    const over = new AbortController();
    const ending = await Promise.race([
      events.revoke(session, leftMs - commitMs, commitMs).then((): Ending => "drained"),
      session.gone.promise.then((): Ending => "gone"),
      whenAborted(this.#stopped.signal, over.signal).then((): Ending => "stopped"),
      sleep(clock, leftMs, over.signal).then((): Ending => "gone"),
    ]);
    over.abort();
    if (ending === "gone") {
      session.gone.set({
        errorCode: 0,
        reason: "the drain took longer than the group could wait (max.poll.interval.ms)",
      });
    }
    return ending;
  }

  async #mournLoss(session: GroupSession): Promise<void> {
    const { events, logger, groupId } = this.#options;
    const gone = session.gone.value ?? { errorCode: 0, reason: "unknown" };
    logger.warn({ groupId, memberId: session.memberId, reason: gone.reason }, "Lost the assignment.");
    this.#reason = gone.reason;
    if (
      gone.errorCode === ErrorCodes.GROUP_AUTHORIZATION_FAILED ||
      gone.errorCode === ErrorCodes.FENCED_INSTANCE_ID
    ) {
      events.fatal(joinError(groupId, gone.errorCode));
      this.#stopped.abort();
    }
    // Whoever gave up itself is still a member for the coordinator: it must hear of it, for the others' sake.
    const left = gone.errorCode === 0 ? this.#leave(gone.reason, COMMIT_MS) : undefined;
    if (gone.errorCode !== ErrorCodes.ILLEGAL_GENERATION) this.#remember("");
    await Promise.all([left, events.lost(session, gone.reason)]);
  }

  async #leave(reason: string, timeoutMs: number): Promise<void> {
    const memberId = this.#memberId;
    if (memberId === "" || this.#options.groupInstanceId !== null) return;
    try {
      await this.#options.requests.leave(memberId, reason, timeoutMs);
    } catch (error) {
      this.#options.logger.warn(
        { groupId: this.#options.groupId, memberId, error },
        "Could not tell the coordinator that this member leaves; it will find out by the session timeout.",
      );
    }
  }

  #afterError(errorCode: number, request: string): void {
    const { requests, logger, groupId } = this.#options;
    if (errorCode === ErrorCodes.UNKNOWN_MEMBER_ID) this.#remember("");
    if (errorCode === ErrorCodes.NOT_COORDINATOR || errorCode === ErrorCodes.COORDINATOR_NOT_AVAILABLE) {
      requests.forgetCoordinator();
    }
    logger.debug({ groupId, request, error: errorName(errorCode) }, "The coordinator asks to try again.");
  }

  #protocols(topics: readonly string[]): { readonly name: string; readonly metadata: Buffer }[] {
    const metadata = encodeSubscription(topics, new Map());
    return this.#options.strategies.map((name) => ({ name, metadata }));
  }

  #remember(memberId: string): void {
    if (this.#memberId === memberId) return;
    this.#memberId = memberId;
    this.#options.events.member(memberId);
  }
}

const HINTS: ReadonlyMap<number, string> = new Map([
  [
    ErrorCodes.INCONSISTENT_GROUP_PROTOCOL,
    'the other members share none of this member\'s "partition.assignment.strategy"; give it one that they all have',
  ],
  [
    ErrorCodes.INVALID_SESSION_TIMEOUT,
    '"session.timeout.ms" is outside of what the broker allows (group.min/max.session.timeout.ms)',
  ],
  [
    ErrorCodes.GROUP_AUTHORIZATION_FAILED,
    "this principal may not read the group; grant it READ on the group",
  ],
  [ErrorCodes.GROUP_MAX_SIZE_REACHED, "the group has as many members as the broker allows (group.max.size)"],
  [ErrorCodes.FENCED_INSTANCE_ID, 'another member with the same "group.instance.id" has taken its place'],
]);

function cannotBeMember(groupId: string, cause: unknown): ConsumerError {
  return new ConsumerError(
    `Cannot be a member of group ${groupId}: ${cause instanceof Error ? cause.message : String(cause)}`,
    { cause },
  );
}

function joinError(groupId: string, errorCode: number): ConsumerError {
  const hint = HINTS.get(errorCode);
  return new ConsumerError(
    `Cannot be a member of group ${groupId}: ${errorName(errorCode)}${hint === undefined ? "" : ` (${hint})`}.`,
  );
}
