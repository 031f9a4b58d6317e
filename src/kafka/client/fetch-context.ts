import type { Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import type { BrokerConnection } from "./connection.ts";
import type { Cluster, ConnectionPurpose } from "./cluster.ts";
import type { FetchBudget } from "./fetch-budget.ts";
import type { FetchPartition } from "./fetch-partition.ts";
import type { PrefetchWindow } from "./prefetch-window.ts";
import type { FetchedRecords, FetchProgress, PartitionId } from "./protocol.ts";
import type { SerializedError } from "./serialized-error.ts";

/** What fetching needs of a connection. */
export type FetchConnection = Pick<BrokerConnection, "alive" | "close" | "request">;

/** What fetching needs of the cluster. */
export interface FetchCluster extends Pick<
  Cluster,
  "topic" | "leader" | "updateLeader" | "onChange" | "refresh"
> {
  connection(nodeId: number, purpose: ConnectionPurpose): Promise<FetchConnection>;
}

/** The offset is not in the log. */
export interface FetchOutOfRange extends PartitionId {
  readonly epoch: number;
  readonly offset: number;
  /**
   * Given when the log was cut beneath the position (an unclean election): up to here it is what was read before, so
   * going on from here skips nothing.
   */
  readonly divergedAt?: number | undefined;
  /** Given when the topic was deleted and made again: whatever its offset, the position is of another log. */
  readonly isOtherTopic?: true | undefined;
}

export interface FetchFailure extends PartitionId {
  readonly epoch: number;
  readonly offset: number;
  readonly error: SerializedError;
}

export interface FetchUnknownTopic extends PartitionId {
  readonly epoch: number;
}

/** What a Fetcher tells. After the last three, the partition is not fetched any more until it is started again. */
export interface FetcherEvents {
  /** The buffer belongs to the receiver, who gives its `bytes` back as credit exactly once, also when it drops them. */
  records(fetched: FetchedRecords): void;
  progress(progress: FetchProgress): void;
  outOfRange(partition: FetchOutOfRange): void;
  failed(failure: FetchFailure): void;
  /** The brokers do not know the topic or the partition, and have had enough time to hear of it. */
  unknownTopic(partition: FetchUnknownTopic): void;
}

/** What the parts of a Fetcher share. */
export interface FetchContext {
  readonly cluster: FetchCluster;
  readonly config: ResolvedConsumerConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: FetcherEvents;
  readonly budget: FetchBudget;
  readonly window: PrefetchWindow;
  readonly isolationLevel: "read_uncommitted" | "read_committed";
  /** Aborts when the fetcher is closed. */
  readonly closed: AbortSignal;
  partition(topicId: string, index: number): FetchPartition | undefined;
  /** Ends the fetching of a partition. */
  end(partition: FetchPartition): void;
  /** Looks anew for the broker to fetch a partition from. */
  place(partition: FetchPartition): void;
  /** Asks for fresh metadata; calls in quick succession make one request. Returns its number. */
  refresh(): number;
  /** Whether the refresh of this number is over. */
  isRefreshed(number: number): boolean;
  /** Something that must not happen has: every partition fails with it, rather than stall. */
  crashed(error: unknown): void;
}
