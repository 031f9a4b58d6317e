import { clearInterval, setInterval } from "node:timers";
import type { Clock } from "../clock.ts";

/** Lets the event loop do what has come up: sockets, timers, other promises. */
export function turnOfEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * What a promise resolves to, or undefined if the signal aborts before; what becomes of the promise after that is of no
 * interest any more.
 */
export function unlessAborted<R>(promise: Promise<R>, signal: AbortSignal): Promise<R | undefined> {
  if (signal.aborted) {
    promise.catch(() => {});
    return Promise.resolve(undefined);
  }
  return new Promise((resolve, reject) => {
    const give = (): void => resolve(undefined);
    signal.addEventListener("abort", give, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", give));
  });
}

/** Like {@link unlessAborted}, with a time in milliseconds. Says whether the promise has settled in time. */
export async function within(promise: Promise<unknown>, timeoutMs: number, clock: Clock): Promise<boolean> {
  const { promise: timeout, resolve } = Promise.withResolvers<boolean>();
  const timer = clock.setTimeout(() => resolve(false), timeoutMs);
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    timer.cancel();
  }
}

/** What a promise comes to, as a value: a promise of it never rejects. */
export type Outcome = { readonly failed: false } | { readonly failed: true; readonly error: unknown };

export function outcomeOf(promise: Promise<unknown>): Promise<Outcome> {
  return promise.then(
    () => ({ failed: false }),
    (error: unknown) => ({ failed: true, error }),
  );
}

/** Keeps the process alive until it is disposed of: clocks and sockets do not. */
export function keepAlive(): Disposable {
  const handle = setInterval(() => {}, 2 ** 30);
  return { [Symbol.dispose]: () => clearInterval(handle) };
}
