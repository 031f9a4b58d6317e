import type { MessagePort } from "node:worker_threads";
import type { Clock } from "../../clock.ts";
import { ConsumerError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import { whenAborted } from "./abortable.ts";
import { Backoff } from "./backoff.ts";
import { ClassicMember, type MemberEvents } from "./classic-member.ts";
import { Cluster } from "./cluster.ts";
import { CommitQueue } from "./commit-queue.ts";
import { Fetcher } from "./fetcher.ts";
import { GroupCoordinator } from "./group-coordinator.ts";
import type { GroupSession } from "./group-session.ts";
import { HandOvers } from "./hand-overs.ts";
import { commitOffsets } from "./offset-store.ts";
import { OffsetResets } from "./offset-resets.ts";
import { resolvePositions } from "./offset-resolution.ts";
import { PollWatch } from "./poll-watch.ts";
import { portLogger } from "./port-logger.ts";
import {
  partitionKey,
  type CommitOffset,
  type ConsumerCommand,
  type ConsumerEvent,
  type FetchPosition,
  type PartitionId,
  type SubscriptionRequest,
} from "./protocol.ts";
import { Rereader } from "./rereader.ts";
import { serializeError, type SerializedError } from "./serialized-error.ts";
import { writeToStderr } from "./stderr-line.ts";
import { StoredOffsets } from "./stored-offsets.ts";
import { SubscribedTopics } from "./subscribed-topics.ts";
import { threadsMs } from "./threads-clock.ts";

/** A coordinator that is well answers a commit within 5 s (`offsets.commit.timeout.ms`): after this, it is looked up anew. */
const MAX_COMMIT_REQUEST_MS = 10_000;

export interface ConsumerEngineOptions {
  readonly config: ResolvedConsumerConfig;
  /** The other end is the consumer's on the main thread. */
  readonly port: MessagePort;
  /** Where the main thread counts its polls. */
  readonly polls: SharedArrayBuffer;
  readonly clock: Clock;
}

/** What the group has given to this member. */
interface Assignment {
  readonly id: number;
  readonly partitions: readonly PartitionId[];
  /** Whether the main thread was told of it. */
  announced: boolean;
}

interface Subscribed {
  readonly topics: SubscribedTopics;
  readonly member: ClassicMember;
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
  readonly #coordinator: GroupCoordinator;
  readonly #fetcher: Fetcher;
  readonly #commits: CommitQueue;
  readonly #stored: StoredOffsets;
  readonly #watch: PollWatch;
  readonly #closed = new AbortController();
  #closing = false;
  readonly #handOvers = new HandOvers();
  /** Made when the first message is to be read again. */
  #rereader: Rereader | undefined;
  #subscribed: Subscribed | undefined;
  /** Ends the subscribing that is under way. */
  #abandoned: AbortController | undefined;
  /** Subscribing and unsubscribing, one after the other. */
  #changes: Promise<void> = Promise.resolve();
  #assignment: Assignment | undefined;
  /** Partition key to the assignment that brought it. */
  #owned = new Map<string, number>();
  /** Partition key to the epoch that it is fetched under. */
  readonly #epochs = new Map<string, number>();
  #lastId = 0;

  constructor(options: ConsumerEngineOptions) {
    const { config, port, clock } = options;
    this.#config = config;
    this.#port = port;
    this.#clock = clock;
    this.#logger = portLogger((event) => this.#send(event));
    this.#cluster = new Cluster({ config, clock, logger: this.#logger });
    this.#coordinator = new GroupCoordinator(this.#cluster, config);
    const resets = new OffsetResets({
      cluster: this.#cluster,
      config,
      logger: this.#logger,
      epochOf: (partition) => this.#epochs.get(partitionKey(partition)),
      fetch: (position) => this.#fetch([position]),
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
      commit: (session, offsets, timeoutMs) => commitOffsets(this.#cluster, session, offsets, timeoutMs),
      forgetCoordinator: () => this.#coordinator.forgetCoordinator(),
      session: () => this.#subscribed?.member.session,
      assignmentOf: (key) => this.#owned.get(key),
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
    this.#watch = new PollWatch(options.polls, config["max.poll.interval.ms"], clock, () =>
      this.#pollExpired(),
    );
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
        this.#fetch(command.positions.filter((position) => this.#owned.has(partitionKey(position))));
        break;
      case "credit":
        this.#fetcher.credit({ topic: command.topic, index: command.index }, command.bytes);
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

  #fetch(positions: readonly FetchPosition[]): void {
    for (const position of positions) this.#epochs.set(partitionKey(position), position.epoch);
    this.#fetcher.start(positions);
  }

  #change(change: () => Promise<void>): void {
    this.#changes = this.#changes.then(change).catch((error: unknown) => {
      if (!this.#closed.signal.aborted) this.#fatal(error);
    });
  }

  async #subscribe(subscription: SubscriptionRequest, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const config = this.#config;
    const topics = new SubscribedTopics({
      cluster: this.#cluster,
      subscription,
      clock: this.#clock,
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
    const member = new ClassicMember({
      groupId: config["group.id"],
      groupInstanceId: null,
      strategies: config["partition.assignment.strategy"],
      heartbeatIntervalMs: config["heartbeat.interval.ms"],
      rebalanceTimeoutMs: config["max.poll.interval.ms"],
      retryBackoffMs: config["retry.backoff.ms"],
      retryBackoffMaxMs: config["retry.backoff.max.ms"],
      requests: this.#coordinator,
      topics,
      events: this.#memberEvents(),
      clock: this.#clock,
      logger: this.#logger,
    });
    this.#subscribed = { topics, member };
  }

  /** Gives back what is held, as in a rebalance, and leaves. */
  async #unsubscribe(): Promise<void> {
    const subscribed = this.#subscribed;
    if (subscribed === undefined) return;
    const { session } = subscribed.member;
    if (session !== undefined) {
      const commitMs = Math.min(3_000, this.#config["max.poll.interval.ms"] / 4);
      const drainMs = this.#config["max.poll.interval.ms"] - commitMs;
      await Promise.race([this.#revoke(session, drainMs, commitMs), session.gone.promise]);
    }
    this.#subscribed = undefined;
    subscribed.topics.close();
    await subscribed.member.stop("the consumer unsubscribes", this.#config["socket.timeout.ms"]);
  }

  #memberEvents(): MemberEvents {
    return {
      assigned: (session, partitions, signal) => this.#assigned(session, partitions, signal),
      revoke: (session, drainMs, commitMs) => this.#revoke(session, drainMs, commitMs),
      lost: (_session, reason) => this.#lost(reason),
      fatal: (error) => this.#fatal(error),
      member: (memberId) => this.#send({ type: "member", memberId }),
    };
  }

  async #assigned(
    session: GroupSession,
    partitions: readonly PartitionId[],
    signal: AbortSignal,
  ): Promise<void> {
    const id = ++this.#lastId;
    const assignment: Assignment = { id, partitions, announced: false };
    this.#assignment = assignment;
    this.#owned = new Map(partitions.map((partition) => [partitionKey(partition), id]));
    this.#count("arroyo.consumer.kafka.rebalance");
    let positions;
    try {
      positions = await resolvePositions(this.#cluster, this.#config, session, partitions, signal);
    } catch (error) {
      if (!signal.aborted && !this.#closed.signal.aborted) this.#fatal(error);
      return;
    }
    if (signal.aborted || this.#assignment !== assignment) return;
    assignment.announced = true;
    this.#watch.start();
    this.#send({ type: "assigned", id, memberId: session.memberId, partitions: positions });
  }

  async #revoke(_session: GroupSession, drainMs: number, commitMs: number): Promise<void> {
    const assignment = this.#assignment;
    if (assignment?.announced === true) {
      this.#fetcher.stop(assignment.partitions);
      const { partitions } = assignment;
      await this.#handOvers.ask(++this.#lastId, (id) =>
        this.#send({ type: "revoke", id, partitions, drainMs, commitMs, sentAtMs: threadsMs() }),
      );
      await this.#stored.flush(commitMs);
    }
    if (this.#assignment === assignment) this.#forgetAssignment();
  }

  async #lost(reason: string): Promise<void> {
    const assignment = this.#assignment;
    this.#forgetAssignment();
    this.#count("arroyo.consumer.kafka.lost");
    if (assignment?.announced !== true) return;
    const { partitions } = assignment;
    await this.#handOvers.ask(++this.#lastId, (id) => this.#send({ type: "lost", id, partitions, reason }));
  }

  #forgetAssignment(): void {
    this.#watch.stop();
    if (this.#assignment !== undefined) this.#fetcher.stop(this.#assignment.partitions);
    this.#assignment = undefined;
    this.#owned.clear();
    this.#epochs.clear();
    this.#stored.clear();
    this.#commits.reassigned();
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
    const limitMs = this.#config["max.poll.interval.ms"];
    const groupId = this.#config["group.id"];
    const message =
      `The main thread has not polled for ${limitMs} ms (max.poll.interval.ms): ` +
      "this member leaves the group, and joins again when it polls.";
    this.#count("arroyo.consumer.kafka.poll_expired");
    this.#subscribed?.member.expel(message);
    // Whatever goes through the main thread would be seen only when it is free again.
    if (!writeToStderr({ groupId, msg: message })) this.#logger.error({ groupId }, message);
  }

  #fatal(error: unknown): void {
    const fatal =
      error instanceof ConsumerError
        ? error
        : new ConsumerError("The consumer has failed.", { cause: error });
    this.#send({ type: "fatal", error: serializeError(fatal) });
  }

  async #close(timeoutMs: number): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#watch.stop();
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
      this.#logger.warn({ error }, "Closing did not go as it should; the connections are dropped.");
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
