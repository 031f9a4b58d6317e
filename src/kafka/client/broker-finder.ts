import type { Clock, ClockTimer } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import { Backoff } from "./backoff.ts";
import type { ClientConfig } from "./client-config.ts";
import type { ConnectionMaker } from "./connection-maker.ts";
import type { BrokerAddress, BrokerConnection } from "./connection.ts";
import { sleep } from "./latch.ts";
import { Reachability } from "./reachability.ts";
import { AuthenticationError, TransportError, UnsupportedBrokerError } from "./transport-error.ts";

/** How long a server that neither takes nor refuses the connection is waited for before another is tried beside it. */
const STAGGER_MS = 1_000;
/** So many known brokers are tried before the bootstrap servers: all of a large cluster may have gone without a word. */
const KNOWN_BEFORE_BOOTSTRAP = 3;

export interface BrokerFinderOptions {
  readonly config: ClientConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maker: ConnectionMaker;
  /** Aborts, with the reason, when the client is closed. */
  readonly closed: AbortSignal;
  /** The brokers that are known, the most promising first. */
  known(): readonly BrokerAddress[];
}

/**
 * Finds a broker, whichever, to ask about the cluster: one of those that are known, else one of the bootstrap servers,
 * whose names are looked up anew each time (KIP-899). One that takes connections and answers nothing comes last from then
 * on, so that brokers that are cut off from their cluster do not keep this client from it (KIP-1102).
 */
export class BrokerFinder {
  readonly #options: BrokerFinderOptions;
  readonly #backoff: Backoff;
  readonly #reachability: Reachability;
  #connection: BrokerConnection | undefined;
  #search: Promise<BrokerConnection> | undefined;
  #hasFoundOne = false;
  /** Where servers are that were connected to, and have not answered a question. */
  readonly #silent = new Set<string>();
  #hasAnswered = false;

  constructor(options: BrokerFinderOptions) {
    this.#options = options;
    const { config, logger } = options;
    this.#backoff = new Backoff({
      initialMs: config["reconnect.backoff.ms"],
      maxMs: config["reconnect.backoff.max.ms"],
    });
    const servers = config["bootstrap.servers"].map(({ host, port }) => `${host}:${port}`).join(",");
    this.#reachability = new Reachability(logger, "The Kafka cluster", { bootstrapServers: servers });
  }

  /**
   * A connection to ask on; the same for all who ask. Waits until there is one.
   *
   * @throws UnsupportedBrokerError when all brokers are too old, AuthenticationError when all refuse the credentials
   * and none has ever taken them, or the reason of closing.
   */
  get(): Promise<BrokerConnection> {
    if (this.#connection?.alive === true) return Promise.resolve(this.#connection);
    if (this.#connection !== undefined && !this.#hasAnswered) {
      this.#silent.add(whereIs(this.#connection.address));
    }
    this.#connection = undefined;
    return (this.#search ??= this.#find().finally(() => {
      this.#search = undefined;
    }));
  }

  /** A broker can be connected to, but does not answer as it should. */
  failed(error: unknown): void {
    this.#reachability.failed(error);
  }

  /** A broker has answered. */
  succeeded(): void {
    this.#hasAnswered = true;
    this.#silent.clear();
    this.#backoff.reset();
    this.#reachability.succeeded();
  }

  async #find(): Promise<BrokerConnection> {
    const { clock, closed } = this.#options;
    for (;;) {
      closed.throwIfAborted();
      const found = await this.#firstToAnswer();
      closed.throwIfAborted();
      if (!Array.isArray(found)) {
        this.#hasFoundOne = true;
        this.#hasAnswered = false;
        return (this.#connection = found as BrokerConnection);
      }
      const errors = found as readonly Error[];
      const isHopeless =
        errors.every((each) => each instanceof UnsupportedBrokerError) ||
        (!this.#hasFoundOne && errors.every((each) => each instanceof AuthenticationError));
      const refusal = errors.find((each) => each instanceof AuthenticationError);
      const worst = refusal ?? errors[0] ?? new TransportError("There is no server to ask.");
      if (isHopeless) throw worst;
      this.#reachability.failed(worst);
      await sleep(clock, this.#backoff.next(), closed);
    }
  }

  #candidates(): BrokerAddress[] {
    const known = this.#options.known();
    const servers = this.#options.config["bootstrap.servers"];
    const bootstrap = shuffled(servers.map(({ host, port }) => ({ nodeId: -1, host, port })));
    const all = [
      ...known.slice(0, KNOWN_BEFORE_BOOTSTRAP),
      ...bootstrap,
      ...known.slice(KNOWN_BEFORE_BOOTSTRAP),
    ];
    const isSilent = (address: BrokerAddress): boolean => this.#silent.has(whereIs(address));
    // Each has had its turn: the next may begin.
    if (all.every(isSilent)) this.#silent.clear();
    return [...all.filter((address) => !isSilent(address)), ...all.filter(isSilent)];
  }

  /** Tries them one after another, without waiting long for any; gives back all errors when none can be reached. */
  #firstToAnswer(): Promise<BrokerConnection | readonly Error[]> {
    const { clock, maker, closed } = this.#options;
    const candidates = this.#candidates();
    const running = new Set<BrokerConnection>();
    const errors: Error[] = [];
    let timer: ClockTimer | undefined;

    return new Promise((resolve) => {
      let done = false;
      const finish = (result: BrokerConnection | readonly Error[]): void => {
        done = true;
        timer?.cancel();
        for (const connection of running) connection.close();
        resolve(result);
      };
      const tryNext = (): void => {
        timer?.cancel();
        if (done) return;
        const address = closed.aborted ? undefined : candidates.shift();
        if (address === undefined) {
          if (running.size === 0) finish(errors);
          return;
        }
        const connection = maker.make(address);
        running.add(connection);
        timer = clock.setTimeout(tryNext, STAGGER_MS);
        connection.open().then(
          () => {
            running.delete(connection);
            if (done) connection.close();
            else finish(connection);
          },
          (error: unknown) => {
            running.delete(connection);
            errors.push(error as Error);
            tryNext();
          },
        );
      };
      tryNext();
    });
  }
}

function whereIs({ host, port }: BrokerAddress): string {
  return `${host}:${port}`;
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
