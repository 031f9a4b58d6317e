import type { Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";

/** After this long without success somebody should hear of it. */
const WARN_AFTER_MS = 30_000;

/** Says once, in the log, that a group does not let a member in; and once that it did after all. */
export class SlowJoin {
  readonly #groupId: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #sinceMs: number | undefined;
  #warned = false;

  constructor(groupId: string, clock: Clock, logger: Logger) {
    this.#groupId = groupId;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** A try has failed, for this reason. */
  failed(reason: string): void {
    const nowMs = this.#clock.monotonicMs();
    this.#sinceMs ??= nowMs;
    if (this.#warned || nowMs - this.#sinceMs < WARN_AFTER_MS) return;
    this.#warned = true;
    this.#logger.warn(
      { groupId: this.#groupId, reason, lastedMs: nowMs - this.#sinceMs },
      "The group has not let this member in for a while; it is tried again until it works.",
    );
  }

  /** It has worked. */
  joined(): void {
    if (this.#warned && this.#sinceMs !== undefined) {
      this.#logger.info(
        { groupId: this.#groupId, lastedMs: this.#clock.monotonicMs() - this.#sinceMs },
        "The group has let this member in after all.",
      );
    }
    this.#sinceMs = undefined;
    this.#warned = false;
  }
}
