import type { Consumer, PollOptions, RebalanceCallbacks, TopicSubscription } from "../backend/consumer.ts";
import { ConsumerStateChecks } from "../backend/consumer-state.ts";
import { Vitals } from "../backend/vitals.ts";
import { ConsumerError, ErrorCode, type OffsetOutOfRange } from "../errors.ts";
import type { BrokerMessage } from "../message/message.ts";
import { checkOffsets } from "../message/offset.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { ResolvedLocalConsumerConfig } from "./config.ts";
import type { BrokerCore } from "./core.ts";
import type { Group, Member } from "./group.ts";
import type { PartitionLog } from "./partition-log.ts";
import { PollWatch } from "./poll-watch.ts";
import { Positions } from "./positions.ts";
import { Rebalances } from "./rebalances.ts";
import { StoredOffsets } from "./stored-offsets.ts";
import { subscriptionTo, type Subscription } from "./subscription.ts";
import { Waiter } from "../waiter.ts";

const DEFAULT_MAX_MESSAGES = 1_000;
/** A wait that is longer counts as more than one poll. */
const LONG_WAIT_MS = 500;

/**
 * Reads topics of a `LocalBroker` as a member of a group: made by its `consumer` method. The contract is
 * {@link Consumer}'s; all times are those of the broker's clock.
 */
export class LocalConsumer implements Consumer<KafkaPayload> {
  /** What health checks see of it. */
  readonly vitals: Vitals = new Vitals();
  readonly #core: BrokerCore;
  readonly #checks: ConsumerStateChecks;
  readonly #config: ResolvedLocalConsumerConfig;
  readonly #group: Group;
  readonly #waiter: Waiter;
  readonly #watch: PollWatch;
  readonly #positions: Positions;
  readonly #rebalances: Rebalances;
  readonly #stored: StoredOffsets;
  readonly #staged = new Map<Partition, number>();
  #subscription: Subscription | undefined;
  #member: Member | undefined;
  #memberId = "";
  #polling = false;
  /** Whether the poll that waits is one for messages. */
  #wantsMessages = false;
  #closed = false;
  /** Why this consumer is of no more use, once it is: every poll throws it. */
  #failure: Error | undefined;

  /** @internal */
  constructor(core: BrokerCore, config: ResolvedLocalConsumerConfig) {
    const { clock, logger } = core;
    this.#core = core;
    this.#config = config;
    this.#group = core.group(config["group.id"]);
    this.#waiter = new Waiter(clock);
    const limitMs = config["max.poll.interval.ms"];
    this.#watch = new PollWatch(clock, limitMs, () => {
      const reason = `it has not polled for ${limitMs} ms (max.poll.interval.ms); it joins again when it polls`;
      if (this.#member === undefined) return;
      this.vitals.member = "expelled";
      this.#group.expel(this.#member, reason);
    });
    this.vitals.maxPollIntervalMs = limitMs;
    this.#positions = new Positions({
      ready: () => {
        if (this.#wantsMessages) this.#waiter.wake();
      },
      reset: (error, log) => this.#outOfRange(error, log),
    });
    this.#rebalances = new Rebalances({
      clock,
      due: () => this.#waiter.wake(),
      added: (offsets) => {
        for (const [partition, offset] of offsets) this.#positions.add(this.#log(partition), offset);
      },
      known: (partitions) => partitions.filter((partition) => this.#positions.has(partition)),
    });
    this.#checks = new ConsumerStateChecks({
      closed: () => this.#closed,
      subscribed: () => this.#subscription !== undefined,
      canPoll: () =>
        this.#subscription !== undefined || this.#member !== undefined || this.#rebalances.pending,
      polling: () => this.#polling,
      has: (partition) => this.#positions.has(partition),
    });
    this.#stored = new StoredOffsets({
      intervalMs: config["auto.commit.interval.ms"],
      clock,
      logger,
      commit: (offsets) => core.storage.commit(config["group.id"], offsets),
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  get memberId(): string {
    return this.#memberId;
  }

  subscribe(topics: TopicSubscription, callbacks: RebalanceCallbacks = {}): void {
    this.#checks.subscribe(topics);
    const subscription = subscriptionTo(topics, callbacks, this.#core.storage.topics);
    // While an earlier membership is still being given back, the poll that ends it joins anew.
    if (this.#member === undefined) this.#join(subscription);
    this.#subscription = subscription;
    if (!(topics instanceof RegExp) || subscription.topics().length > 0) return;
    this.#core.logger.warn(
      { pattern: String(topics) },
      "No topic matches the pattern yet: the consumer waits for one.",
    );
  }

  unsubscribe(): void {
    this.#checks.open("unsubscribe");
    if (this.#subscription === undefined) return;
    this.#subscription = undefined;
    this.#waiter.wake();
    if (this.#member !== undefined) this.#group.leave(this.#member);
  }

  async poll(options: PollOptions = {}): Promise<readonly BrokerMessage<KafkaPayload>[]> {
    const { timeoutMs = 0, maxMessages = DEFAULT_MAX_MESSAGES, signal } = options;
    this.#checks.poll();
    this.#polling = true;
    this.#watch.begin();
    this.vitals.polled();
    using _waits = timeoutMs > LONG_WAIT_MS ? this.vitals.pollingOn(this.#core.clock) : undefined;
    try {
      const untilMs = this.#core.clock.monotonicMs() + timeoutMs;
      for (;;) {
        await this.#rebalance();
        if (this.#closed) return [];
        this.#rejoin();
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#rebalances.pending) continue;
        if (this.#subscription === undefined) return [];
        if (maxMessages > 0) {
          const messages = this.#take(maxMessages);
          if (messages.length > 0) return messages;
          const loading = this.#positions.load();
          if (loading !== undefined) {
            await this.#loaded(loading);
            continue;
          }
        }
        const leftMs = untilMs - this.#core.clock.monotonicMs();
        if (leftMs <= 0 || signal?.aborted === true) return [];
        this.#wantsMessages = maxMessages > 0;
        await this.#waiter.wait(leftMs, signal);
        this.#wantsMessages = false;
      }
    } finally {
      this.#polling = false;
      this.#watch.end();
      this.vitals.polled();
    }
  }

  pause(partitions: readonly Partition[]): void {
    this.#checks.assigned("pause", partitions);
    for (const partition of partitions) this.#positions.pause(partition, true);
  }

  resume(partitions: readonly Partition[]): void {
    this.#checks.assigned("resume", partitions);
    for (const partition of partitions) this.#positions.pause(partition, false);
    this.#waiter.wake();
  }

  paused(): readonly Partition[] {
    this.#checks.open("paused");
    return this.#positions.paused();
  }

  tell(): ReadonlyMap<Partition, number> {
    this.#checks.open("tell");
    return this.#positions.offsets();
  }

  seek(offsets: ReadonlyMap<Partition, number>): void {
    this.#checks.assigned("seek", [...offsets.keys()]);
    checkOffsets("seek", offsets);
    for (const [partition, offset] of offsets) this.#positions.seek(partition, offset);
    this.#waiter.wake();
  }

  lag(partition: Partition): number {
    this.#checks.assigned("lag", [partition]);
    return this.#positions.lag(partition);
  }

  stageOffsets(offsets: ReadonlyMap<Partition, number>): void {
    this.#checks.open("stageOffsets");
    checkOffsets("stageOffsets", offsets);
    for (const [partition, offset] of offsets) {
      if (this.#positions.has(partition)) this.#staged.set(partition, offset);
    }
  }

  async commitOffsets(): Promise<ReadonlyMap<Partition, number>> {
    this.#checks.open("commitOffsets");
    if (this.#failure !== undefined) throw this.#failure;
    const offsets = new Map(this.#staged);
    if (offsets.size === 0) return offsets;
    if (this.#config["arroyo.enable.auto.commit"]) {
      this.#stored.store(offsets);
    } else {
      try {
        this.#core.storage.commit(this.#config["group.id"], offsets);
      } catch (error) {
        throw new ConsumerError(`The commit has failed: ${(error as Error).message}`, {
          code: ErrorCode.COMMIT_FAILED,
          cause: error,
        });
      }
    }
    this.#staged.clear();
    return offsets;
  }

  async close(_timeoutMs?: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.vitals.member = "left";
    this.#subscription = undefined;
    this.#stored.close();
    this.#rebalances.abandon();
    if (this.#member !== undefined) this.#group.remove(this.#member);
    this.#endMembership();
    this.#positions.clear();
    this.vitals.partitions = 0;
    this.#waiter.wake();
    this.#core.forget(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #join({ callbacks, topics }: Subscription): void {
    const incremental = this.#config["partition.assignment.strategy"] === "cooperative-sticky";
    this.#member = this.#group.join({
      mode: incremental ? "incremental" : "eager",
      maxPollIntervalMs: this.#config["max.poll.interval.ms"],
      topics,
      events: {
        assigned: (partitions) => this.#assigned(callbacks, partitions),
        withdraw: (partitions) => this.#rebalances.withdraw(partitions),
        revoke: (partitions, handOverAtMs, released) => {
          this.#rebalances.revoked(callbacks, partitions, handOverAtMs, () => {
            this.#stored.flush();
            this.#removed(partitions);
            released();
          });
        },
        lost: (partitions) => {
          if (this.vitals.member !== "expelled") this.vitals.member = "lost";
          const known = partitions.filter((partition) => this.#positions.has(partition));
          this.#removed(known);
          this.#endMembership();
          this.#rebalances.lost(callbacks, known);
        },
        left: () => {
          this.vitals.member = "left";
          this.#endMembership();
        },
      },
    });
    if (this.#failure === undefined) this.vitals.member = "member";
    this.#watch.start();
    this.#memberId = this.#member.id;
  }

  /** After it was put out of the group, or has given back an earlier subscription. */
  #rejoin(): void {
    if (this.#subscription !== undefined && this.#member === undefined) this.#join(this.#subscription);
    const missing = this.#subscription?.missing();
    if (missing !== undefined) {
      throw new ConsumerError(
        `Topic "${missing}" does not exist: create it with createTopic(), or correct its name.`,
      );
    }
  }

  #assigned(callbacks: RebalanceCallbacks, partitions: readonly Partition[]): void {
    const committed = this.#core.storage.committed(this.#config["group.id"]);
    try {
      const offsets = new Map(
        partitions.map((partition) => [
          partition,
          committed.get(partition) ?? this.#resetOffset(this.#log(partition)),
        ]),
      );
      this.#rebalances.assigned(callbacks, offsets);
    } catch (error) {
      this.#failure = error as Error;
      this.vitals.member = "failed";
      this.#waiter.wake();
    }
  }

  #removed(partitions: readonly Partition[]): void {
    this.#stored.forget(partitions);
    for (const partition of partitions) {
      this.#positions.remove(partition);
      this.#staged.delete(partition);
    }
    this.vitals.partitions = this.#positions.size;
  }

  async #rebalance(): Promise<void> {
    if (this.#rebalances.pending) {
      using _runs = this.vitals.pollingOn(this.#core.clock);
      await this.#rebalances.run();
    }
    this.vitals.partitions = this.#positions.size;
  }

  #endMembership(): void {
    this.#watch.stop();
    this.#member = undefined;
  }

  #take(maxMessages: number): readonly BrokerMessage<KafkaPayload>[] {
    if (this.#config["enable.partition.eof"]) {
      const end = this.#positions.takeEnd();
      if (end !== undefined) throw end;
    }
    try {
      return this.#positions.take(maxMessages);
    } catch (error) {
      throw unreadable(error);
    }
  }

  async #loaded(loading: Promise<void>): Promise<void> {
    try {
      await loading;
    } catch (error) {
      // A file that was closed under the read is nobody's error.
      if (!this.#closed) throw unreadable(error);
    }
  }

  #outOfRange(error: OffsetOutOfRange, log: PartitionLog): number {
    if (this.#config["arroyo.strict.offset.reset"]) throw error;
    const to = this.#resetOffset(log, error);
    this.#core.logger.warn(
      {
        topic: log.partition.topic.name,
        partition: log.partition.index,
        offset: error.offset,
        newOffset: to,
      },
      "The offset was out of range: reading goes on where the reset policy says.",
    );
    return to;
  }

  #resetOffset(log: PartitionLog, cause?: Error): number {
    const policy = this.#config["auto.offset.reset"];
    if (policy !== "error") return policy === "earliest" ? 0 : log.endOffset;
    throw new ConsumerError(
      `Group ${this.#config["group.id"]} has no committed offset that is in ${log.partition}, and "auto.offset.reset" is ` +
        `"error": commit one for it, or set the policy to "earliest" or "latest".`,
      { cause },
    );
  }

  #log({ topic, index }: Partition): PartitionLog {
    return this.#core.storage.topics.get(topic.name)![index]!;
  }
}

/** What the storage throws is told as the contract has it; the rest is as it should be. */
function unreadable(error: unknown): unknown {
  if ((error as { code?: unknown }).code !== ErrorCode.STORAGE) return error;
  return new ConsumerError(`A partition cannot be read: ${(error as Error).message}`, { cause: error });
}
