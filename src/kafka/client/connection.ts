import { isIP, type Socket } from "node:net";
import type { Connection } from "@platformatic/kafka";
import type { Clock, ClockTimer } from "../../clock.ts";
import { ArroyoError } from "../../errors.ts";
import type { Api, ApiVersion } from "./api.ts";
import { describeError } from "./describe-error.ts";
import { FrameGuard, guessPeer } from "./frame-guard.ts";
import { GuardedConnection } from "./guarded-reader.ts";
import { NegotiatedVersions } from "./negotiated-versions.ts";
import type { ConnectionObserver } from "./statistics-brokers.ts";
import { keysOf, refusal, saslOptions, type ConnectionCredentials } from "./sasl.ts";
import type { SaslCredentials, Security } from "./security.ts";
import { Throttle } from "./throttle.ts";
import type { BearerToken } from "./tokens.ts";
import { AuthenticationError, ResponseTooLargeError, TransportError } from "./transport-error.ts";

/** Where a broker is. A bootstrap server, whose id is not known yet, has node id -1. */
export interface BrokerAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly clientId: string;
  readonly security: Security;
  /** For all of it: the connection, TLS, authentication, and the broker's versions. */
  readonly connectTimeoutMs: number;
  /** An answer that claims to be larger ends the connection. */
  readonly maxResponseBytes: number;
  /** Told once, when the connection has come to its end. */
  readonly onEnd?: ((connection: BrokerConnection) => void) | undefined;
  /** Counts what happens on it. */
  readonly observer?: ConnectionObserver | undefined;
}

/** A request without an answer yet. */
interface Pending {
  fail(error: Error): void;
}

/** The library's own limits, out of the way: timeouts are per request here, and whoever asks bounds what is in flight. */
const UNLIMITED = 2 ** 31 - 1;
/**
 * Of a SASL session, after which no new request is sent: a broker ends the connection at one that comes later. Up to the
 * second, at random: connections that were made together are not all made anew together.
 */
const USABLE_SHARE_OF_SESSION = [0.85, 0.9] as const;
/** A timer that is set for longer goes off at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const KEEP_ALIVE_MS = 60_000;

/**
 * One connection to one broker, for one purpose: a broker answers the requests of a connection one after another, so what
 * must not wait for each other has connections of its own. Requests are sent at once, also while others are without an
 * answer.
 *
 * It is used once: after {@link open} it lasts until it is lost, closed, or given up because an answer did not come.
 */
export class BrokerConnection {
  readonly address: BrokerAddress;
  readonly #options: ConnectionOptions;
  readonly #connection: Connection;
  readonly #versions: NegotiatedVersions;
  readonly #pending = new Set<Pending>();
  /** Rejects when the connection has come to its end. */
  readonly #ended: PromiseWithResolvers<never>;
  #state: "connecting" | "negotiating" | "open" | "retired" | "ended" = "connecting";
  /** Why no more requests are taken. */
  #reason: Error | undefined;
  #sessionTimer: ClockTimer | undefined;
  #token: BearerToken | undefined;
  readonly #throttle: Throttle;

  constructor(address: BrokerAddress, options: ConnectionOptions) {
    this.address = address;
    this.#options = options;
    this.#throttle = new Throttle(options.clock);
    this.#versions = new NegotiatedVersions(this.toString());
    this.#ended = Promise.withResolvers<never>();
    this.#ended.promise.catch(() => {});
    const { tls, sasl } = options.security;
    this.#connection = new GuardedConnection(options.clientId, {
      // Ours comes first, and a lost connection ends the library's wait.
      connectTimeout: options.connectTimeoutMs + 1_000,
      requestTimeout: UNLIMITED,
      maxInflights: UNLIMITED,
      ...(tls === undefined
        ? {}
        : { tls: isIP(address.host) === 0 ? { ...tls, servername: address.host } : tls }),
      ...(sasl === undefined
        ? {}
        : { sasl: saslOptions(this.#credentials(sasl), (lifetimeMs) => this.#limitSession(lifetimeMs)) }),
    });
    // For good: an error that nobody listens to would end the process.
    this.#connection.on("error", (error) => this.#interrupted(error));
    this.#connection.on("close", () => this.#interrupted(undefined));
  }

  /** Whether it takes requests. */
  get alive(): boolean {
    return this.#state === "open";
  }

  /** How many requests are without an answer. */
  get inFlight(): number {
    return this.#pending.size;
  }

  toString(): string {
    const { nodeId, host, port } = this.address;
    return nodeId < 0 ? `bootstrap server ${host}:${port}` : `broker ${nodeId} (${host}:${port})`;
  }

  /**
   * Connects, authenticates, and asks for the broker's versions.
   *
   * @throws TransportError when that failed or took too long, AuthenticationError when the broker refused the
   * credentials, UnsupportedBrokerError when it is too old, or what {@link close} was called with meanwhile.
   */
  async open(): Promise<void> {
    const { clock, connectTimeoutMs } = this.#options;
    await this.#getToken();
    const timer = clock.setTimeout(() => {
      this.#options.observer?.failed();
      this.#end(
        new TransportError(`${this} did not answer within ${connectTimeoutMs} ms.`, { timedOut: true }),
      );
    }, connectTimeoutMs);
    try {
      await this.#connect();
      await this.#versions.ask((api, row, request) => this.#send(api, row, request, connectTimeoutMs));
      if (this.#state === "negotiating") {
        this.#state = "open";
        this.#options.observer?.opened();
      }
    } catch (error) {
      if (this.#reason === undefined) this.#options.observer?.failed();
      this.#end(error as Error);
    } finally {
      timer.cancel();
    }
    this.#throwIfEnded();
  }

  #credentials(sasl: SaslCredentials): ConnectionCredentials {
    return sasl.mechanism === "OAUTHBEARER"
      ? { mechanism: sasl.mechanism, token: () => this.#token as BearerToken }
      : sasl;
  }

  /** Before connecting: a broker lets no connection wait that has not authenticated. */
  async #getToken(): Promise<void> {
    const { sasl } = this.#options.security;
    if (sasl?.mechanism !== "OAUTHBEARER") return;
    try {
      this.#token = await Promise.race([
        sasl.tokens.get(this.#options.connectTimeoutMs),
        this.#ended.promise,
      ]);
    } catch (error) {
      this.#end(error as Error);
      throw error;
    }
  }

  #throwIfEnded(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  async #connect(): Promise<void> {
    this.#throwIfEnded();
    const { host, port } = this.address;
    try {
      const connected = this.#connection.connect(host, port) as Promise<void>;
      connected.catch(() => {});
      this.#guard(this.#connection.socket);
      await Promise.race([connected, this.#ended.promise]);
      if (this.#state === "connecting") this.#state = "negotiating";
    } catch (error) {
      this.#throwIfEnded();
      const refused = refusal(error);
      if (refused !== undefined) throw this.#refused(refused, error);
      throw new TransportError(`${this} cannot be connected to: ${describeError(error)}`, { cause: error });
    }
  }

  #refused(why: string, cause: unknown): Error {
    const { sasl } = this.#options.security;
    if (sasl === undefined) return new TransportError(`${this} cannot be connected to: ${why}`, { cause });
    if (sasl.mechanism === "OAUTHBEARER") {
      const token = this.#token as BearerToken;
      sasl.tokens.refused(token);
      if (token.expiresAtMs <= this.#options.clock.nowMs()) {
        return new TransportError(`${this} cannot be connected to: the token has expired meanwhile.`, {
          cause,
        });
      }
    }
    const { mechanism } = sasl;
    return new AuthenticationError(
      `${this} refused to authenticate this client with ${mechanism}: ${why.replace(/\.$/, "")}. ` +
        `Check "sasl.mechanism" and ${keysOf(mechanism)}.`,
      { cause },
    );
  }

  /** Puts itself between the socket and the library, which trusts every length, and throws at what it cannot read. */
  #guard(socket: Socket): void {
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const frames = new FrameGuard(this.#options.maxResponseBytes);
    // The library listens from this event on, and its listener for the event comes before this one.
    socket.once(this.#options.security.tls === undefined ? "connect" : "secureConnect", () => {
      const listeners = socket.listeners("data") as ((chunk: Buffer) => void)[];
      socket.removeAllListeners("data");
      socket.on("data", (chunk: Buffer) => {
        if (this.#state === "ended") return;
        const badLength = frames.findBadLength(chunk);
        if (badLength !== undefined) {
          this.#options.observer?.failed();
          const hint = this.#state === "open" ? "" : guessPeer(chunk);
          const isTooLarge = this.#state === "open" && badLength > this.#options.maxResponseBytes;
          this.#end(
            new (isTooLarge ? ResponseTooLargeError : TransportError)(
              `${this} sent ${badLength} as the length of an answer, which is less than there must be or more than ` +
                `"receive.message.max.bytes" (${this.#options.maxResponseBytes})${hint}.`,
            ),
          );
          return;
        }
        try {
          for (const listener of listeners) listener.call(socket, chunk);
        } catch (error) {
          this.#lost(error);
        }
      });
    });
  }

  /** The version of an RPC that is spoken on this connection. */
  version(api: Api<never, unknown>): number {
    return this.#versions.choose(api).version;
  }

  /**
   * Sends a request and resolves to its answer, whatever error codes are in it.
   *
   * @throws TransportError when there is no answer, UnsupportedBrokerError when the broker does not know the RPC, or what
   * {@link close} was called with. When the time runs out, only this request fails; but no more are sent on this
   * connection (they would have to wait behind it), and it is closed when the others have their answers. A broker that has
   * asked for a pause (`throttle_time_ms`, KIP-219) gets no request until it is over, and the time counts from then.
   */
  async request<Request extends unknown[], Response>(
    api: Api<Request, Response>,
    request: Request,
    options: { readonly timeoutMs: number },
  ): Promise<Response> {
    // It may have been made longer meanwhile. All wait for the same promise, so they go on in their order.
    while (this.#throttle.pause !== undefined) await this.#throttle.pause;
    if (this.#state !== "open") throw this.#reason ?? new TransportError(`${this} is not connected.`);
    return await this.#send(api, this.#versions.choose(api), request, options.timeoutMs);
  }

  #send<Request extends unknown[], Response>(
    api: Api<Request, Response>,
    row: ApiVersion<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const sentAtMs = this.#options.clock.monotonicMs();
      let outcome: { readonly error: Error } | { readonly response: Response } | undefined;
      const settle = (): boolean => {
        timer.cancel();
        return this.#pending.delete(pending);
      };
      const pending: Pending = {
        fail: (error) => {
          if (!settle()) return;
          reject(error);
          this.#closeIfDrained();
        },
      };
      const timer = this.#options.clock.setTimeout(() => {
        const what = `did not answer ${api.name} within ${timeoutMs} ms`;
        this.#options.observer?.failed();
        this.retire(`it ${what}`);
        pending.fail(new TransportError(`${this} ${what}.`, { timedOut: true }));
      }, timeoutMs);
      this.#pending.add(pending);

      this.#connection.send<Response | undefined>(
        api.key,
        row.version,
        () => {
          try {
            return row.createRequest(...request);
          } catch (error) {
            outcome = { error: error as Error };
            throw error;
          }
        },
        (_correlationId, _apiKey, version, reader) => {
          if (!this.#pending.has(pending)) return undefined;
          try {
            // All answers but two have it at their beginning.
            const first = row.throttleTime === "own field" ? undefined : reader.peekInt32();
            const response = row.parseResponse(reader, version);
            this.#throttle.begin(first ?? (response as { throttleTimeMs?: number }).throttleTimeMs ?? 0);
            outcome = { response };
            return response;
          } catch (error) {
            outcome = { error: this.#unreadable(api, error) };
            throw error;
          }
        },
        true,
        row.responseHeaderTags ?? true,
        (error) => {
          if (outcome !== undefined && "error" in outcome) return pending.fail(outcome.error);
          if (error !== null) return this.#lost(error);
          if (!settle()) return;
          if (outcome !== undefined) {
            this.#options.observer?.answered(api.key, this.#options.clock.monotonicMs() - sentAtMs);
          }
          // Without an answer to read, the request was one that is not answered.
          resolve(outcome === undefined ? (row.unanswered as Response) : outcome.response);
          this.#closeIfDrained();
        },
      );
    });
  }

  /** What a parser's failure means: an answer out of step with its request, unless the parser says itself what is wrong. */
  #unreadable(api: Api<never, unknown>, error: unknown): Error {
    if (error instanceof ArroyoError) return error;
    const what = `answered ${api.name} with what cannot be read: ${describeError(error)}`;
    this.#options.observer?.failed();
    this.retire(`it ${what}`);
    return new TransportError(`${this} ${what}.`, { cause: error });
  }

  /** Ends it: requests without an answer fail at once, with `reason` or a TransportError, and so does {@link open}. */
  close(reason: Error = new TransportError(`The connection to ${this} was closed.`)): void {
    this.#end(reason);
  }

  /** Takes no more requests, and closes once those that were sent have their answers. */
  retire(why: string): void {
    if (this.#state !== "open") return;
    this.#state = "retired";
    this.#reason = new TransportError(`The connection to ${this} is not used any more: ${why}.`);
    this.#closeIfDrained();
  }

  #closeIfDrained(): void {
    if (this.#state === "retired" && this.#pending.size === 0) this.#end(this.#reason as Error);
  }

  #limitSession(lifetimeMs: number): void {
    if (lifetimeMs <= 0) return;
    const [least, most] = USABLE_SHARE_OF_SESSION;
    this.#sessionTimer = this.#options.clock.setTimeout(
      () => this.retire("its authentication is about to expire"),
      Math.min(lifetimeMs * (least + (most - least) * Math.random()), LONGEST_TIMER_MS),
    );
  }

  /** What the library says of itself. While it is connecting, `connect` fails with the same, and knows more. */
  #interrupted(error: unknown): void {
    if (this.#state !== "connecting") this.#lost(error);
  }

  #lost(error: unknown): void {
    if (this.#state === "ended") return;
    if (error !== undefined || this.#pending.size > 0) this.#options.observer?.failed();
    const why = error === undefined ? "" : `: ${describeError(error)}`;
    this.#end(new TransportError(`The connection to ${this} was lost${why}.`, { cause: error }));
  }

  #end(reason: Error): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#reason = reason;
    this.#sessionTimer?.cancel();
    this.#throttle.end();
    this.#ended.reject(reason);
    for (const pending of [...this.#pending]) pending.fail(reason);
    // The library would wait for a connection that is still being made, and flush what nobody waits for any more.
    void this.#connection.close();
    const socket = this.#connection.socket as Socket | undefined;
    socket?.on("error", () => {});
    socket?.destroy();
    this.#options.onEnd?.(this);
  }
}
