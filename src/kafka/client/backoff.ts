/** How a {@link Backoff} grows. */
export interface BackoffOptions {
  /** The first delay. */
  readonly initialMs: number;
  /** No delay is longer, jitter included. */
  readonly maxMs: number;
  /** What the delay is multiplied with from one try to the next. Default 2. */
  readonly factor?: number | undefined;
  /** How far a delay may lie from the plain exponential one, as a share of it. Default 0.2 (KIP-580). */
  readonly jitter?: number | undefined;
  /** Uniform in [0, 1). Default `Math.random`; a test puts its own here. */
  readonly random?: (() => number) | undefined;
}

/**
 * Delays between tries that grow exponentially, with jitter, so that many clients that lost the same broker do not come
 * back in the same millisecond.
 */
export class Backoff {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #factor: number;
  readonly #jitter: number;
  readonly #random: () => number;
  #tries = 0;

  constructor(options: BackoffOptions) {
    // From 0 it would never grow.
    this.#initialMs = Math.max(1, options.initialMs);
    this.#maxMs = options.maxMs;
    this.#factor = options.factor ?? 2;
    this.#jitter = options.jitter ?? 0.2;
    this.#random = options.random ?? Math.random;
  }

  /** How many delays were given out since the last reset. */
  get tries(): number {
    return this.#tries;
  }

  /** The next delay, in milliseconds. */
  next(): number {
    const plain = Math.min(this.#maxMs, this.#initialMs * this.#factor ** this.#tries);
    this.#tries += 1;
    const spread = 1 - this.#jitter + 2 * this.#jitter * this.#random();
    return Math.min(this.#maxMs, Math.round(plain * spread));
  }

  /** Begins anew with the first delay: something has worked. */
  reset(): void {
    this.#tries = 0;
  }
}
