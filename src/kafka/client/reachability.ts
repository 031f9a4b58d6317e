import { ArroyoError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { AuthenticationError } from "./transport-error.ts";

/** What cannot be reached, for the log. */
export interface ReachedFields {
  readonly brokerId?: number;
  readonly bootstrapServers?: string;
}

/** Says that something cannot be reached, and that it can again: when that changes, not at each try. */
export class Reachability {
  readonly #logger: Logger;
  readonly #what: string;
  readonly #fields: ReachedFields;
  /** What kind of failure was told last; undefined while all is well. */
  #trouble: string | undefined;

  /** `what` is the subject of the sentences: "Broker 2 (host:9092)". */
  constructor(logger: Logger, what: string, fields: ReachedFields) {
    this.#logger = logger;
    this.#what = what;
    this.#fields = fields;
  }

  failed(error: unknown): void {
    const trouble = error instanceof ArroyoError ? error.code : "unknown";
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    const { brokerId, bootstrapServers } = this.#fields;
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof AuthenticationError) {
      this.#logger.error(
        { brokerId, bootstrapServers, reason },
        `${this.#what} refuses the credentials; trying again until it takes them.`,
      );
    } else {
      this.#logger.warn(
        { brokerId, bootstrapServers, reason },
        `${this.#what} cannot be reached; trying again until it can.`,
      );
    }
  }

  succeeded(): void {
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    const { brokerId, bootstrapServers } = this.#fields;
    this.#logger.info({ brokerId, bootstrapServers }, `${this.#what} can be reached again.`);
  }
}
