/** Lets one poll sleep until something happens. What happens while nobody waits is seen before the next wait. */
export class Waiter {
  #wake: (() => void) | undefined;

  wake(): void {
    this.#wake?.();
  }

  /** Resolves on `wake`, when the time is up, or when the signal aborts. */
  wait(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      this.#wake = undefined;
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    signal?.addEventListener("abort", done);
    this.#wake = done;
    return promise;
  }
}
