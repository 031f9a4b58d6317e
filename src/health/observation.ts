/** A value that is looked at now and then, and since when it has been what it is. */
export class Observed<T> {
  #value: T;
  #sinceMs: number;

  constructor(value: T, nowMs: number) {
    this.#value = value;
    this.#sinceMs = nowMs;
  }

  /** Returns whether it is another one than before. */
  see(value: T, nowMs: number): boolean {
    if (value === this.#value) return false;
    this.#value = value;
    this.#sinceMs = nowMs;
    return true;
  }

  get value(): T {
    return this.#value;
  }

  /** When it was first seen to be what it is, on the monotonic clock. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  forMs(nowMs: number): number {
    return nowMs - this.#sinceMs;
  }
}
