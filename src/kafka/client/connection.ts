import type { Clock, ClockTimer } from "../../clock.ts";
import type { Api, ApiVersion } from "./api.ts";
import { BrokerSocket } from "./broker-socket.ts";
import { describeError } from "./describe-error.ts";
import { BadLengthError, guessPeer } from "./frame-reader.ts";
import { NegotiatedVersions } from "./negotiated-versions.ts";
import { requestFrame } from "./request-frame.ts";
import { NumberTooLargeError, ResponseCursor } from "./response-cursor.ts";
import { authenticate, keysOf } from "./sasl.ts";
import { SaslRefusal } from "./sasl-refusal.ts";
import type { Security } from "./security.ts";
import type { ConnectionObserver } from "./statistics-brokers.ts";
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

/**
 * Of a SASL session, after which no new request is sent: a broker ends the connection at one that comes later. Up to the
 * second, at random: connections that were made together are not all made anew together.
 */
const USABLE_SHARE_OF_SESSION = [0.85, 0.9] as const;
/** A timer that is set for longer goes off at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const CORRELATION_ID_BYTES = 4;
const THROTTLE_TIME_BYTES = 4;
const MAX_CORRELATION_ID = 2 ** 31 - 1;

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
  #socket: BrokerSocket | undefined;
  /** Who takes the answer to each request that has been sent. */
  readonly #answers = new Map<number, (frame: Buffer) => void>();
  #correlationId = 0;
  readonly #versions: NegotiatedVersions;
  readonly #pending = new Set<Pending>();
  /** Rejects when the connection has come to its end. */
  readonly #ended: PromiseWithResolvers<never>;
  #state: "opening" | "open" | "retired" | "ended" = "opening";
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
      await this.#authenticate();
      await this.#versions.ask((api, row, request) => this.#send(api, row, request, connectTimeoutMs));
      if (this.#state === "opening") {
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
    const { security, maxResponseBytes } = this.#options;
    const socket = new BrokerSocket({
      host,
      port,
      tls: security.tls,
      maxResponseBytes,
      onFrame: (frame) => this.#receive(frame),
      onEnd: (error) => this.#socketEnded(error),
    });
    this.#socket = socket;
    await Promise.race([socket.connected, this.#ended.promise]);
  }

  async #authenticate(): Promise<void> {
    const { security, connectTimeoutMs } = this.#options;
    if (security.sasl === undefined) return;
    const credentials =
      security.sasl.mechanism === "OAUTHBEARER"
        ? { mechanism: security.sasl.mechanism, token: this.#token as BearerToken }
        : security.sasl;
    try {
      const lifetimeMs = await authenticate(credentials, (api, request) =>
        this.#send(api, api.versions[0], request, connectTimeoutMs),
      );
      this.#limitSession(lifetimeMs);
    } catch (error) {
      throw error instanceof SaslRefusal ? this.#refused(error) : error;
    }
  }

  #refused(cause: SaslRefusal): Error {
    const { sasl } = this.#options.security as { readonly sasl: NonNullable<Security["sasl"]> };
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
      `${this} refused to authenticate this client with ${mechanism}: ${cause.message.replace(/\.$/, "")}. ` +
        `Check "sasl.mechanism" and ${keysOf(mechanism)}.`,
      { cause },
    );
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

      const correlationId = this.#nextCorrelationId();
      const unanswered = row.unanswered?.(...request);
      let frame;
      try {
        frame = requestFrame(api, row, request, { correlationId, clientId: this.#options.clientId });
      } catch (error) {
        pending.fail(error as Error);
        return;
      }
      const done = (response: Response): void => {
        if (!settle()) return;
        resolve(response);
        this.#closeIfDrained();
      };
      if (unanswered !== undefined) {
        this.#socket!.send(frame, () => done(unanswered));
        return;
      }
      this.#answers.set(correlationId, (answer) => {
        // Its time has run out; what there is in it is nobody's.
        if (!this.#pending.has(pending)) return;
        let response;
        try {
          response = this.#read(api, row, answer);
        } catch (error) {
          pending.fail(this.#unreadable(api, error));
          return;
        }
        this.#options.observer?.answered(api.key, this.#options.clock.monotonicMs() - sentAtMs);
        done(response);
      });
      this.#socket!.send(frame);
    });
  }

  #nextCorrelationId(): number {
    this.#correlationId = this.#correlationId === MAX_CORRELATION_ID ? 0 : this.#correlationId + 1;
    return this.#correlationId;
  }

  #receive(frame: Buffer): void {
    if (this.#state === "ended") return;
    const correlationId = frame.readInt32BE(0);
    const answer = this.#answers.get(correlationId);
    if (answer === undefined) {
      throw new Error(`it answered request ${correlationId}, which was not sent`);
    }
    this.#answers.delete(correlationId);
    answer(frame);
  }

  #read<Request extends unknown[], Response>(
    api: Api<Request, Response>,
    row: ApiVersion<Request, Response>,
    frame: Buffer,
  ): Response {
    const body = new ResponseCursor(frame, api.name, CORRELATION_ID_BYTES);
    if ((row.headerTags ?? "both") === "both") body.taggedFields();
    // Almost all answers have it at their beginning.
    const isFirst = row.throttleTime !== "own field" && body.remaining >= THROTTLE_TIME_BYTES;
    const first = isFirst ? frame.readInt32BE(body.position) : undefined;
    const response = row.read(body);
    this.#throttle.begin(first ?? (response as { throttleTimeMs?: number }).throttleTimeMs ?? 0);
    return response;
  }

  /** What a parser's failure means: an answer out of step with its request, unless the parser says itself what is wrong. */
  #unreadable(api: Api<never, unknown>, error: unknown): Error {
    if (error instanceof NumberTooLargeError) return error;
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

  #socketEnded(error: Error | undefined): void {
    if (this.#state === "ended") return;
    if (error instanceof BadLengthError) return this.#badLength(error);
    if (error !== undefined || this.#pending.size > 0) this.#options.observer?.failed();
    const why = error === undefined ? "" : `: ${describeError(error)}`;
    this.#end(
      this.#state === "opening" && this.#pending.size === 0
        ? new TransportError(`${this} cannot be connected to${why || ": it closed the connection"}`, {
            cause: error,
          })
        : new TransportError(`The connection to ${this} was lost${why}.`, { cause: error }),
    );
  }

  #badLength({ length, bytes }: BadLengthError): void {
    this.#options.observer?.failed();
    const { maxResponseBytes } = this.#options;
    const hint = this.#state === "open" ? "" : guessPeer(bytes);
    const isTooLarge = this.#state === "open" && length > maxResponseBytes;
    this.#end(
      new (isTooLarge ? ResponseTooLargeError : TransportError)(
        `${this} sent ${length} as the length of an answer, which is less than there must be or more than ` +
          `"receive.message.max.bytes" (${maxResponseBytes})${hint}.`,
      ),
    );
  }

  #end(reason: Error): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#reason = reason;
    this.#sessionTimer?.cancel();
    this.#throttle.end();
    this.#ended.reject(reason);
    for (const pending of [...this.#pending]) pending.fail(reason);
    this.#socket?.destroy();
    this.#options.onEnd?.(this);
  }
}
