import type { Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import type { Backoff } from "./backoff.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";
import type { GroupRequests } from "./group-requests.ts";
import type { GroupSession } from "./group-session.ts";
import { Latch, sleep } from "./latch.ts";
import { TransportError } from "./transport-error.ts";

interface HeartbeatOptions {
  readonly requests: GroupRequests;
  readonly session: GroupSession;
  readonly intervalMs: number;
  readonly backoff: Backoff;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps one membership alive, from its SyncGroup to its next JoinGroup, also while the main thread drains or is busy.
 * What the coordinator answers sets the session's latches.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #stopped = new AbortController();
  readonly #ended = new Latch();

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    void this.#run().finally(() => this.#ended.set());
  }

  /** Sends no more. Resolves when the one that is under way has ended. */
  stop(): Promise<void> {
    this.#stopped.abort();
    return this.#ended.promise;
  }

  async #run(): Promise<void> {
    const { session, clock, intervalMs, backoff } = this.#options;
    const { signal } = this.#stopped;
    let delayMs = intervalMs;
    for (;;) {
      await sleep(clock, delayMs, signal);
      if (signal.aborted || session.gone.isSet) return;
      delayMs = (await this.#beat(signal)) ? intervalMs : Math.min(intervalMs, backoff.next());
    }
  }

  /** Returns whether the coordinator answered. */
  async #beat(signal: AbortSignal): Promise<boolean> {
    const { session, requests, clock, backoff, logger } = this.#options;
    const sentAtMs = clock.monotonicMs();
    let errorCode: number;
    try {
      errorCode = await requests.heartbeat(session, signal);
    } catch (error) {
      if (signal.aborted) return false;
      if (!TransportError.is(error)) {
        // No other try can help. Joining again will meet the same, and tell it.
        session.gone.set({ errorCode: 0, reason: error instanceof Error ? error.message : String(error) });
        return false;
      }
      // The coordinator may be another by now, and nothing else might ask: a quiet topic has no commits.
      requests.forgetCoordinator();
      logger.debug(
        { groupId: session.groupId, err: error },
        "A heartbeat was not answered; it is sent again.",
      );
      return false;
    }
    switch (errorCode) {
      case ErrorCodes.NONE:
        session.cleanAtMs = sentAtMs;
        backoff.reset();
        return true;
      case ErrorCodes.REBALANCE_IN_PROGRESS:
        backoff.reset();
        session.rejoin.set("the group rebalances");
        return true;
      case ErrorCodes.UNKNOWN_MEMBER_ID:
      case ErrorCodes.ILLEGAL_GENERATION:
      case ErrorCodes.FENCED_INSTANCE_ID:
      case ErrorCodes.GROUP_AUTHORIZATION_FAILED:
        session.gone.set({
          errorCode,
          reason: `the coordinator answered a heartbeat with ${errorName(errorCode)}`,
        });
        return true;
      default:
        requests.forgetCoordinator();
        return false;
    }
  }
}
