import type { MetadataResponse } from "./apis.ts";
import type { BrokerAddress } from "./connection.ts";
import { ErrorCodes } from "./error-codes.ts";

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
  /** A UUID with hyphens; all zeros for a topic that was never known to exist. */
  readonly topicId: string;
  /** 0, or what is the matter with it, such as UNKNOWN_TOPIC_OR_PARTITION. */
  readonly errorCode: number;
  readonly isInternal: boolean;
  /**
   * In the order of their indexes. When `errorCode` is not 0 they are those that were known before: a broker that has just
   * started may not know of a topic yet.
   */
  readonly partitions: readonly PartitionMetadata[];
}

/** Of a topic that does not exist. */
const NO_TOPIC_ID = "00000000-0000-0000-0000-000000000000";

/** The id of a topic, where it is known to exist, or to have existed. */
export function idOf(topic: TopicMetadata | undefined): string | undefined {
  return topic === undefined || topic.topicId === NO_TOPIC_ID ? undefined : topic.topicId;
}

/** Who leads a partition. */
export interface Leader {
  readonly nodeId: number;
  readonly leaderEpoch: number;
}

/** Which topics to ask for: those named, or all. */
export type TopicInterest = ReadonlySet<string> | "all";

type TopicAnswer = MetadataResponse["topics"][number];

/** What is known of the brokers and topics. Answers may come from brokers that are behind, so they are merged with care. */
export class Metadata {
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map();
  readonly #topics = new Map<string, TopicMetadata>();

  get brokers(): ReadonlyMap<number, BrokerAddress> {
    return this.#brokers;
  }

  topic(name: string): TopicMetadata | undefined {
    return this.#topics.get(name);
  }

  /** Those that exist, without Kafka's internal ones. */
  topicNames(): readonly string[] {
    return [...this.#topics.values()]
      .filter((topic) => topic.errorCode === ErrorCodes.NONE && !topic.isInternal)
      .map((topic) => topic.name);
  }

  leader(name: string, index: number): Leader | undefined {
    const partition = this.#topics.get(name)?.partitions[index];
    if (partition === undefined || partition.leader < 0) return undefined;
    return { nodeId: partition.leader, leaderEpoch: partition.leaderEpoch };
  }

  /**
   * Whether a topic that was asked for by name is not as it should be, so that it is worth asking again soon. (Among all
   * topics of a cluster, some partition that nobody here cares for may be without a leader for ever.)
   */
  isIncomplete(interest: TopicInterest): boolean {
    if (interest === "all") return false;
    for (const name of interest) {
      const topic = this.#topics.get(name);
      if (topic === undefined) return true;
      if (topic.errorCode === ErrorCodes.TOPIC_AUTHORIZATION_FAILED) continue;
      if (topic.errorCode === ErrorCodes.INVALID_TOPIC_EXCEPTION) continue;
      if (topic.errorCode !== ErrorCodes.NONE) return true;
      if (topic.partitions.some((partition) => partition.leader < 0)) return true;
    }
    return false;
  }

  /** Takes a leader that a broker named while it answered something else. Ignored unless it is newer. */
  updateLeader(name: string, index: number, nodeId: number, leaderEpoch: number): void {
    const topic = this.#topics.get(name);
    const known = topic?.partitions[index];
    if (topic === undefined || known === undefined || leaderEpoch <= known.leaderEpoch) return;
    const partition = { index, errorCode: ErrorCodes.NONE, leader: nodeId, leaderEpoch };
    this.#topics.set(name, { ...topic, partitions: topic.partitions.with(index, partition) });
  }

  /** Takes a coordinator that is not among the known brokers. */
  addBroker(broker: BrokerAddress): void {
    if (this.#brokers.has(broker.nodeId)) return;
    this.#brokers = new Map(this.#brokers).set(broker.nodeId, broker);
  }

  /** Takes a broker's answer to a request for `interest`, and says whether it changed anything. */
  apply(response: MetadataResponse, interest: TopicInterest): boolean {
    const brokers = new Map(
      response.brokers.map(({ nodeId, host, port }) => [nodeId, { nodeId, host, port }] as const),
    );
    let changed =
      brokers.size !== this.#brokers.size ||
      [...brokers].some(([nodeId, broker]) => !sameAddress(this.#brokers.get(nodeId), broker));
    this.#brokers = brokers;

    const named = new Set<string>();
    for (const answer of response.topics) {
      if (answer.name === null) continue;
      named.add(answer.name);
      const known = this.#topics.get(answer.name);
      const topic = merge(answer.name, answer, known);
      if (known !== undefined && sameTopic(known, topic)) continue;
      this.#topics.set(topic.name, topic);
      changed = true;
    }
    if (interest === "all") {
      for (const name of this.#topics.keys()) {
        if (!named.has(name)) changed = this.#topics.delete(name) || changed;
      }
    }
    return changed;
  }
}

function merge(name: string, answer: TopicAnswer, known: TopicMetadata | undefined): TopicMetadata {
  const { errorCode, topicId, isInternal } = answer;
  if (errorCode !== ErrorCodes.NONE) {
    return known === undefined
      ? { name, topicId, errorCode, isInternal, partitions: [] }
      : { ...known, errorCode };
  }
  // A topic that was deleted and made again has epochs of its own.
  const before = known?.topicId === topicId ? known.partitions : [];
  const partitions: PartitionMetadata[] = [...before];
  for (const { partitionIndex, errorCode: partitionError, leaderId, leaderEpoch } of answer.partitions) {
    const old = before[partitionIndex];
    if (old !== undefined && leaderEpoch < old.leaderEpoch) continue;
    partitions[partitionIndex] = {
      index: partitionIndex,
      errorCode: partitionError,
      leader: leaderId,
      leaderEpoch,
    };
  }
  // An index that no answer has named yet would be a hole in the array.
  const end = partitions.findIndex((partition) => (partition as PartitionMetadata | undefined) === undefined);
  return {
    name,
    topicId,
    errorCode,
    isInternal,
    partitions: end < 0 ? partitions : partitions.slice(0, end),
  };
}

function sameAddress(one: BrokerAddress | undefined, other: BrokerAddress): boolean {
  return one?.host === other.host && one.port === other.port;
}

function sameTopic(one: TopicMetadata, other: TopicMetadata): boolean {
  return (
    one.topicId === other.topicId &&
    one.errorCode === other.errorCode &&
    one.partitions.length === other.partitions.length &&
    one.partitions.every((partition, index) => {
      const against = other.partitions[index];
      return (
        partition.leader === against?.leader &&
        partition.leaderEpoch === against.leaderEpoch &&
        partition.errorCode === against.errorCode
      );
    })
  );
}
