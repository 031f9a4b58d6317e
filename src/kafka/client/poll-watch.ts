import type { Clock, ClockTimer } from "../../clock.ts";

const MIN_SAMPLE_MS = 20;
const MAX_SAMPLE_MS = 1_000;
const SAMPLES_PER_LIMIT = 20;

/**
 * Sees from the I/O thread whether the main thread still polls: it counts its polls in shared memory, and here the count
 * is looked at every so often. No clock is shared, so none can disagree.
 *
 * A silence is noticed at most a twentieth of the limit (and never more than a second) late.
 */
export class PollWatch {
  readonly #polls: Int32Array;
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #sampleMs: number;
  readonly #expired: () => void;
  #seen: number;
  #seenAtMs: number;
  #timer: ClockTimer | undefined;

  constructor(polls: SharedArrayBuffer, limitMs: number, clock: Clock, expired: () => void) {
    this.#polls = new Int32Array(polls);
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#sampleMs = Math.min(MAX_SAMPLE_MS, Math.max(MIN_SAMPLE_MS, limitMs / SAMPLES_PER_LIMIT));
    this.#expired = expired;
    this.#seen = this.#count();
    this.#seenAtMs = clock.monotonicMs();
  }

  /** Watches from now on; calls back once when the main thread has not polled for the limit. */
  start(): void {
    this.stop();
    this.#seen = this.#count();
    this.#seenAtMs = this.#clock.monotonicMs();
    this.#timer = this.#clock.setTimeout(() => this.#sample(), this.#sampleMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** How long the main thread has not polled, as far as was noticed. */
  get silentMs(): number {
    return this.#count() === this.#seen ? this.#clock.monotonicMs() - this.#seenAtMs : 0;
  }

  #count(): number {
    return Atomics.load(this.#polls, 0);
  }

  #sample(): void {
    const count = this.#count();
    const now = this.#clock.monotonicMs();
    if (count !== this.#seen) {
      this.#seen = count;
      this.#seenAtMs = now;
    } else if (now - this.#seenAtMs >= this.#limitMs) {
      this.#timer = undefined;
      this.#expired();
      return;
    }
    this.#timer = this.#clock.setTimeout(() => this.#sample(), this.#sampleMs);
  }
}
