import type { Clock, ClockTimer } from "../../clock.ts";
import { ConsumerError, ErrorCode } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { abortable } from "./abortable.ts";
import type { Backoff } from "./backoff.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";
import type { GroupSession } from "./group-session.ts";
import { sleep } from "./latch.ts";
import type { CommitSession } from "./membership.ts";
import { partitionKey, type CommitOffset } from "./protocol.ts";
import { TransportError } from "./transport-error.ts";

interface CommitQueueOptions {
  /** One OffsetCommit. Resolves with an error code for each partition key; rejects when nobody answered. */
  readonly commit: (
    session: GroupSession,
    offsets: readonly CommitOffset[],
    timeoutMs: number,
  ) => Promise<ReadonlyMap<string, number>>;
  readonly forgetCoordinator: () => void;
  /** What may be committed under now; undefined while nothing can. */
  readonly session: () => CommitSession | undefined;
  /** The assignment that a partition belongs to now; undefined when it is not ours. */
  readonly assignmentOf: (key: string) => number | undefined;
  readonly requestTimeoutMs: number;
  readonly backoff: Backoff;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface CommitRequest {
  readonly offsets: readonly CommitOffset[];
  /** Those that the coordinator has: they are not sent again, since newer ones may have followed. */
  readonly done: Set<CommitOffset>;
  readonly untilMs: number;
  readonly timer: ClockTimer;
  readonly resolve: (committed: readonly CommitOffset[]) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Errors that end a membership: whatever is to be committed under it is not ours to commit. Unless the next generation has
 * begun meanwhile: then they say no more than that.
 */
const SESSION_ERRORS: ReadonlySet<number> = new Set([
  ErrorCodes.UNKNOWN_MEMBER_ID,
  ErrorCodes.ILLEGAL_GENERATION,
  ErrorCodes.FENCED_INSTANCE_ID,
  ErrorCodes.FENCED_MEMBER_EPOCH,
  // Everybody was put out of it, and then it was deleted.
  ErrorCodes.GROUP_ID_NOT_FOUND,
]);

/** Refusals that end with the next generation. */
const NEXT_GENERATION: ReadonlySet<number> = new Set([
  ErrorCodes.REBALANCE_IN_PROGRESS,
  ErrorCodes.STALE_MEMBER_EPOCH,
]);

/** What is left to do after a try. */
type Again =
  | { readonly problem: Error; readonly when?: undefined }
  /** Not before this has resolved. */
  | { readonly problem: Error; readonly when: Promise<void> };

const RETRIED: ReadonlySet<number> = new Set([
  ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCodes.COORDINATOR_NOT_AVAILABLE,
  ErrorCodes.NOT_COORDINATOR,
  ErrorCodes.REQUEST_TIMED_OUT,
  ErrorCodes.REBALANCE_IN_PROGRESS,
  ErrorCodes.STALE_MEMBER_EPOCH,
  // A coordinator may hear of a new topic later than its leader does.
  ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCodes.NOT_ENOUGH_REPLICAS,
  ErrorCodes.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  ErrorCodes.UNKNOWN_SERVER_ERROR,
]);

/** How long a coordinator may need to hear of a new topic. What it does not know then was deleted. */
const UNKNOWN_TOPIC_MS = 5_000;

/**
 * Commits one request after another, so that an old offset that is tried again can never overwrite a newer one. What was
 * asked for while a try was under way goes out together, the newest offset of each partition.
 *
 * An offset is committed under the very assignment that it was staged in, or not at all: when that has ended it is
 * dropped, since somebody else may have gone on from there.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  readonly #closed = new AbortController();
  #requests: CommitRequest[] = [];
  #running = false;
  /** What came of the last try, if it has to be made again. */
  #problem: Error | undefined;
  /** Since when the coordinator does not know a partition, by key. */
  readonly #unknownSinceMs = new Map<string, number>();

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /**
   * Resolves with the offsets that the coordinator has acknowledged; those whose assignment has ended, or whose topic is
   * gone, are left out.
   *
   * @throws ConsumerError (`ARROYO_COMMIT_FAILED`) when it could not be done within `timeoutMs`, or never can.
   */
  commit(offsets: readonly CommitOffset[], timeoutMs: number): Promise<readonly CommitOffset[]> {
    if (this.#closed.signal.aborted) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      const request: CommitRequest = {
        offsets,
        done: new Set(),
        untilMs: this.#options.clock.monotonicMs() + timeoutMs,
        timer: this.#options.clock.setTimeout(() => {
          const open = offsets.filter((offset) => !request.done.has(offset));
          this.#settle(request, () => reject(timedOut(open, timeoutMs, this.#problem)));
        }, timeoutMs),
        resolve,
        reject,
      };
      this.#requests.push(request);
      if (!this.#running) void this.#run();
    });
  }

  /** Partitions have come or gone: whoever waits for what is not ours any more need not. */
  reassigned(): void {
    for (const request of [...this.#requests]) {
      if (!request.offsets.some((offset) => !request.done.has(offset) && this.#isOurs(offset))) {
        this.#settle(request, () => request.resolve([...request.done]));
      }
    }
  }

  /** Fails whatever is open. */
  close(): void {
    this.#closed.abort();
    for (const request of [...this.#requests]) {
      this.#settle(request, () => request.reject(closedError()));
    }
  }

  async #run(): Promise<void> {
    this.#running = true;
    const { backoff, clock } = this.#options;
    while (this.#requests.length > 0) {
      const again = await this.#try();
      this.#problem = again?.problem;
      if (again === undefined) backoff.reset();
      else if (again.when === undefined) await sleep(clock, backoff.next(), this.#closed.signal);
      // It rejects only with the abort, and then nobody waits for it.
      else await abortable(again.when, this.#closed.signal).catch(() => {});
    }
    this.#problem = undefined;
    this.#running = false;
  }

  /** One try for everything that is open. Returns what it has to be made again for; undefined when it has come to an end. */
  async #try(): Promise<Again | undefined> {
    const { session: currentSession, clock, logger, requestTimeoutMs, forgetCoordinator } = this.#options;
    const current = currentSession();
    if (current?.state === "held") return { problem: heldBack(), when: current.changed };
    const session = current?.session;
    const requests = [...this.#requests];
    const ours = new Set<CommitOffset>();
    const offsets = new Map<string, CommitOffset>();
    if (session !== undefined && !session.gone.isSet) {
      for (const request of requests) {
        for (const offset of request.offsets) {
          if (request.done.has(offset) || !this.#isOurs(offset)) continue;
          ours.add(offset);
          offsets.set(partitionKey(offset), offset);
        }
      }
    }
    if (session === undefined || offsets.size === 0) {
      for (const request of requests) this.#settle(request, () => request.resolve([...request.done]));
      return undefined;
    }
    const leftMs = Math.max(...requests.map((request) => request.untilMs)) - clock.monotonicMs();
    let codes: ReadonlyMap<string, number>;
    try {
      const timeoutMs = Math.max(1, Math.min(requestTimeoutMs, leftMs));
      codes = await this.#options.commit(session, [...offsets.values()], timeoutMs);
    } catch (error) {
      if (!TransportError.is(error)) {
        for (const request of requests) this.#settle(request, () => request.reject(failure(request, error)));
        return undefined;
      }
      logger.debug({ groupId: session.groupId, err: error }, "A commit was not answered; it is tried again.");
      forgetCoordinator();
      return { problem: error };
    }
    const failed = [...codes].filter(([, code]) => code !== ErrorCodes.NONE);
    const ended = failed.find(([, code]) => SESSION_ERRORS.has(code));
    if (ended !== undefined) {
      const reason = `the coordinator answered a commit with ${errorName(ended[1])}`;
      const now = currentSession();
      if (now?.state === "ready" && now.session === session)
        session.gone.set({ errorCode: ended[1], reason });
      // Its member asks for the next generation, or is in it already: offsets that stay ours go out under that one.
      else if (now?.state === "held" || now?.state === "passing") {
        return { problem: new ConsumerError(`The group rebalances: ${reason}.`), when: now.changed };
      }
      return undefined;
    }
    const gone = this.#findGone(codes);
    const open = new Map(failed.filter(([key, code]) => RETRIED.has(code) && !gone.has(key)));
    for (const request of requests) this.#answer(request, ours, codes, { open, gone });
    const [again] = open;
    if (again !== undefined) {
      const needsLookup =
        again[1] === ErrorCodes.NOT_COORDINATOR || again[1] === ErrorCodes.COORDINATOR_NOT_AVAILABLE;
      if (needsLookup) forgetCoordinator();
      const problem = new ConsumerError(`The coordinator answers ${again[0]} with ${errorName(again[1])}.`);
      const now = currentSession();
      const waits = NEXT_GENERATION.has(again[1]) && now !== undefined && now.state !== "ready";
      return waits ? { problem, when: now.changed } : { problem };
    }
    return undefined;
  }

  /** Takes in what came of a request's offsets, and settles it unless some are to be tried again. */
  #answer(
    request: CommitRequest,
    ours: ReadonlySet<CommitOffset>,
    codes: ReadonlyMap<string, number>,
    { open, gone }: { readonly open: ReadonlyMap<string, number>; readonly gone: ReadonlySet<string> },
  ): void {
    let isOpen = false;
    for (const offset of request.offsets) {
      if (!ours.has(offset)) continue;
      const key = partitionKey(offset);
      const code = codes.get(key);
      if (code === ErrorCodes.NONE) request.done.add(offset);
      else if (open.has(key)) isOpen = true;
      else if (code !== undefined && !gone.has(key)) {
        this.#settle(request, () => request.reject(refused(offset, code)));
        return;
      }
    }
    if (!isOpen) this.#settle(request, () => request.resolve([...request.done]));
  }

  /** The partitions that the coordinator has not known for so long that their topic must have been deleted. */
  #findGone(codes: ReadonlyMap<string, number>): ReadonlySet<string> {
    const { clock, logger } = this.#options;
    const now = clock.monotonicMs();
    const gone = new Set<string>();
    const partitions: string[] = [];
    for (const [key, code] of codes) {
      const since = this.#unknownSinceMs.get(key);
      // Its topic was made again: that is no matter of waiting.
      const isGone = code === ErrorCodes.INCONSISTENT_TOPIC_ID;
      if (!isGone && code !== ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION) this.#unknownSinceMs.delete(key);
      else if (!isGone && since === undefined) this.#unknownSinceMs.set(key, now);
      else if (isGone || now - (since ?? now) >= UNKNOWN_TOPIC_MS) {
        gone.add(key);
        if (since !== -Infinity) partitions.push(key);
        // Told of once.
        this.#unknownSinceMs.set(key, -Infinity);
      }
    }
    if (partitions.length > 0) {
      logger.warn(
        { partitions },
        "Offsets are not committed: the coordinator does not know their topic (any more).",
      );
    }
    return gone;
  }

  #isOurs(offset: CommitOffset): boolean {
    return this.#options.assignmentOf(partitionKey(offset)) === offset.assignment;
  }

  #settle(request: CommitRequest, how: () => void): void {
    const at = this.#requests.indexOf(request);
    if (at < 0) return;
    this.#requests.splice(at, 1);
    request.timer.cancel();
    how();
  }
}

function describe(offsets: readonly CommitOffset[]): string {
  const shown = offsets.slice(0, 3).map(({ topic, index, offset }) => `${topic}[${index}]@${offset}`);
  return (
    shown.join(", ") + (offsets.length > shown.length ? ` and ${offsets.length - shown.length} more` : "")
  );
}

function timedOut(
  offsets: readonly CommitOffset[],
  timeoutMs: number,
  problem: Error | undefined,
): ConsumerError {
  const what = `The group's coordinator has not acknowledged the commit of ${describe(offsets)}`;
  const why = problem === undefined ? "." : `: ${problem.message}`;
  return new ConsumerError(`${what} within ${Math.round(timeoutMs)} ms${why}`, {
    code: ErrorCode.COMMIT_FAILED,
    ...(problem === undefined ? {} : { cause: problem }),
  });
}

function failure({ offsets }: CommitRequest, cause: unknown): ConsumerError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ConsumerError(`The commit of ${describe(offsets)} has failed: ${why}`, {
    code: ErrorCode.COMMIT_FAILED,
    cause,
  });
}

function refused(offset: CommitOffset, code: number): ConsumerError {
  return new ConsumerError(`The commit of ${describe([offset])} was refused: ${errorName(code)}.`, {
    code: ErrorCode.COMMIT_FAILED,
  });
}

function heldBack(): ConsumerError {
  return new ConsumerError("The group rebalances: no commit is taken until the next generation has begun.");
}

function closedError(): ConsumerError {
  return new ConsumerError("The consumer was closed before the coordinator had acknowledged the commit.", {
    code: ErrorCode.COMMIT_FAILED,
  });
}
