import type { Clock } from "../clock.ts";

/** How much of a second may come at once, after a time in which less came than was allowed. */
const BURST_SECONDS = 0.1;
/** What adding up fractions may lack of a whole one. */
const ROUNDING = 1e-9;

/** Lets through so many a second, evenly: never more than a tenth of a second's worth (but at least one) at once. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #clock: Clock;
  readonly #burst: number;
  #allowed = 1;
  #countedAtMs: number;

  /** @param perSecond more than 0, also less than one; Infinity for no limit. */
  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#burst = Math.max(1, perSecond * BURST_SECONDS);
    this.#countedAtMs = clock.monotonicMs();
  }

  /** How many may go now. */
  get available(): number {
    if (this.#perSecond === Infinity) return Infinity;
    const nowMs = this.#clock.monotonicMs();
    const earned = ((nowMs - this.#countedAtMs) / 1_000) * this.#perSecond;
    this.#countedAtMs = nowMs;
    this.#allowed = Math.min(this.#burst, this.#allowed + earned);
    return Math.floor(this.#allowed + ROUNDING);
  }

  /** One goes. */
  take(): void {
    if (this.#perSecond !== Infinity) this.#allowed -= 1;
  }

  /** After how many ms the next one may go; 0 for now. */
  get waitMs(): number {
    if (this.available >= 1) return 0;
    return Math.ceil(((1 - this.#allowed) / this.#perSecond) * 1_000);
  }
}
