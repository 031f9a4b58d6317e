import type { MessagePort } from "node:worker_threads";
import type { Clock, ClockTimer } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import { Metadata as MetadataApi } from "./apis.ts";
import { Backoff } from "./backoff.ts";
import { BrokerConnections, type ConnectionPurpose } from "./broker-connections.ts";
import { BrokerFinder } from "./broker-finder.ts";
import type { ClientConfig } from "./client-config.ts";
import { ConnectionMaker } from "./connection-maker.ts";
import type { BrokerAddress, BrokerConnection } from "./connection.ts";
import { Coordinators } from "./coordinators.ts";
import { sleep } from "./latch.ts";
import { Metadata, type Leader, type TopicInterest, type TopicMetadata } from "./metadata.ts";
import type { BrokerStatistics } from "./statistics.ts";
import { Tokens } from "./tokens.ts";
import { ClosedError, TransportError } from "./transport-error.ts";

export type { ConnectionPurpose } from "./broker-connections.ts";
export type { ClientConfig } from "./client-config.ts";
export type { Leader, PartitionMetadata, TopicMetadata } from "./metadata.ts";

export interface ClusterOptions {
  readonly config: ClientConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where tokens for OAUTHBEARER come in. */
  readonly tokens?: MessagePort | undefined;
}

/** For questions that any broker answers at once: one that does not is not waited for as long as for other requests. */
const MAX_QUESTION_MS = 10_000;
/** How often a topic that is not there yet, or a partition without a leader, is asked for in the long run. */
const MAX_INCOMPLETE_MS = 5_000;
/** After so many refreshes that brought nothing new, another broker is asked: the one that was may be cut off. */
const REFRESHES_PER_BROKER = 3;
/** After so many failures in a row that are no reason to worry each, somebody should know. */
const TRIES_BEFORE_TELLING = 5;

/**
 * A Kafka cluster: its brokers, connections to them, and what is known of its topics. Nothing is asked before
 * {@link refresh}, {@link connection} or {@link coordinator} is called.
 */
export class Cluster {
  readonly #config: ClientConfig;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  readonly #metadata = new Metadata();
  readonly #maker: ConnectionMaker;
  readonly #connections: BrokerConnections;
  readonly #finder: BrokerFinder;
  readonly #listeners = new Set<() => void>();
  #interest: Set<string> | "all" = new Set();

  /** What the next refresh settles; those who ask while one is under way share the one after it. */
  #nextRefresh: PromiseWithResolvers<void> | undefined;
  #isRefreshing = false;
  /** What the last refresh asked for, and when it ended: to ask again and again for the same helps nobody. */
  #last: { readonly interest: TopicInterest; readonly atMs: number } | undefined;
  /** Who was asked last, and how often in a row it has said nothing new. */
  #asked: BrokerAddress | undefined;
  #nothingNew = 0;
  #timer: ClockTimer | undefined;
  readonly #incomplete: Backoff;

  readonly #coordinators: Coordinators;

  /** @throws ConfigurationError when certificates or credentials cannot be used. */
  constructor(options: ClusterOptions) {
    const { config, clock, logger } = options;
    this.#config = config;
    this.#clock = clock;
    this.#logger = logger;
    this.#incomplete = this.#retryBackoff(MAX_INCOMPLETE_MS);
    this.#maker = new ConnectionMaker(config, clock, options.tokens && new Tokens(options.tokens, clock));
    const shared = { config, clock, logger, maker: this.#maker, closed: this.#closing.signal };
    this.#connections = new BrokerConnections({
      ...shared,
      addressOf: (nodeId) => this.#metadata.brokers.get(nodeId),
      refresh: () => this.refresh(),
    });
    this.#finder = new BrokerFinder({ ...shared, known: () => this.#promisingBrokers() });
    this.#coordinators = new Coordinators({
      ...shared,
      timeoutMs: this.#questionMs,
      backoff: () => this.#retryBackoff(),
      anyBroker: () => this.#finder.get(),
      found: (broker) => this.#metadata.addBroker(broker),
    });
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Which topics to ask for, from the next refresh on: names come on top of the names before; "all" replaces them. */
  setTopics(topics: readonly string[] | "all"): void {
    if (topics === "all") this.#interest = "all";
    else if (this.#interest === "all") this.#interest = new Set(topics);
    else for (const topic of topics) this.#interest.add(topic);
  }

  /**
   * Resolves after a refresh of brokers and topics that began after this call. It is tried until it succeeds.
   *
   * @throws ClosedError when the cluster is closed first, UnsupportedBrokerError and AuthenticationError as in
   * {@link BrokerFinder.get}.
   */
  refresh(): Promise<void> {
    if (this.closed) return Promise.reject(this.#closing.signal.reason as Error);
    if (this.#nextRefresh === undefined) {
      this.#nextRefresh = Promise.withResolvers<void>();
      this.#nextRefresh.promise.catch(() => {});
      void this.#refreshAll();
    }
    return this.#nextRefresh.promise;
  }

  /** What is known of a topic; undefined when it was not asked for yet, or is gone while "all" are asked for. */
  topic(name: string): TopicMetadata | undefined {
    return this.#metadata.topic(name);
  }

  /** The topics that exist, of those that were asked for, without Kafka's internal ones. */
  topicNames(): readonly string[] {
    return this.#metadata.topicNames();
  }

  /** Who leads a partition; undefined when nobody does, or it is not known. */
  leader(topic: string, index: number): Leader | undefined {
    return this.#metadata.leader(topic, index);
  }

  /** Takes the current leader that a broker named in another answer. Ignored when it is not newer than what is known. */
  updateLeader(topic: string, index: number, nodeId: number, leaderEpoch: number): void {
    this.#metadata.updateLeader(topic, index, nodeId, leaderEpoch);
  }

  /** Calls back after every refresh that changed something. Returns the way to stop that. */
  onChange(listener: () => void): () => void {
    const own = (): void => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /**
   * The connection to a broker for a purpose, made when there is none (any more): one attempt, not sooner than the
   * back-off after the last one allows.
   *
   * @throws TransportError when it cannot be made, AuthenticationError, UnsupportedBrokerError, ClosedError.
   */
  connection(nodeId: number, purpose: ConnectionPurpose): Promise<BrokerConnection> {
    return this.#connections.get(nodeId, purpose);
  }

  /**
   * A connection to whichever broker answers, for what each of them can do.
   *
   * @throws UnsupportedBrokerError, AuthenticationError and ClosedError, as in {@link BrokerFinder.get}.
   */
  anyBroker(): Promise<BrokerConnection> {
    return this.#finder.get();
  }

  /**
   * The node id of a group's coordinator. Once found it is kept, until {@link forgetCoordinator}. Tried until it succeeds.
   *
   * @throws ArroyoError (`ARROYO_CONSUMER`) when the group may not be used, ClosedError, and what {@link refresh} throws.
   */
  coordinator(groupId: string): Promise<number> {
    return this.#coordinators.get(groupId);
  }

  forgetCoordinator(groupId: string): void {
    this.#coordinators.forget(groupId);
  }

  /** What has happened on the connections to each broker; the next interval begins. */
  takeStatistics(): readonly BrokerStatistics[] {
    return this.#maker.takeStatistics();
  }

  /** Ends everything at once: whatever waits rejects with ClosedError. */
  close(): Promise<void> {
    if (this.closed) return Promise.resolve();
    const reason = new ClosedError();
    this.#closing.abort(reason);
    this.#timer?.cancel();
    this.#listeners.clear();
    this.#nextRefresh?.reject(reason);
    this.#maker.close(reason);
    return Promise.resolve();
  }

  async #refreshAll(): Promise<void> {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    this.#timer?.cancel();
    while (this.#nextRefresh !== undefined && !this.closed) {
      // What is asked for from here on may not be what this refresh asks for.
      let turn = this.#nextRefresh;
      try {
        await this.#spaceOut();
        turn = this.#nextRefresh;
        this.#nextRefresh = undefined;
        await this.#refreshOnce();
        turn.resolve();
      } catch (error) {
        if (this.#nextRefresh === turn) this.#nextRefresh = undefined;
        turn.reject(error);
      }
    }
    this.#isRefreshing = false;
    this.#schedule();
  }

  /** Waits a little if the same was asked just now: every partition that has lost its leader asks for a refresh. */
  async #spaceOut(): Promise<void> {
    const { signal } = this.#closing;
    if (this.#last !== undefined && sameInterest(this.#last.interest, this.#interest)) {
      const waitMs = this.#last.atMs + this.#config["retry.backoff.ms"] - this.#clock.monotonicMs();
      if (waitMs > 0) await sleep(this.#clock, waitMs, signal);
    }
    signal.throwIfAborted();
  }

  async #refreshOnce(): Promise<void> {
    const backoff = this.#retryBackoff();
    for (;;) {
      const connection = await this.#finder.get();
      const interest: TopicInterest = this.#interest === "all" ? "all" : new Set(this.#interest);
      try {
        const response = await connection.request(
          MetadataApi,
          [
            {
              topics: interest === "all" ? null : [...interest],
              allowAutoTopicCreation: this.#config["allow.auto.create.topics"] ?? false,
            },
          ],
          { timeoutMs: this.#questionMs },
        );
        if (response.brokers.length > 0) {
          this.#finder.succeeded();
          this.#last = { interest, atMs: this.#clock.monotonicMs() };
          const hasChanged = this.#metadata.apply(response, interest);
          this.#askAnother(connection, hasChanged);
          if (hasChanged) this.#changed();
          return;
        }
        // It has just started. Another may know more.
        connection.retire("it knows of no brokers");
        throw new TransportError(`${connection.toString()} knows of no brokers.`);
      } catch (error) {
        this.#closing.signal.throwIfAborted();
        if (!TransportError.is(error)) throw error;
        if (backoff.tries >= TRIES_BEFORE_TELLING) this.#finder.failed(error);
        await sleep(this.#clock, backoff.next(), this.#closing.signal);
      }
    }
  }

  /** Goes on to another broker when this one says the same again and again, though somebody hoped for more. */
  #askAnother(connection: BrokerConnection, hasChanged: boolean): void {
    this.#asked = connection.address;
    this.#nothingNew = hasChanged ? 0 : this.#nothingNew + 1;
    if (this.#nothingNew < REFRESHES_PER_BROKER || this.#metadata.brokers.size < 2) return;
    this.#nothingNew = 0;
    connection.retire("another broker may know more");
  }

  #changed(): void {
    this.#connections.retireMoved();
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        this.#logger.error({ err: error }, "A listener for changes of the cluster has failed.");
      }
    }
  }

  /** Sets the time of the next refresh that nobody asked for. */
  #schedule(): void {
    if (this.closed) return;
    let delayMs: number;
    if (this.#last === undefined || this.#metadata.isIncomplete(this.#interest)) {
      delayMs = this.#incomplete.next();
    } else {
      this.#incomplete.reset();
      const intervalMs = this.#config["topic.metadata.refresh.interval.ms"];
      if (intervalMs < 0) return;
      delayMs = intervalMs * (0.8 + 0.2 * Math.random());
    }
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimeout(() => {
      this.refresh().catch((error: unknown) => {
        if (!ClosedError.is(error)) this.#finder.failed(error);
      });
    }, delayMs);
  }

  /** In no order, except that the one asked last comes late, and those that could not be reached come last. */
  #promisingBrokers(): readonly BrokerAddress[] {
    const asked = this.#asked;
    return [...this.#metadata.brokers.values()]
      .map((broker) => ({
        broker,
        rank:
          Math.random() +
          (broker.host === asked?.host && broker.port === asked.port ? 1 : 0) +
          (this.#connections.isInTrouble(broker.nodeId) ? 2 : 0),
      }))
      .toSorted((one, other) => one.rank - other.rank)
      .map(({ broker }) => broker);
  }

  get #questionMs(): number {
    return Math.min(this.#config["socket.timeout.ms"], MAX_QUESTION_MS);
  }

  #retryBackoff(maxMs: number = this.#config["retry.backoff.max.ms"]): Backoff {
    return new Backoff({ initialMs: this.#config["retry.backoff.ms"], maxMs });
  }
}

function sameInterest(one: TopicInterest, other: TopicInterest): boolean {
  if (one === "all" || other === "all") return one === other;
  return one.size === other.size && [...one].every((name) => other.has(name));
}
