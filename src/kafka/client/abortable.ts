/** What an awaited thing rejects with when its signal aborts. */
export class AbortedError extends Error {
  constructor() {
    super("Aborted.");
    this.name = "AbortedError";
  }
}

/**
 * The promise's outcome, or a rejection with {@link AbortedError} as soon as the signal aborts. What the promise comes to
 * afterwards is ignored.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      signal.removeEventListener("abort", onAbort);
      reject(new AbortedError());
    };
    promise.then(
      (value) => {
        signal.removeEventListener("abort", onAbort);
        resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener("abort", onAbort);
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort);
  });
}

/**
 * Resolves when the signal aborts. Once `until` aborts, nobody waits any more: a signal that lives long keeps nothing of
 * whoever waited.
 */
export function whenAborted(signal: AbortSignal, until?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true, ...(until && { signal: until }) });
  });
}
