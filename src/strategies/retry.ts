import type { Clock } from "../clock.ts";
import { ConfigurationError, InvalidMessage, MessageRejected } from "../errors.ts";

/** What to do about a task that fails. */
export interface RetryOptions {
  /** How often a task is tried in all, the first time included. */
  readonly maxAttempts: number;
  /** How long to wait before the second try, in ms; twice as long before each further one. Default 100. */
  readonly backoffMs?: number | undefined;
  /** How long to wait at most, in ms. Default 10,000. */
  readonly maxBackoffMs?: number | undefined;
  /** Whether an error may go away by itself. Default: every error but InvalidMessage, which is never tried again. */
  readonly retryable?: ((error: unknown) => boolean) | undefined;
  /**
   * What becomes of a message whose task was tried in vain `maxAttempts` times: `"throw"` ends the processor with the
   * last error, `"invalid"` makes it an InvalidMessage, for the dead letter queue. Default `"throw"`. An error that is
   * not retryable is thrown at once.
   */
  readonly onExhausted?: "throw" | "invalid" | undefined;
}

const DEFAULT_BACKOFF_MS = 100;
const DEFAULT_MAX_BACKOFF_MS = 10_000;

/** Decides about tries, by {@link RetryOptions}. */
export class RetryPolicy {
  readonly maxAttempts: number;
  readonly #backoffMs: number;
  readonly #maxBackoffMs: number;
  readonly #retryable: ((error: unknown) => boolean) | undefined;
  readonly #onExhausted: "throw" | "invalid";

  /** @throws ConfigurationError naming the strategy, the option and what it may be. */
  constructor(strategy: string, options: RetryOptions) {
    const { maxAttempts, backoffMs = DEFAULT_BACKOFF_MS, onExhausted = "throw" } = options;
    const { maxBackoffMs = Math.max(DEFAULT_MAX_BACKOFF_MS, backoffMs) } = options;
    if (!(Number.isInteger(maxAttempts) && maxAttempts > 0) && maxAttempts !== Infinity) {
      throw new ConfigurationError(
        `${strategy}: retry.maxAttempts is ${maxAttempts}, but must be a whole number from 1 up (or Infinity).`,
      );
    }
    if (!(backoffMs >= 0 && backoffMs < Infinity)) {
      throw new ConfigurationError(
        `${strategy}: retry.backoffMs is ${backoffMs}, but must be a number of milliseconds from 0 up.`,
      );
    }
    if (!(maxBackoffMs >= backoffMs && maxBackoffMs < Infinity)) {
      throw new ConfigurationError(
        `${strategy}: retry.maxBackoffMs is ${maxBackoffMs}, but must be a number of milliseconds from backoffMs (${backoffMs}) up.`,
      );
    }
    if (onExhausted !== "throw" && onExhausted !== "invalid") {
      throw new ConfigurationError(
        `${strategy}: retry.onExhausted is ${JSON.stringify(onExhausted)}, but must be "throw" or "invalid".`,
      );
    }
    this.maxAttempts = maxAttempts;
    this.#backoffMs = backoffMs;
    this.#maxBackoffMs = maxBackoffMs;
    this.#retryable = options.retryable;
    this.#onExhausted = onExhausted;
  }

  /** Whether the error of one try may go away with another. What `retryable` throws comes out of here. */
  isRetryable(error: unknown): boolean {
    if (InvalidMessage.is(error) || MessageRejected.is(error)) return false;
    return this.#retryable?.(error) ?? true;
  }

  /** Whether a message is invalid when its tries are used up. */
  get invalidates(): boolean {
    return this.#onExhausted === "invalid";
  }

  /**
   * How long to wait after so many tries, in ms: exponential, and then a random part of the upper half of that, so that
   * tasks that failed together do not come back together.
   */
  delayMs(attempts: number): number {
    const fullMs = Math.min(this.#maxBackoffMs, this.#backoffMs * 2 ** (attempts - 1));
    return fullMs * (0.5 + Math.random() / 2);
  }
}

/** Resolves after a time, or as soon as the signal aborts. */
export function backOff(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const onAbort = (): void => {
      timer.cancel();
      resolve();
    };
    const timer = clock.setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}
