/** From the start to the first look: a group is joined, and code is compiled. */
export const WARM_UP_MS = 4_000;
const MESSAGES_PER_MS = 1;

/** A handler that takes a message each millisecond, and does nothing with it. */
export class Paced {
  taken = 0;
  readonly #startedMs = performance.now();

  /** Whether it is time for one. */
  take(): boolean {
    if (this.taken >= (performance.now() - this.#startedMs) * MESSAGES_PER_MS) return false;
    this.taken++;
    return true;
  }
}
