import type { MetricTags } from "../../metrics/metrics.ts";
import type { SerializedError } from "./serialized-error.ts";
import type { ConsumerIoStatistics } from "./statistics.ts";

/**
 * What crosses between a consumer on the main thread and its engine on the I/O thread. Commands go one way, events the
 * other; both are plain data, both arrive in the order in which they were sent.
 */

export interface PartitionId {
  readonly topic: string;
  readonly index: number;
}

/** The key of a partition in a Map, where no interned Partition is at hand. */
export function partitionKey(partition: PartitionId): string {
  return `${partition.topic}:${partition.index}`;
}

/** Where to fetch from. */
export interface FetchPosition extends PartitionId {
  readonly offset: number;
  /** The leader epoch of the record before `offset`; -1 when it is not known. */
  readonly leaderEpoch: number;
  /** Of the assignment or seek that made this position. It comes back with every batch; older ones are dropped. */
  readonly epoch: number;
  /** The topic that it belongs to, where that is known: under another id it is out of range. */
  readonly topicId?: string | undefined;
}

/** Record bytes of one partition, out of one answer to a Fetch. */
export interface FetchedRecords extends PartitionId {
  readonly epoch: number;
  readonly buffer: ArrayBuffer;
  /** Where the batches are in `buffer`: see `records/batch-reader.ts`. */
  readonly batches: Float64Array;
  /** Records before it are in the buffer, but were not asked for. */
  readonly fromOffset: number;
  /** What is fetched next. */
  readonly nextOffset: number;
  readonly leaderEpoch: number;
  readonly highWatermark: number;
  /** What one of the batches may decompress to. */
  readonly maxBatchBytes: number;
  /** What to give back as credit once the records are consumed. */
  readonly bytes: number;
}

/** The position has moved without records (control or empty batches, a reset), or the high watermark has. */
export interface FetchProgress extends PartitionId {
  readonly epoch: number;
  readonly nextOffset: number;
  readonly leaderEpoch: number;
  readonly highWatermark: number;
}

/** A topic subscription that can cross the boundary. */
export type SubscriptionRequest =
  | { readonly topics: readonly string[] }
  | { readonly pattern: { readonly source: string; readonly flags: string } };

export interface CommitOffset extends PartitionId {
  readonly offset: number;
  readonly leaderEpoch: number;
  /** The assignment that brought the partition. Under another one the offset is dropped, never committed. */
  readonly assignment: number;
}

export type ConsumerCommand =
  | { readonly type: "subscribe"; readonly subscription: SubscriptionRequest }
  | { readonly type: "unsubscribe" }
  | { readonly type: "fetch"; readonly positions: readonly FetchPosition[] }
  | {
      readonly type: "credit";
      readonly topic: string;
      readonly index: number;
      readonly bytes: number;
      /** See `Fetcher.credit`. */
      readonly emptyAfter: number | undefined;
    }
  /** Nothing can be delivered of all that has come: so many buffers. */
  | { readonly type: "empty"; readonly received: number }
  | {
      readonly type: "commit";
      readonly id: number;
      readonly offsets: readonly CommitOffset[];
      readonly timeoutMs: number;
    }
  | { readonly type: "store"; readonly offsets: readonly CommitOffset[] }
  | {
      readonly type: "reread";
      readonly id: number;
      readonly topic: string;
      readonly index: number;
      readonly offset: number;
    }
  /** The callbacks of a revocation or a loss are through: the engine may go on. */
  | { readonly type: "released"; readonly id: number }
  | { readonly type: "close"; readonly timeoutMs: number };

/** A partition of a new assignment, with its resolved position. */
export interface AssignedPartition extends PartitionId {
  readonly offset: number;
  readonly leaderEpoch: number;
  /** Whether the group has committed it. */
  readonly isCommitted?: boolean | undefined;
  /** The topic that it was found in. */
  readonly topicId?: string | undefined;
}

export type ConsumerEvent =
  | {
      readonly type: "assigned";
      readonly id: number;
      readonly memberId: string;
      readonly partitions: readonly AssignedPartition[];
    }
  /** Drain within `drainMs`, commit, then send `released`. The time counts from `sentAtMs` (see `threads-clock.ts`). */
  | {
      readonly type: "revoke";
      readonly id: number;
      readonly partitions: readonly PartitionId[];
      readonly drainMs: number;
      readonly commitMs: number;
      readonly sentAtMs: number;
    }
  /** Void already. Send `released` when the callbacks are through. */
  | {
      readonly type: "lost";
      readonly id: number;
      readonly partitions: readonly PartitionId[];
      readonly reason: string;
    }
  | ({ readonly type: "records" } & FetchedRecords)
  | ({ readonly type: "progress" } & FetchProgress)
  /** Fetching of a partition has stopped for good. */
  | ({ readonly type: "failed" } & PartitionId & { readonly epoch: number; readonly error: SerializedError })
  /** An offset that is not in the log, where that is an error ("arroyo.strict.offset.reset"). */
  | ({ readonly type: "outOfRange" } & PartitionId & {
        readonly epoch: number;
        readonly offset: number;
        /** Given when there is more to say than that. */
        readonly reason: string | undefined;
      })
  | { readonly type: "committed"; readonly id: number; readonly offsets: readonly CommitOffset[] }
  | { readonly type: "commitFailed"; readonly id: number; readonly error: SerializedError }
  | { readonly type: "reread"; readonly id: number; readonly records: FetchedRecords }
  | { readonly type: "rereadFailed"; readonly id: number; readonly error: SerializedError }
  | { readonly type: "member"; readonly memberId: string }
  /** Nothing that this consumer could recover from. */
  | { readonly type: "fatal"; readonly error: SerializedError }
  | LogEvent
  | MetricEvent
  /** Every `statistics.interval.ms`. */
  | { readonly type: "statistics"; readonly statistics: ConsumerIoStatistics }
  | { readonly type: "closed" };

/** A log line for the main thread's logger. */
export interface LogEvent {
  readonly type: "log";
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A metric for the main thread's metrics. */
export interface MetricEvent {
  readonly type: "metric";
  readonly kind: "increment" | "gauge" | "timing";
  readonly name: string;
  readonly value: number;
  readonly tags?: MetricTags | undefined;
}
