import type { Clock } from "../../clock.ts";

/** Something that happens once, and can be waited for before and after. */
export class Latch<T = void> {
  readonly promise: Promise<T>;
  #resolve: (value: T) => void;
  #value: { readonly value: T } | undefined;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<T>();
    this.promise = promise;
    this.#resolve = resolve;
  }

  get isSet(): boolean {
    return this.#value !== undefined;
  }

  /** What it was set to; undefined while it is not set. */
  get value(): T | undefined {
    return this.#value?.value;
  }

  /** The first value counts. */
  set(value: T): void {
    if (this.#value !== undefined) return;
    this.#value = { value };
    this.#resolve(value);
  }
}

/** Resolves when the time is up or the signal aborts, whichever comes first; never rejects. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => {
    timer.cancel();
    signal.removeEventListener("abort", done);
    resolve();
  };
  const timer = clock.setTimeout(done, delayMs);
  signal.addEventListener("abort", done);
  return promise;
}
