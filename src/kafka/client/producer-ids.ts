import type { Clock, ClockTimer } from "../../clock.ts";
import { ArroyoError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedProducerConfig } from "../config.ts";
import { Backoff } from "./backoff.ts";
import type { BrokerConnection } from "./connection.ts";
import { ErrorCodes, errorName, isRetriable } from "./error-codes.ts";
import { InitProducerId, type InitProducerIdResponse } from "./produce-apis.ts";
import { refusedProducerId } from "./produce-errors.ts";
import { ClosedError, UnsupportedBrokerError } from "./transport-error.ts";

/** What the brokers know a producer by. Each partition raises the epoch for itself. */
export interface ProducerId {
  readonly producerId: bigint;
  readonly epoch: number;
}

export interface ProducerIdsOptions {
  readonly config: Pick<ResolvedProducerConfig, "retry.backoff.ms" | "retry.backoff.max.ms">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Any broker gives ids. */
  readonly connection: () => Promise<Pick<BrokerConnection, "request">>;
  readonly timeoutMs: number;
  /** There is an id. */
  readonly onId: () => void;
  /** There will never be one. */
  readonly onRefused: (error: Error) => void;
}

const NEW_ID = {
  transactionalId: null,
  transactionTimeoutMs: 60_000,
  producerId: -1n,
  producerEpoch: -1,
} as const;
/** After so many failures in a row somebody should know. */
const TRIES_BEFORE_TELLING = 5;

/** Gets an id for an idempotent producer from the brokers when one is needed, and another when that is of no more use. */
export class ProducerIds {
  readonly #options: ProducerIdsOptions;
  readonly #backoff: Backoff;
  #current: ProducerId | undefined;
  #isAsking = false;
  #timer: ClockTimer | undefined;
  #isClosed = false;
  #ready: PromiseWithResolvers<void> | undefined;
  /** Why there is none yet, as a sentence. */
  problem = "The brokers have not given this producer an id yet.";

  constructor(options: ProducerIdsOptions) {
    this.#options = options;
    const { config } = options;
    this.#backoff = new Backoff({
      initialMs: config["retry.backoff.ms"],
      maxMs: config["retry.backoff.max.ms"],
    });
  }

  /** The id; undefined, and asked for, when there is none yet. */
  get(): ProducerId | undefined {
    if (this.#current === undefined && !this.#isAsking && !this.#isClosed) {
      this.#isAsking = true;
      void this.#ask();
    }
    return this.#current;
  }

  /** Resolves when there is an id; rejects when there will never be one. */
  async ready(): Promise<void> {
    if (this.get() !== undefined) return;
    this.#ready ??= Promise.withResolvers();
    await this.#ready.promise;
  }

  /** An id that must not be used any more: the next one will be another. */
  discard(producerId: bigint): void {
    if (this.#current?.producerId === producerId) this.#current = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #ask(): Promise<void> {
    const { connection, timeoutMs, logger } = this.#options;
    let response: InitProducerIdResponse;
    try {
      response = await (await connection()).request(InitProducerId, [NEW_ID], { timeoutMs });
    } catch (error) {
      if (this.#isClosed || ClosedError.is(error)) return;
      if (error instanceof UnsupportedBrokerError) {
        this.#refused(error);
        return;
      }
      // A broker that is away, or whose credentials are still on their way there. Others are faults.
      if (!(error instanceof ArroyoError)) {
        logger.error({ err: error }, "An InitProducerId request has failed.");
      }
      this.#askLater(error instanceof Error ? error.message : String(error));
      return;
    }
    if (this.#isClosed) return;
    const { errorCode, producerId, producerEpoch } = response;
    if (errorCode === ErrorCodes.NONE) {
      this.#isAsking = false;
      this.#backoff.reset();
      this.#current = { producerId, epoch: producerEpoch };
      this.#ready?.resolve();
      this.#ready = undefined;
      this.#options.onId();
    } else if (isRetriable(errorCode)) {
      this.#askLater(`The broker answered ${errorName(errorCode)}.`);
    } else {
      this.#refused(refusedProducerId(errorCode));
    }
  }

  #refused(error: Error): void {
    this.#ready?.reject(error);
    this.#ready = undefined;
    this.#options.onRefused(error);
  }

  #askLater(problem: string): void {
    this.problem = `The brokers have not given this producer an id yet: ${problem}`;
    const delayMs = this.#backoff.next();
    if (this.#backoff.tries === TRIES_BEFORE_TELLING) {
      this.#options.logger.warn(
        { reason: problem },
        "The producer gets no id from the brokers; trying again.",
      );
    }
    this.#timer = this.#options.clock.setTimeout(() => void this.#ask(), delayMs);
  }
}
