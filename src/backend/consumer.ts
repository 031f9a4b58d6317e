import type { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { Topic } from "../message/topic.ts";
import type { Vitals } from "./vitals.ts";

/**
 * What a consumer tells about its assignment. All of them run inside `poll` (or `close`), one at a time; only `onLost`
 * may come while an `onRevoke` is still pending.
 */
export interface RebalanceCallbacks {
  /**
   * Partitions were added, each with the offset that is read next (committed, or by `auto.offset.reset`). Nothing is
   * delivered before it resolves; `seek` and `pause` may be called in it.
   */
  onAssign?(partitions: ReadonlyMap<Partition, number>): void | Promise<void>;
  /**
   * Partitions are about to go to another member. Nothing of theirs is delivered any more, but they are still ours:
   * what is committed before it resolves counts. The hand-over is held until it resolves, or until the group's deadline
   * passes (then `onLost` follows). `deadline` aborts when there is just enough time left to commit.
   */
  onRevoke?(partitions: readonly Partition[], deadline: AbortSignal): void | Promise<void>;
  /** Partitions are somebody else's already: nothing of theirs can be committed, abandon what is in flight. */
  onLost?(partitions: readonly Partition[]): void | Promise<void>;
}

/** How long a poll waits, and for how much. */
export interface PollOptions {
  /** How long to wait for a message or an event when there is none, in ms. Default 0: do not wait. */
  readonly timeoutMs?: number | undefined;
  /** At most so many messages. 0 delivers none, but says that this member is alive and runs callbacks. Default 1,000. */
  readonly maxMessages?: number | undefined;
  /** Ends the wait early; the poll then resolves with what there is. */
  readonly signal?: AbortSignal | undefined;
}

/** A topic to subscribe to by name, or every topic whose name matches. */
export type TopicSubscription = readonly Topic[] | RegExp;

/**
 * Reads messages as a member of a group. (Arroyo's `Consumer`.)
 *
 * Every call that changes several partitions is all or nothing. Calls that do not fit the state throw InvalidStateError.
 */
export interface Consumer<out T> extends AsyncDisposable {
  /** Joins the group. Assignments come through the callbacks, from `poll`. */
  subscribe(topics: TopicSubscription, callbacks?: RebalanceCallbacks): void;
  /** Leaves the group; the partitions are given back as if revoked. */
  unsubscribe(): void;
  /**
   * Messages in order per partition, an empty array when there are none. Runs the callbacks that are due first.
   *
   * @throws EndOfPartition, OffsetOutOfRange, ConsumerError: each once; the next poll goes on if it can.
   */
  poll(options?: PollOptions): Promise<readonly BrokerMessage<T>[]>;
  /** Stops delivery of these partitions; what was prefetched stays. */
  pause(partitions: readonly Partition[]): void;
  resume(partitions: readonly Partition[]): void;
  paused(): readonly Partition[];
  /** The assigned partitions, each with the offset that is delivered next. */
  tell(): ReadonlyMap<Partition, number>;
  /** Goes on from these offsets; nothing from before the seek is delivered after it. */
  seek(offsets: ReadonlyMap<Partition, number>): void;
  /**
   * Reads the message at an offset of an assigned partition again, for a dead letter. Does not move the position. A
   * consumer without it makes its users remember more.
   *
   * @throws OffsetOutOfRange (it rejects) when the broker does not have it any more.
   */
  reread?(partition: Partition, offset: number): Promise<BrokerMessage<T>>;
  /** Notes offsets for the next commit. Those of partitions that are not ours (any more) are dropped. */
  stageOffsets(offsets: ReadonlyMap<Partition, number>): void;
  /**
   * Commits what is staged, and resolves with it once the broker has it. Retriable errors are retried (up to 60 s, or
   * up to the deadline that the consumer is given in a revocation or at close).
   */
  commitOffsets(): Promise<ReadonlyMap<Partition, number>>;
  /**
   * Commits nothing more, leaves the group and lets go of everything, within `timeoutMs` (default 5,000) whatever the
   * brokers do. Rebalance callbacks are not called any more. A second call waits for the first.
   */
  close(timeoutMs?: number): Promise<void>;
  readonly closed: boolean;
  /** The member id in the group, empty before the first join. */
  readonly memberId: string;
  /**
   * What health checks see of it, from any thread. The consumer keeps true: polls (also while a poll waits or runs
   * callbacks), member, partitions, answers and maxPollIntervalMs. Without it the processor counts its own polls.
   */
  readonly vitals?: Vitals | undefined;
  /** Messages of an assigned partition behind its end that were not delivered yet; undefined while it is not known. */
  lag?(partition: Partition): number | undefined;
}
