import { ConsumerError } from "../../errors.ts";
import { whenAborted } from "./abortable.ts";
import { ASSIGNORS } from "./assignor-names.ts";
import { Backoff } from "./backoff.ts";
import { ClassicJoin, type ClassicJoinOptions, type JoinOutcome } from "./classic-join.ts";
import { CommitSessions } from "./commit-sessions.ts";
import type { Claim } from "./consumer-protocol.ts";
import { ErrorCodes } from "./error-codes.ts";
import { drain, drainTimes } from "./group-drain.ts";
import type { GroupSession } from "./group-session.ts";
import { Heartbeat } from "./heartbeat.ts";
import { joinError } from "./join-errors.ts";
import type { CommitSession, Membership, MembershipEvents, MembershipState } from "./membership.ts";
import { partitionKey, type PartitionId } from "./protocol.ts";

export interface ClassicMemberOptions extends Omit<ClassicJoinOptions, "named"> {
  readonly heartbeatIntervalMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly events: MembershipEvents;
}

/** How long the coordinator may take to hear that this member gives up. */
const LEAVE_MS = 3_000;

/**
 * A member of a group under Kafka's classic protocol (JoinGroup, SyncGroup, Heartbeat).
 *
 * With assignors that are all incremental (`cooperative-sticky`, KIP-429) it keeps what it has while it joins again, hands
 * over only what the next generation gives to others, and then joins once more, so that they get it. With any other it
 * gives everything back before it joins: a group that is being moved from one kind to the other has members of both, and
 * only this is safe with all of them. Either way, what is handed over was drained and committed before.
 */
export class ClassicMember implements Membership {
  readonly #options: ClassicMemberOptions;
  readonly #join: ClassicJoin;
  readonly #incremental: boolean;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  #stopping: Promise<void> | undefined;
  #state: MembershipState = "joining";
  /** The last generation that gave an assignment, for as long as any of it is held. */
  #session: GroupSession | undefined;
  #held: readonly PartitionId[] = [];
  readonly #commits = new CommitSessions();
  #reason = "the consumer subscribes";

  constructor(options: ClassicMemberOptions) {
    const { events, groupId } = options;
    this.#options = options;
    this.#join = new ClassicJoin({ ...options, named: (memberId) => events.member(memberId) });
    this.#incremental = options.strategies.every((name) => ASSIGNORS.get(name)?.incremental === true);
    this.#running = this.#run()
      .catch((error: unknown) => {
        events.fatal(new ConsumerError(`Group ${groupId}: the membership has failed.`, { cause: error }));
      })
      .finally(() => {
        this.#state = "stopped";
        this.#commits.set(undefined);
      });
  }

  get state(): MembershipState {
    return this.#state;
  }

  get memberId(): string {
    return this.#join.memberId;
  }

  get commitSession(): CommitSession | undefined {
    return this.#commits.current;
  }

  rejoin(reason: string): void {
    const isIn = this.#state === "stable" || this.#state === "revoking";
    if (isIn && this.#session !== undefined) this.#session.rejoin.set(reason);
    else this.#join.outdated = reason;
  }

  expel(reason: string): void {
    this.#session?.gone.set({ errorCode: 0, reason });
  }

  /**
   * Leaves the group, at once. A join that is pending at the broker is left as well: the request goes over another
   * connection. A static member stays in the group until its session ends, so that it can come back.
   */
  stop(reason: string, timeoutMs: number): Promise<void> {
    this.#stopped.abort();
    this.#stopping ??= Promise.all([this.#leave(reason, timeoutMs), this.#running]).then(() => {});
    return this.#stopping;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.#state = "joining";
      const outcome = await this.#untilJoined();
      if (outcome.type === "joined") await this.#stay(outcome.session, outcome.partitions);
      else if (outcome.type === "gone") this.#session?.gone.set(outcome);
      else if (outcome.type === "fatal") {
        if (this.#session === undefined) {
          this.#options.events.fatal(outcome.error);
          return;
        }
        this.#session.gone.set({ errorCode: outcome.errorCode, reason: outcome.error.message });
        await this.#mournLoss(this.#session, outcome.error);
      }
      if (this.#session?.gone.isSet === true && !signal.aborted) await this.#mournLoss(this.#session);
    }
  }

  /** Joins. What is kept in an incremental rebalance may be lost meanwhile: then this ends, whatever became of it. */
  async #untilJoined(): Promise<JoinOutcome> {
    const { signal: stopped } = this.#stopped;
    const session = this.#session;
    const over = new AbortController();
    const end = (): void => over.abort();
    stopped.addEventListener("abort", end);
    if (session !== undefined) {
      void session.gone.promise.then(end);
      this.#commits.set("passing", session);
    }
    if (stopped.aborted || session?.gone.isSet === true) end();
    const progress = {
      began: (): void => {
        if (session !== undefined) this.#commits.set("held");
      },
      again: (next: GroupSession): void => {
        if (session !== undefined) this.#commits.set("passing", next);
      },
    };
    try {
      return await this.#join.join(this.#claim(session), this.#reason, progress, over.signal);
    } finally {
      stopped.removeEventListener("abort", end);
    }
  }

  #claim(session: GroupSession | undefined): Claim | undefined {
    if (session === undefined) return undefined;
    const owned = new Map<string, number[]>();
    for (const { topic, index } of this.#held) {
      const indices = owned.get(topic);
      if (indices === undefined) owned.set(topic, [index]);
      else indices.push(index);
    }
    return { owned, generationId: session.generationId };
  }

  /** Lives in a generation until it has ended, heartbeats all the while. */
  async #stay(session: GroupSession, partitions: readonly PartitionId[]): Promise<void> {
    const { requests, events, clock, logger, groupId } = this.#options;
    const revoked = without(this.#held, partitions);
    const added = without(partitions, this.#held);
    this.#session = session;
    this.#held = [...partitions, ...revoked];
    this.#state = "stable";
    this.#commits.set("ready", session);
    const { memberId, generationId } = session;
    logger.info(
      { groupId, memberId, generationId, partitionCount: partitions.length, addedCount: added.length },
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
    const over = new AbortController();
    if (this.#join.outdated !== undefined) session.rejoin.set(this.#join.outdated);
    try {
      events.assigned(session, added);
      if (revoked.length > 0) {
        if (!(await this.#handOver(session, revoked))) return;
        session.rejoin.set("this member has given up partitions that are somebody else's now");
      }
      await Promise.race([
        session.rejoin.promise,
        session.gone.promise,
        whenAborted(this.#stopped.signal, over.signal),
      ]);
      if (this.#stopped.signal.aborted || session.gone.isSet) return;
      this.#reason = session.rejoin.value ?? this.#reason;
      if (this.#incremental) return;
      if (await this.#handOver(session, this.#held)) this.#end();
    } finally {
      over.abort();
      await heartbeat.stop();
    }
  }

  /** Drains partitions, for as long as they are still ours. Resolves to whether that was done. */
  async #handOver(session: GroupSession, partitions: readonly PartitionId[]): Promise<boolean> {
    const { events, clock, rebalanceTimeoutMs, logger, groupId } = this.#options;
    if (this.#stopped.signal.aborted || session.gone.isSet) return false;
    this.#state = "revoking";
    // Java's and librdkafka's members have the same time, counted from the first of them to join; we only know that
    // there was no rebalance yet when our last clean heartbeat was sent.
    const leftMs = Math.max(0, session.cleanAtMs + rebalanceTimeoutMs - clock.monotonicMs());
    const reason = session.rejoin.value ?? "the group gives partitions to others";
    const { drainMs } = drainTimes(leftMs);
    logger.info(
      { groupId, reason, partitionCount: partitions.length, timeoutMs: drainMs },
      "Draining before a rebalance.",
    );
    const over = new AbortController();
    const end = (): void => over.abort();
    void session.gone.promise.then(end);
    this.#stopped.signal.addEventListener("abort", end, { signal: over.signal });
    const isDrained = await drain({ events, session, partitions, leftMs, clock, over: over.signal });
    over.abort();
    if (isDrained) {
      this.#held = without(this.#held, partitions);
      this.#state = "stable";
    }
    return isDrained;
  }

  /** Everything that was held is somebody else's. Resolves when the main thread knows. */
  async #mournLoss(session: GroupSession, error?: ConsumerError): Promise<void> {
    const { events, logger, groupId } = this.#options;
    const gone = session.gone.value ?? { errorCode: 0, reason: "unknown" };
    const held = this.#held;
    this.#end();
    this.#state = "lost";
    logger.warn({ groupId, memberId: session.memberId, reason: gone.reason }, "Lost the assignment.");
    this.#reason = gone.reason;
    const isFatal =
      error !== undefined ||
      gone.errorCode === ErrorCodes.GROUP_AUTHORIZATION_FAILED ||
      gone.errorCode === ErrorCodes.FENCED_INSTANCE_ID;
    if (isFatal) {
      events.fatal(error ?? joinError(groupId, gone.errorCode));
      this.#stopped.abort();
    }
    // Whoever gave up itself is still a member for the coordinator: it must hear of it, for the others' sake.
    const left = gone.errorCode === 0 ? this.#leave(gone.reason, LEAVE_MS) : undefined;
    if (gone.errorCode !== ErrorCodes.ILLEGAL_GENERATION) this.#join.forget();
    await Promise.all([left, events.lost(session, held, gone.reason)]);
  }

  /** Nothing is held any more. */
  #end(): void {
    this.#session = undefined;
    this.#held = [];
    this.#commits.set(undefined);
  }

  async #leave(reason: string, timeoutMs: number): Promise<void> {
    const { memberId } = this.#join;
    const { requests, groupInstanceId, groupId, logger } = this.#options;
    if (memberId === "" || groupInstanceId !== null) return;
    try {
      await requests.leave(memberId, reason, timeoutMs);
    } catch (error) {
      logger.warn(
        { groupId, memberId, err: error },
        "Could not tell the coordinator that this member leaves; it will find out by the session timeout.",
      );
    }
  }
}

function without(partitions: readonly PartitionId[], others: readonly PartitionId[]): readonly PartitionId[] {
  const keys = new Set(others.map((other) => partitionKey(other)));
  return partitions.filter((partition) => !keys.has(partitionKey(partition)));
}
