import type { MessagePort } from "node:worker_threads";
import type { Clock } from "../../clock.ts";
import { AuthenticationError } from "./transport-error.ts";

/** A token as it crosses from the main thread, where it was got. */
export interface BearerToken {
  readonly tokenValue: string;
  /** In milliseconds since the epoch. */
  readonly expiresAtMs: number;
  readonly extensions: Readonly<Record<string, string>>;
}

export type TokenEvent =
  | ({ readonly type: "token" } & BearerToken)
  /** No token could be got; it is tried again. */
  | { readonly type: "failed"; readonly problem: string };

/** A broker has refused a token: another may do, before this one's time is over. */
export type TokenCommand = { readonly type: "refused" };

/** The I/O thread's end of the way that tokens come: keeps the newest, for every connection of the client. */
export class Tokens {
  readonly #port: MessagePort;
  readonly #clock: Clock;
  #newest: BearerToken | undefined;
  /** Why the last try to get one failed, as long as no other has brought one. */
  #problem: string | undefined;
  readonly #waiting = new Set<(token: BearerToken) => void>();

  constructor(port: MessagePort, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
    port.on("message", (event: TokenEvent) => this.#receive(event));
    // The client's own port keeps the thread; this one is closed by the other side.
    port.unref();
  }

  /**
   * A token that has not expired; waits for one when there is none.
   *
   * @throws AuthenticationError when none has come within `timeoutMs`.
   */
  get(timeoutMs: number): Promise<BearerToken> {
    const newest = this.#newest;
    if (newest !== undefined && newest.expiresAtMs > this.#clock.nowMs()) return Promise.resolve(newest);
    return new Promise((resolve, reject) => {
      const take = (token: BearerToken): void => {
        timer.cancel();
        resolve(token);
      };
      const timer = this.#clock.setTimeout(() => {
        this.#waiting.delete(take);
        const why = this.#problem ?? "it has not answered, or the main thread has been blocked";
        reject(
          new AuthenticationError(
            `"oauthbearer_token_refresh_cb" has given no valid token within ${timeoutMs} ms: ${why}`,
          ),
        );
      }, timeoutMs);
      this.#waiting.add(take);
    });
  }

  /** A broker does not take the token. */
  refused(token: BearerToken): void {
    if (token === this.#newest) this.#port.postMessage({ type: "refused" } satisfies TokenCommand);
  }

  #receive(event: TokenEvent): void {
    if (event.type === "failed") {
      this.#problem = event.problem;
      return;
    }
    this.#problem = undefined;
    this.#newest = event;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const take of waiting) take(event);
  }
}
