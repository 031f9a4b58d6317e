import { randomUUID } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { ConsumerError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { whenAborted } from "./abortable.ts";
import { Backoff } from "./backoff.ts";
import { CommitSessions } from "./commit-sessions.ts";
import type { ConsumerGroupHeartbeatResponse } from "./consumer-group-apis.ts";
import { HeartbeatContents } from "./consumer-group-contents.ts";
import type { ConsumerGroupRequests } from "./consumer-group-coordinator.ts";
import {
  HAS_LEFT,
  heartbeatError,
  noSuchProtocol,
  OUT_OF_GROUP,
  TRY_AGAIN,
} from "./consumer-group-errors.ts";
import { Reconciler, type NamedTopics } from "./consumer-group-reconciler.ts";
import { ConsumerGroupSession } from "./consumer-group-session.ts";
import { ErrorCodes, errorName, needsCoordinatorLookup } from "./error-codes.ts";
import { cannotBeMember } from "./join-errors.ts";
import { Latch, sleep } from "./latch.ts";
import type { CommitSession, Membership, MembershipEvents, MembershipState } from "./membership.ts";
import { SlowJoin } from "./slow-join.ts";
import { TransportError, UnsupportedBrokerError } from "./transport-error.ts";

export interface ConsumerGroupMemberOptions {
  readonly groupId: string;
  readonly groupInstanceId: string | null;
  readonly rackId: string | null;
  readonly serverAssignor: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly requests: ConsumerGroupRequests;
  readonly topics: NamedTopics;
  readonly events: MembershipEvents;
  readonly clock: Clock;
  readonly logger: Logger;
}

const JOIN_EPOCH = 0;
const LEAVE_EPOCH = -1;
const LEAVE_FOR_A_WHILE_EPOCH = -2;
/** Until the first answer tells it. */
const FIRST_INTERVAL_MS = 5_000;
/** However often heartbeats are sent, a busy broker gets so long to answer one. */
const MIN_ANSWER_MS = 3_000;
const LEAVE_MS = 3_000;
/** A member that was killed is in the group until its session ends: 45 s by the brokers' default. */
const UNRELEASED_MS = 60_000;

/**
 * A member of a group under the newer protocol (KIP-848): the coordinator says with each heartbeat what the member should
 * have. What it should not have any more is drained and committed before the coordinator is told that it is free; nobody
 * waits for anybody else, and what stays is not disturbed.
 */
export class ConsumerGroupMember implements Membership {
  readonly memberId: string = randomUUID();
  readonly #options: ConsumerGroupMemberOptions;
  readonly #contents: HeartbeatContents;
  readonly #backoff: Backoff;
  readonly #slowJoin: SlowJoin;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  #stopping: Promise<void> | undefined;
  #state: MembershipState = "joining";
  #session: ConsumerGroupSession | undefined;
  readonly #commits = new CommitSessions();
  /** Set when the coordinator should hear of something before the next heartbeat is due. */
  #urgent = new Latch();
  #intervalMs = FIRST_INTERVAL_MS;
  #hasAsked = false;
  /** When the first request was sent that was not answered; what it ordered may only be known from a later answer. */
  #unansweredSinceMs: number | undefined;
  /** The coordinator may have us in the group although we do not know of it, and keep our instance id from us. */
  #mayBeIn = false;
  #unreleasedSinceMs: number | undefined;
  /** What ends it for good. */
  #failure: ConsumerError | undefined;

  constructor(options: ConsumerGroupMemberOptions) {
    const { groupId, clock, logger, events } = options;
    this.#options = options;
    this.#contents = new HeartbeatContents(options);
    this.#backoff = new Backoff({ initialMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs });
    this.#slowJoin = new SlowJoin(groupId, clock, logger);
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

  get commitSession(): CommitSession | undefined {
    return this.#commits.current;
  }

  rejoin(): void {
    this.#urgent.set();
  }

  expel(reason: string): void {
    this.#session?.gone.set({ errorCode: 0, reason });
  }

  stop(_reason: string, timeoutMs: number): Promise<void> {
    this.#stopped.abort();
    this.#stopping ??= Promise.all([this.#leave(timeoutMs), this.#running]).then(() => {});
    return this.#stopping;
  }

  async #run(): Promise<void> {
    const { groupId, groupInstanceId, clock } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const session = new ConsumerGroupSession({
        groupId,
        groupInstanceId,
        memberId: this.memberId,
        generationId: JOIN_EPOCH,
        cleanAtMs: clock.monotonicMs(),
      });
      this.#session = session;
      this.#state = "joining";
      await this.#live(session);
      // Whoever is refused right away must not ask in a circle.
      if (session.generationId === JOIN_EPOCH) await sleep(clock, this.#backoff.next(), signal);
    }
  }

  /** One membership, from its join to its end. */
  async #live(session: ConsumerGroupSession): Promise<void> {
    const over = new AbortController();
    const end = (): void => over.abort();
    this.#stopped.signal.addEventListener("abort", end);
    if (this.#stopped.signal.aborted) end();
    void session.gone.promise.then(end);
    const reconciler = new Reconciler({
      ...this.#options,
      session,
      changed: () => this.#urgent.set(),
      failed: (error) => this.#fail(session, cannotBeMember(this.#options.groupId, error)),
      draining: (isDraining) => {
        if (!over.signal.aborted) this.#state = isDraining ? "revoking" : "stable";
      },
      signal: over.signal,
    });
    this.#contents.restart();
    try {
      let pause: Pause = { forMs: 0, unlessUrgent: true };
      for (;;) {
        await this.#pause(pause, over.signal);
        if (over.signal.aborted || session.gone.isSet) break;
        pause = await this.#beat(session, reconciler, over.signal);
      }
    } finally {
      this.#stopped.signal.removeEventListener("abort", end);
    }
    this.#commits.set(undefined);
    if (!this.#stopped.signal.aborted) await this.#mourn(session, reconciler);
  }

  async #pause({ forMs, unlessUrgent }: Pause, signal: AbortSignal): Promise<void> {
    if (forMs === 0) return;
    const over = new AbortController();
    const waits: Promise<void>[] = [];
    if (unlessUrgent) waits.push(this.#urgent.promise);
    if (forMs === Infinity) waits.push(whenAborted(signal, over.signal));
    else waits.push(sleep(this.#options.clock, forMs, AbortSignal.any([signal, over.signal])));
    await Promise.race(waits);
    over.abort();
  }

  /** One heartbeat. Returns when the next one is due. */
  async #beat(session: ConsumerGroupSession, reconciler: Reconciler, signal: AbortSignal): Promise<Pause> {
    const { topics, requests, clock, logger, groupId, rebalanceTimeoutMs } = this.#options;
    this.#urgent = new Latch();
    const names = topics.names();
    const isJoining = session.generationId === JOIN_EPOCH;
    // The coordinator takes nobody who wants nothing: a pattern may match only later.
    if (isJoining && names.length === 0) return { forMs: Infinity, unlessUrgent: true };
    const owned = reconciler.report;
    const request = this.#contents.next(session, names, owned);
    const sentAtMs = (this.#unansweredSinceMs ??= clock.monotonicMs());
    // The answer may bring another epoch.
    if (!isJoining) this.#commits.set("held");
    this.#hasAsked = true;
    let answer: ConsumerGroupHeartbeatResponse;
    try {
      answer = await requests.heartbeat(request, Math.max(MIN_ANSWER_MS, this.#intervalMs * 2), signal);
    } catch (error) {
      if (signal.aborted) return NOW;
      if (!TransportError.is(error)) {
        this.#fail(
          session,
          error instanceof UnsupportedBrokerError
            ? noSuchProtocol(groupId, error)
            : cannotBeMember(groupId, error),
        );
        return NOW;
      }
      this.#mayBeIn = true;
      requests.forgetCoordinator();
      logger.debug({ groupId, err: error }, "A heartbeat was not answered; it is sent again.");
      return this.#again(session, error.message);
    }
    this.#unansweredSinceMs = undefined;
    if (answer.errorCode !== ErrorCodes.NONE) return await this.#refused(session, answer);
    this.#mayBeIn = false;
    this.#backoff.reset();
    this.#slowJoin.joined();
    this.#unreleasedSinceMs = undefined;
    this.#contents.answered(names, owned);
    this.#intervalMs = answer.heartbeatIntervalMs;
    session.advance(answer.memberEpoch);
    session.cleanAtMs = sentAtMs;
    if (isJoining) this.#joined(session);
    this.#commits.set("ready", session);
    if (answer.assignment !== null) {
      // It may as well not have heard of any before this one.
      const earliestMs = clock.monotonicMs() - rebalanceTimeoutMs / 2;
      reconciler.aim(answer.assignment, Math.max(sentAtMs, earliestMs));
    }
    return { forMs: this.#intervalMs, unlessUrgent: true };
  }

  #joined(session: ConsumerGroupSession): void {
    const { groupId, logger, events } = this.#options;
    this.#state = "stable";
    logger.info(
      { groupId, memberId: this.memberId, memberEpoch: session.generationId },
      "Joined the group (KIP-848).",
    );
    events.member(this.memberId);
    events.assigned(session, []);
  }

  async #refused(session: ConsumerGroupSession, answer: ConsumerGroupHeartbeatResponse): Promise<Pause> {
    const { requests, clock, groupId, logger } = this.#options;
    const { errorCode, errorMessage } = answer;
    // A group that everybody was put out of is deleted in the end. To those who join it means something else.
    const isGroupGone = errorCode === ErrorCodes.GROUP_ID_NOT_FOUND && session.generationId !== JOIN_EPOCH;
    if (OUT_OF_GROUP.has(errorCode) || isGroupGone) {
      session.gone.set({
        errorCode,
        reason: `the coordinator answered a heartbeat with ${errorName(errorCode)}`,
      });
      return NOW;
    }
    if (TRY_AGAIN.has(errorCode)) {
      if (needsCoordinatorLookup(errorCode)) requests.forgetCoordinator();
      return this.#again(session, errorName(errorCode));
    }
    if (errorCode === ErrorCodes.UNRELEASED_INSTANCE_ID) {
      // It may be ourselves: a join whose answer was lost. Otherwise the coordinator refuses this.
      if (this.#mayBeIn) {
        this.#mayBeIn = false;
        await this.#leave(LEAVE_MS);
        return this.#again(session, errorName(errorCode));
      }
      const nowMs = clock.monotonicMs();
      if (this.#unreleasedSinceMs === undefined) {
        this.#unreleasedSinceMs = nowMs;
        logger.warn(
          { groupId, groupInstanceId: session.groupInstanceId, delayMs: UNRELEASED_MS },
          "Another member has this group.instance.id still: waiting for its session to end.",
        );
      }
      if (nowMs - this.#unreleasedSinceMs < UNRELEASED_MS) return this.#again(session, errorName(errorCode));
    }
    this.#fail(session, heartbeatError(groupId, errorCode, errorMessage), errorCode);
    return NOW;
  }

  /** The same once more, after a pause, and in full: nobody knows what the coordinator has heard. */
  #again(session: ConsumerGroupSession, reason: string): Pause {
    this.#contents.restart();
    if (session.generationId === JOIN_EPOCH) this.#slowJoin.failed(reason);
    else this.#commits.set("ready", session);
    return { forMs: Math.min(this.#intervalMs, this.#backoff.next()), unlessUrgent: false };
  }

  #fail(session: ConsumerGroupSession, error: ConsumerError, errorCode: number = -1): void {
    this.#failure = error;
    session.gone.set({ errorCode, reason: error.message });
  }

  /** Everything that was held is somebody else's. Resolves when the main thread knows. */
  async #mourn(session: ConsumerGroupSession, reconciler: Reconciler): Promise<void> {
    const { events, logger, groupId } = this.#options;
    const { errorCode, reason } = session.gone.value ?? { errorCode: 0, reason: "unknown" };
    const held = reconciler.end();
    const wasIn = session.generationId !== JOIN_EPOCH;
    this.#state = "lost";
    if (wasIn) logger.warn({ groupId, memberId: this.memberId, reason }, "Lost the assignment.");
    if (this.#failure !== undefined) {
      events.fatal(this.#failure);
      this.#stopped.abort();
    }
    // Whoever gave up itself is still a member for the coordinator: it must hear of it, for the others' sake. So is who
    // was fenced, and would be refused until that session ends.
    const isStillIn = errorCode === 0 || errorCode === ErrorCodes.FENCED_MEMBER_EPOCH;
    this.#unansweredSinceMs = undefined;
    const left = isStillIn ? this.#leave(LEAVE_MS) : undefined;
    await Promise.all([left, wasIn ? events.lost(session, held, reason) : undefined]);
  }

  async #leave(timeoutMs: number): Promise<void> {
    if (!this.#hasAsked || this.#failure !== undefined) return;
    const { requests, groupId, groupInstanceId, logger } = this.#options;
    const request = {
      groupId,
      memberId: this.memberId,
      memberEpoch: groupInstanceId === null ? LEAVE_EPOCH : LEAVE_FOR_A_WHILE_EPOCH,
      instanceId: groupInstanceId,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      serverAssignor: null,
      topicPartitions: null,
    };
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      let { errorCode } = await requests.heartbeat(request, timeoutMs, signal);
      if (needsCoordinatorLookup(errorCode)) {
        requests.forgetCoordinator();
        ({ errorCode } = await requests.heartbeat(request, timeoutMs, signal));
      }
      if (!HAS_LEFT.has(errorCode)) {
        throw new ConsumerError(`The coordinator answered with ${errorName(errorCode)}.`);
      }
    } catch (error) {
      this.#mayBeIn = true;
      logger.warn(
        { groupId, memberId: this.memberId, err: error },
        "Could not tell the coordinator that this member leaves; it will find out by the session timeout.",
      );
    }
  }
}

/** How long to wait for the next heartbeat, and whether something urgent cuts that short. */
interface Pause {
  readonly forMs: number;
  readonly unlessUrgent: boolean;
}

const NOW: Pause = { forMs: 0, unlessUrgent: false };
