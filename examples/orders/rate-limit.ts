/** Lets so many things a second pass, evenly. */
export class RateLimit {
  readonly #perMs: number;
  readonly #most: number;
  #allowance = 1;
  #lastMs: number = performance.now();

  constructor(perSecond: number) {
    this.#perMs = perSecond / 1_000;
    // What may have been saved up while nobody asked: a tenth of a second's worth.
    this.#most = Math.max(1, perSecond / 10);
  }

  /** Whether one more may pass now. */
  take(): boolean {
    if (this.#allowance < 1) {
      const now = performance.now();
      this.#allowance = Math.min(this.#most, this.#allowance + (now - this.#lastMs) * this.#perMs);
      this.#lastMs = now;
      if (this.#allowance < 1) return false;
    }
    this.#allowance -= 1;
    return true;
  }
}
