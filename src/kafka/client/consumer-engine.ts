import type { MessagePort } from "node:worker_threads";
import { Vitals } from "../../backend/vitals.ts";
import type { Clock } from "../../clock.ts";
import { ConsumerError } from "../../errors.ts";
import type { Logger, writeLogLine } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import { whenAborted } from "./abortable.ts";
import { Backoff } from "./backoff.ts";
import { Cluster } from "./cluster.ts";
import { CommitQueue } from "./commit-queue.ts";
import { Fetcher } from "./fetcher.ts";
import { drainTimes } from "./group-drain.ts";
import { HandOvers } from "./hand-overs.ts";
import { Holdings } from "./holdings.ts";
import { makeMembership } from "./make-membership.ts";
import type { Membership, MembershipEvents } from "./membership.ts";
import { idOf } from "./metadata.ts";
import { commitOffsets } from "./offset-store.ts";
import { OffsetResets } from "./offset-resets.ts";
import { resolvePositions } from "./offset-resolution.ts";
import { PollWatch } from "./poll-watch.ts";
import { portLogger } from "./port-logger.ts";
import type {
  CommitOffset,
  ConsumerCommand,
  ConsumerEvent,
  PartitionId,
  SubscriptionRequest,
} from "./protocol.ts";
import { Rereader } from "./rereader.ts";
import { serializeError, type SerializedError } from "./serialized-error.ts";
import { ConsumerStatisticsCollector } from "./statistics-consumer.ts";
import { SilenceNotice } from "./silence-notice.ts";
import { StoredOffsets } from "./stored-offsets.ts";
import { SubscribedTopics } from "./subscribed-topics.ts";

/** A coordinator that is well answers a commit within 5 s (`offsets.commit.timeout.ms`): after this, it is looked up anew. */
const MAX_COMMIT_REQUEST_MS = 10_000;

export interface ConsumerEngineOptions {
  readonly config: ResolvedConsumerConfig;
  /** The other end is the consumer's on the main thread. */
  readonly port: MessagePort;
  /** The consumer's vitals: the main thread counts its polls there, and the membership is told. */
  readonly polls: SharedArrayBuffer;
  /** Where tokens for OAUTHBEARER come in. */
  readonly tokens?: MessagePort | undefined;
  readonly clock: Clock;
  /** How a line is written to standard error from this thread. */
  readonly writeLine?: typeof writeLogLine | undefined;
}

interface Subscribed {
  readonly topics: SubscribedTopics;
  readonly member: Membership;
}

/**
 * A consumer's I/O side: holds the membership, the fetching and the commits together, and talks with the main thread over
 * a port. It knows nothing of threads, so it runs wherever its port is.
 */
export class ConsumerEngine {
  readonly #config: ResolvedConsumerConfig;
  readonly #port: MessagePort;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #cluster: Cluster;
  readonly #fetcher: Fetcher;
  readonly #commits: CommitQueue;
  readonly #stored: StoredOffsets;
  readonly #watch: PollWatch;
  readonly #silence: SilenceNotice;
  readonly #vitals: Vitals;
  readonly #closed = new AbortController();
  #closing = false;
  readonly #handOvers = new HandOvers();
  readonly #holdings: Holdings;
  readonly #statistics: ConsumerStatisticsCollector | undefined;
  /** Made when the first message is to be read again. */
  #rereader: Rereader | undefined;
  #subscribed: Subscribed | undefined;
  /** Ends the subscribing that is under way. */
  #abandoned: AbortController | undefined;
  /** Subscribing and unsubscribing, one after the other. */
  #changes: Promise<void> = Promise.resolve();

  constructor(options: ConsumerEngineOptions) {
    const { config, port, clock } = options;
    this.#config = config;
    this.#port = port;
    this.#clock = clock;
    this.#logger = portLogger((event) => this.#send(event));
    this.#cluster = new Cluster({ config, clock, logger: this.#logger, tokens: options.tokens });
    const resets = new OffsetResets({
      cluster: this.#cluster,
      config,
      logger: this.#logger,
      epochOf: (partition) => this.#holdings.epochOf(partition),
      fetch: (position) => this.#holdings.fetch([position]),
      restart: (position, reason) => void this.#holdings.restart(position, reason),
      send: (event) => this.#send(event),
      closed: this.#closed.signal,
    });
    this.#fetcher = new Fetcher({
      cluster: this.#cluster,
      config,
      clock,
      logger: this.#logger,
      events: {
        records: (records) => this.#port.postMessage({ type: "records", ...records }, [records.buffer]),
        progress: (progress) => this.#send({ type: "progress", ...progress }),
        outOfRange: (position) => resets.outOfRange(position),
        failed: ({ topic, index, epoch, error }) =>
          this.#send({ type: "failed", topic, index, epoch, error }),
        unknownTopic: (partition) => resets.unknownTopic(partition),
      },
    });
    this.#commits = new CommitQueue({
      commit: async (session, offsets, timeoutMs) => {
        const ofTopics = offsets.map((each) => ({
          ...each,
          topicId: this.#holdings.topicIdOf(each),
          isFetched: this.#fetcher.isFetching(each),
        }));
        const codes = await commitOffsets(this.#cluster, session, ofTopics, timeoutMs);
        this.#statistics?.committed(offsets, codes);
        return codes;
      },
      forgetCoordinator: () => this.#cluster.forgetCoordinator(config["group.id"]),
      session: () => this.#subscribed?.member.commitSession,
      assignmentOf: (key) => this.#holdings.assignmentOf(key),
      requestTimeoutMs: Math.min(MAX_COMMIT_REQUEST_MS, config["socket.timeout.ms"]),
      backoff: new Backoff({
        initialMs: config["retry.backoff.ms"],
        maxMs: config["retry.backoff.max.ms"],
      }),
      clock,
      logger: this.#logger,
    });
    this.#stored = new StoredOffsets({
      commits: this.#commits,
      intervalMs: config["auto.commit.interval.ms"],
      clock,
      logger: this.#logger,
    });
    this.#vitals = new Vitals(options.polls);
    this.#vitals.expectAnswers();
    this.#watch = new PollWatch(options.polls, config["max.poll.interval.ms"], clock, () =>
      this.#pollExpired(),
    );
    this.#silence = new SilenceNotice({
      groupId: config["group.id"],
      limitMs: config["max.poll.interval.ms"],
      logger: this.#logger,
      writeLine: options.writeLine,
    });
    this.#holdings = new Holdings({
      fetcher: this.#fetcher,
      topicIdOf: (topic) => idOf(this.#cluster.topic(topic)),
      handOvers: this.#handOvers,
      stored: this.#stored,
      commits: this.#commits,
      watch: this.#watch,
      resolve: (session, partitions, found, signal) =>
        resolvePositions(session, partitions, {
          clock,
          cluster: this.#cluster,
          config,
          logger: this.#logger,
          found,
          signal,
        }),
      send: (event) => {
        this.#statistics?.saw(event);
        this.#send(event);
      },
      fatal: (error) => this.#fatal(error),
    });
    if (config["statistics.interval.ms"] > 0) {
      this.#statistics = new ConsumerStatisticsCollector({
        config,
        clock,
        logger: this.#logger,
        cluster: this.#cluster,
        fetcher: this.#fetcher,
        held: () => this.#holdings.partitions,
        membership: () => this.#subscribed?.member,
        send: (event) => this.#send(event),
        closed: this.#closed.signal,
      });
    }
    port.on("message", (command: ConsumerCommand) => this.#receive(command));
  }

  #receive(command: ConsumerCommand): void {
    switch (command.type) {
      case "subscribe": {
        const abandoned = (this.#abandoned = new AbortController());
        const signal = AbortSignal.any([abandoned.signal, this.#closed.signal]);
        this.#change(() => this.#subscribe(command.subscription, signal));
        break;
      }
      case "unsubscribe":
        this.#abandoned?.abort();
        this.#change(() => this.#unsubscribe());
        break;
      case "fetch":
        this.#holdings.fetch(command.positions);
        break;
      case "credit":
        this.#fetcher.credit(command, command.bytes, command.emptyAfter);
        break;
      case "empty":
        this.#fetcher.emptied(command.received);
        break;
      case "commit":
        void this.#commit(command.id, command.offsets, command.timeoutMs);
        break;
      case "reread":
        void this.#reread(command.id, command, command.offset);
        break;
      case "store":
        this.#stored.store(command.offsets);
        break;
      case "released":
        this.#handOvers.release(command.id);
        break;
      case "close":
        void this.#close(command.timeoutMs);
        break;
    }
  }

  #change(change: () => Promise<void>): void {
    this.#changes = this.#changes.then(change).catch((error: unknown) => {
      if (!this.#closed.signal.aborted) this.#fatal(error);
    });
  }

  async #subscribe(subscription: SubscriptionRequest, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#vitals.member = "joining";
    const topics = new SubscribedTopics({
      cluster: this.#cluster,
      subscription,
      clock: this.#clock,
      logger: this.#logger,
      changed: (reason) => this.#subscribed?.member.rejoin(reason),
    });
    try {
      await topics.known(signal);
    } catch (error) {
      topics.close();
      if (signal.aborted) return;
      throw error;
    }
    if (signal.aborted) {
      topics.close();
      return;
    }
    const member = makeMembership({
      config: this.#config,
      cluster: this.#cluster,
      topics,
      events: this.#membershipEvents(),
      answered: () => {
        this.#vitals.answered();
        this.#statistics?.answered();
      },
      clock: this.#clock,
      logger: this.#logger,
    });
    this.#subscribed = { topics, member };
  }

  /** Gives back what is held, as in a rebalance, and leaves. */
  async #unsubscribe(): Promise<void> {
    const subscribed = this.#subscribed;
    if (subscribed === undefined) return;
    subscribed.topics.close();
    const { drainMs, commitMs } = drainTimes(this.#config["max.poll.interval.ms"]);
    await this.#holdings.giveUp(drainMs, commitMs);
    this.#subscribed = undefined;
    await subscribed.member.stop("the consumer unsubscribes", this.#config["socket.timeout.ms"]);
    this.#vitals.member = "left";
    this.#holdings.clear();
  }

  #membershipEvents(): MembershipEvents {
    return {
      assigned: (session, added) => {
        this.#vitals.member = "member";
        this.#holdings.assigned(session, added);
      },
      revoke: (session, partitions, drainMs, commitMs) =>
        this.#holdings.revoke(session, partitions, drainMs, commitMs),
      lost: (session, partitions, reason) => {
        if (this.#vitals.member === "member") {
          this.#vitals.member = "lost";
          this.#silence.lost(reason, this.#watch.silentMs);
        }
        return this.#holdings.lost(session, partitions, reason);
      },
      fatal: (error) => this.#fatal(error),
      member: (memberId) => this.#send({ type: "member", memberId }),
    };
  }

  async #commit(id: number, offsets: readonly CommitOffset[], timeoutMs: number): Promise<void> {
    try {
      this.#send({ type: "committed", id, offsets: await this.#commits.commit(offsets, timeoutMs) });
    } catch (error) {
      this.#send({ type: "commitFailed", id, error: serializeError(error) });
    }
  }

  async #reread(id: number, { topic, index }: PartitionId, offset: number): Promise<void> {
    this.#rereader ??= new Rereader({
      cluster: this.#cluster,
      config: this.#config,
      clock: this.#clock,
      logger: this.#logger,
    });
    try {
      const records = await this.#rereader.read({ topic, index }, offset);
      this.#port.postMessage({ type: "reread", id, records } satisfies ConsumerEvent, [records.buffer]);
    } catch (error) {
      this.#send({ type: "rereadFailed", id, error: error as SerializedError });
    }
  }

  #pollExpired(): void {
    this.#count("arroyo.consumer.kafka.poll_expired");
    this.#vitals.member = "expelled";
    this.#subscribed?.member.expel(this.#silence.expired());
  }

  #fatal(error: unknown): void {
    this.#vitals.member = "failed";
    const fatal =
      error instanceof ConsumerError
        ? error
        : new ConsumerError("The consumer has failed.", { cause: error });
    this.#send({ type: "fatal", error: serializeError(fatal) });
  }

  async #close(timeoutMs: number): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#vitals.member = "left";
    this.#statistics?.close();
    this.#holdings.close();
    this.#fetcher.close();
    this.#rereader?.close();
    this.#handOvers.close();
    const ended = new AbortController();
    const timer = this.#clock.setTimeout(() => ended.abort(), timeoutMs);
    this.#subscribed?.topics.close();
    try {
      await Promise.race([
        this.#stored.flush(timeoutMs).then(() => {
          this.#closed.abort();
          return this.#subscribed?.member.stop("the consumer closes", timeoutMs);
        }),
        whenAborted(ended.signal),
      ]);
    } catch (error) {
      this.#logger.warn({ err: error }, "Closing did not go as it should; the connections are dropped.");
    }
    timer.cancel();
    this.#closed.abort();
    this.#commits.close();
    this.#stored.close();
    await this.#cluster.close();
    this.#send({ type: "closed" });
    this.#port.close();
  }

  #count(name: string): void {
    this.#send({ type: "metric", kind: "increment", name, value: 1 });
  }

  #send(event: ConsumerEvent): void {
    this.#port.postMessage(event);
  }
}
