import { InvalidStateError } from "../errors.ts";

/**
 * The result of a function that must not be async: a promise is no payload, and going on before it has resolved would
 * commit a message before the work for it is done.
 */
export type Sync<U> = U extends PromiseLike<unknown> ? "async: use RunTaskConcurrently" : U;

/**
 * Refuses a promise (or anything else with a `then`) where the result of a synchronous function is expected.
 *
 * @throws InvalidStateError naming the strategy.
 */
export function assertSync(strategy: string, result: unknown): void {
  if (typeof result !== "object" || result === null) return;
  if (typeof (result as { then?: unknown }).then !== "function") return;
  // It is refused, whatever becomes of it: its rejection must not surface a second time.
  Promise.resolve(result).catch(() => {});
  throw new InvalidStateError(
    `The function of ${strategy} returned a promise. The message would go on, and be committed, before the work is ` +
      "done: use RunTaskConcurrently (or mapConcurrently) for async functions.",
  );
}
