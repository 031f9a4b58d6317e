/** How long answers took, over the last interval. */
export interface RoundTrips {
  /** How many there were. */
  readonly count: number;
  readonly minMs: number;
  readonly averageMs: number;
  readonly maxMs: number;
}

/** A broker, as this client has seen it. The counts are since the client was made. */
export interface BrokerStatistics {
  /** -1 for one of `bootstrap.servers` that was asked before its id was known. */
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  /** Of what brokers answer at once; undefined when there was none. */
  readonly roundTrip: RoundTrips | undefined;
  /**
   * Of what they answer when there is something to say (Fetch, JoinGroup, SyncGroup): a Fetch of a quiet topic takes
   * `fetch.wait.max.ms`.
   */
  readonly held: RoundTrips | undefined;
  /** Requests without an answer, over all connections. */
  readonly requestsInFlight: number;
  /** Connections that were made. */
  readonly connects: number;
  /** Connections that have ended, for whatever reason. */
  readonly disconnects: number;
  /**
   * Connections that could not be made or were lost in the middle of something, and requests that were not answered in
   * time. An idle connection that the broker closes is none.
   */
  readonly errors: number;
}

/** A partition of a consumer, as its I/O thread sees it. */
export interface FetchStatistics {
  readonly topic: string;
  readonly partition: number;
  /** The offset that is fetched next; undefined while it is not known where to start. */
  readonly fetchPosition: number | undefined;
  /** The last offset that the group has of it, as far as this consumer knows. */
  readonly committed: number | undefined;
  /** Behind the last message that all in-sync replicas have; undefined before the first answer. */
  readonly highWatermark: number | undefined;
  /** Where the first open transaction begins, or the high watermark; undefined before the first answer. */
  readonly lastStableOffset: number | undefined;
  /** Of the two, the one that ends what can be read with this consumer's `isolation.level`. */
  readonly endOffset: number | undefined;
  /** Bytes of records that were fetched and are not delivered. */
  readonly queuedBytes: number;
  /** The node id of the partition's leader; undefined while there is none. */
  readonly leader: number | undefined;
  /** Of the assignment or seek: whether `endOffset` is still of use to the main thread. @internal */
  readonly epoch: number;
}

/** A consumer's part in its group. */
export interface GroupStatistics {
  readonly groupId: string;
  readonly protocol: "classic" | "consumer";
  /** `unsubscribed`, or where the membership is. */
  readonly state: "unsubscribed" | "joining" | "stable" | "revoking" | "lost" | "stopped";
  /** Empty before the group has given one. */
  readonly memberId: string;
  /** The generation, or the member epoch of KIP-848; undefined while there is none. */
  readonly generation: number | undefined;
  /** How many partitions it holds. */
  readonly partitions: number;
  /** Assignments that the group has given, since the consumer was made. */
  readonly rebalances: number;
  /** Undefined before the first. */
  readonly msSinceRebalance: number | undefined;
  /** Since the group's coordinator last answered (a heartbeat, as a rule); undefined before the first time. */
  readonly msSinceCoordinatorAnswer: number | undefined;
}

/** What the I/O thread tells of a consumer. */
export interface ConsumerIoStatistics {
  /** When it was collected, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly brokers: readonly BrokerStatistics[];
  readonly group: GroupStatistics;
  readonly partitions: readonly FetchStatistics[];
}

/** Batches of a producer that the I/O thread has. */
export interface BatchStatistics {
  /** Waiting to be sent, for the first time or again. */
  readonly waiting: number;
  /** Sent, without an answer yet. */
  readonly inFlight: number;
}

/** What the I/O thread tells of a producer. */
export interface ProducerIoStatistics {
  readonly atMs: number;
  readonly brokers: readonly BrokerStatistics[];
  readonly batches: BatchStatistics;
}
