import type { Clock } from "../../clock.ts";
import { ArroyoError, ErrorCode } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { FindCoordinator } from "./apis.ts";
import type { Backoff } from "./backoff.ts";
import type { BrokerAddress, BrokerConnection } from "./connection.ts";
import { ErrorCodes, errorName, isRetriable } from "./error-codes.ts";
import { sleep } from "./latch.ts";
import { TransportError } from "./transport-error.ts";

/** After so many answers that there is no coordinator yet, somebody should know. */
const TRIES_BEFORE_TELLING = 10;

export interface CoordinatorsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly timeoutMs: number;
  /** Aborts, with the reason, when the client is closed. */
  readonly closed: AbortSignal;
  backoff(): Backoff;
  /** A connection to any broker. */
  anyBroker(): Promise<BrokerConnection>;
  /** Told of each coordinator: it may be a broker that is not known yet. */
  found(broker: BrokerAddress): void;
}

/** Which broker coordinates which group. */
export class Coordinators {
  readonly #options: CoordinatorsOptions;
  readonly #known = new Map<string, number>();
  readonly #lookups = new Map<string, Promise<number>>();

  constructor(options: CoordinatorsOptions) {
    this.#options = options;
  }

  get(groupId: string): Promise<number> {
    const { closed } = this.#options;
    if (closed.aborted) return Promise.reject(closed.reason as Error);
    const known = this.#known.get(groupId);
    if (known !== undefined) return Promise.resolve(known);
    let lookup = this.#lookups.get(groupId);
    if (lookup === undefined) {
      lookup = this.#find(groupId).finally(() => this.#lookups.delete(groupId));
      this.#lookups.set(groupId, lookup);
    }
    return lookup;
  }

  forget(groupId: string): void {
    this.#known.delete(groupId);
  }

  async #find(groupId: string): Promise<number> {
    const { clock, logger, closed, timeoutMs } = this.#options;
    const backoff = this.#options.backoff();
    for (;;) {
      const connection = await this.#options.anyBroker();
      let problem: string;
      try {
        const answer = await connection.request(FindCoordinator, [{ keyType: "group", key: groupId }], {
          timeoutMs,
        });
        const { errorCode, nodeId, host, port } = answer;
        if (errorCode === ErrorCodes.NONE) {
          this.#known.set(groupId, nodeId);
          this.#options.found({ nodeId, host, port });
          return nodeId;
        }
        problem = errorName(errorCode);
        if (!isRetriable(errorCode)) {
          throw new ArroyoError(ErrorCode.CONSUMER, `Group "${groupId}" cannot be used: ${problem}.`);
        }
      } catch (error) {
        closed.throwIfAborted();
        if (!TransportError.is(error)) throw error;
        problem = error.message;
      }
      const delayMs = backoff.next();
      if (backoff.tries === TRIES_BEFORE_TELLING) {
        logger.warn(
          { groupId, reason: problem },
          "The group's coordinator cannot be found; trying again until it can.",
        );
      }
      await sleep(clock, delayMs, closed);
      closed.throwIfAborted();
    }
  }
}
