import { MessageChannel, type MessagePort } from "node:worker_threads";
import { deadlineAfter, systemClock, type Clock, type ClockTimer } from "../clock.ts";
import type { Logger } from "../logger.ts";
import { abortable, AbortedError } from "./client/abortable.ts";
import { Backoff } from "./client/backoff.ts";
import type { BearerToken, TokenCommand, TokenEvent } from "./client/tokens.ts";
import type { OAuthBearerTokenRefresh } from "./oauthbearer.ts";

/** Of a token's time, after which the next is got. */
const REFRESH_SHARE = 0.8;
/** How long the callback may take. */
const MAX_CALL_MS = 30_000;
const RETRY = { initialMs: 1_000, maxMs: 10_000 } as const;
/** A timer that is set for longer goes off at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface TokenRefresherOptions {
  readonly refresh: OAuthBearerTokenRefresh;
  /** What `refresh` is called with. */
  readonly argument: string | undefined;
  readonly port: MessagePort;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Default: from a second up to ten. */
  readonly backoff?: Backoff | undefined;
}

/** Gets tokens ahead of time, on the main thread, and sends each to the I/O thread. */
export class TokenRefresher {
  readonly #options: TokenRefresherOptions;
  readonly #backoff: Backoff;
  #timer: ClockTimer | undefined;
  #isGetting = false;
  #isClosed = false;
  #expiresAtMs = 0;

  constructor(options: TokenRefresherOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff(RETRY);
    const { port } = options;
    port.on("message", ({ type }: TokenCommand) => {
      if (type === "refused") this.#refused();
    });
    // A client that is alive has a port of its own that keeps the process.
    port.unref();
    void this.#get();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#options.port.close();
  }

  /** The next is got soon, but not at once: the broker may refuse that one too. */
  #refused(): void {
    if (this.#isGetting || this.#isClosed || this.#backoff.tries > 0) return;
    this.#schedule(this.#backoff.next());
  }

  async #get(): Promise<void> {
    this.#isGetting = true;
    const { clock, logger } = this.#options;
    let delayMs: number;
    try {
      const token = await this.#call();
      if (this.#isClosed) return;
      this.#expiresAtMs = token.expiresAtMs;
      this.#backoff.reset();
      this.#send({ type: "token", ...token });
      delayMs = (token.expiresAtMs - clock.nowMs()) * REFRESH_SHARE;
    } catch (error) {
      if (this.#isClosed) return;
      const problem = error instanceof Error ? error.message : String(error);
      this.#send({ type: "failed", problem });
      delayMs = this.#backoff.next();
      if (this.#expiresAtMs > clock.nowMs()) {
        const expiresInMs = Math.round(this.#expiresAtMs - clock.nowMs());
        logger.warn(
          { err: error, expiresInMs },
          '"oauthbearer_token_refresh_cb" has failed; it is called again before the token expires.',
        );
      } else {
        logger.error(
          { err: error },
          '"oauthbearer_token_refresh_cb" has failed, and there is no valid token; it is called again.',
        );
      }
    } finally {
      this.#isGetting = false;
    }
    this.#schedule(delayMs);
  }

  async #call(): Promise<BearerToken> {
    const { refresh, argument, clock } = this.#options;
    using deadline = deadlineAfter(clock, MAX_CALL_MS);
    // Also what it throws at once comes as a rejection.
    const call = Promise.resolve(argument).then(refresh);
    try {
      return checked(await abortable(call, deadline), clock.nowMs());
    } catch (error) {
      if (!(error instanceof AbortedError)) throw error;
      throw new Error(`it has not settled within ${MAX_CALL_MS} ms.`, { cause: error });
    }
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimeout(
      () => void this.#get(),
      Math.min(LONGEST_TIMER_MS, Math.max(1, delayMs)),
    );
  }

  #send(event: TokenEvent): void {
    this.#options.port.postMessage(event);
  }
}

/** What the callback gave, if it is a token that can be sent. Messages never show it. */
function checked(given: unknown, nowMs: number): BearerToken {
  if (typeof given !== "object" || given === null) {
    throw new Error("it gave no token: it must give { tokenValue, lifetime }.");
  }
  const { tokenValue, lifetime, extensions = {} } = given as Record<string, unknown>;
  // RFC 6750: what may follow "Bearer".
  if (typeof tokenValue !== "string" || !/^[A-Za-z0-9\-._~+/]+=*$/.test(tokenValue)) {
    throw new Error(
      'it gave a "tokenValue" that is no token: a string of letters, digits and -._~+/ is needed.',
    );
  }
  if (typeof lifetime !== "number" || !Number.isFinite(lifetime)) {
    throw new Error(
      'it gave no "lifetime": the time at which the token expires, in milliseconds since the epoch.',
    );
  }
  if (lifetime <= nowMs) {
    throw new Error(
      `it gave a token that expired at ${lifetime}, and it is ${nowMs} now ("lifetime" is in milliseconds since the epoch).`,
    );
  }
  if (typeof extensions !== "object" || extensions === null) {
    throw new Error('it gave "extensions" that are no object of strings.');
  }
  for (const [name, value] of Object.entries(extensions)) {
    // RFC 7628; "auth" is where the token itself goes.
    if (!/^[A-Za-z]+$/.test(name) || name === "auth") {
      throw new Error(
        `it gave an extension whose name is not of letters, or "auth": ${JSON.stringify(name)}.`,
      );
    }
    if (typeof value !== "string" || !/^[\x20-\x7e\t\r\n]*$/.test(value)) {
      throw new Error(`it gave an extension "${name}" that is no string of printable characters.`);
    }
  }
  return { tokenValue, expiresAtMs: lifetime, extensions: { ...(extensions as Record<string, string>) } };
}

/** A client's settings as they can cross to the I/O thread, and the way on which its tokens will come there. */
export interface CrossingConfig<Config> {
  readonly config: Config;
  /** undefined where no tokens are needed. */
  readonly tokens: MessagePort | undefined;
  close(): void;
}

/** Keeps the callback here, and begins to get tokens if there is one. */
export function crossing<
  Config extends {
    readonly oauthbearer_token_refresh_cb: OAuthBearerTokenRefresh | undefined;
    readonly "sasl.oauthbearer.config": string | undefined;
  },
>(config: Config, logger: Logger): CrossingConfig<Config> {
  const refresh = config.oauthbearer_token_refresh_cb;
  if (refresh === undefined) return { config, tokens: undefined, close: () => {} };
  const { port1, port2 } = new MessageChannel();
  const argument = config["sasl.oauthbearer.config"];
  const refresher = new TokenRefresher({ refresh, argument, port: port1, logger, clock: systemClock });
  return {
    config: { ...config, oauthbearer_token_refresh_cb: undefined },
    tokens: port2,
    close: () => refresher.close(),
  };
}
