/** A partition, as the brokers last described it. */
export interface PartitionMetadata {
  readonly index: number;
  readonly errorCode: number;
  /** The leader's node id; -1 when there is none at the moment. */
  readonly leader: number;
  readonly leaderEpoch: number;
}

/** A topic, as the brokers last described it. */
export interface TopicMetadata {
  readonly name: string;
  /** A UUID with hyphens; all zeros for a topic that does not exist. */
  readonly topicId: string;
  /** 0, or what is the matter with it, such as UNKNOWN_TOPIC_OR_PARTITION. */
  readonly errorCode: number;
  readonly isInternal: boolean;
  /** In the order of their indexes. */
  readonly partitions: readonly PartitionMetadata[];
}

/** Who leads a partition. */
export interface Leader {
  readonly nodeId: number;
  readonly leaderEpoch: number;
}
