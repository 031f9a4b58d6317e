import { ErrorCodes } from "./error-codes.ts";
import { FetchBroker } from "./fetch-broker.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchPartition } from "./fetch-partition.ts";
import type { FetchTroubles } from "./fetch-troubles.ts";
import { idOf, type Leader, type TopicMetadata } from "./metadata.ts";

/** Which broker each partition is fetched from, by the metadata as it changes. */
export class FetchPlacement {
  readonly #context: FetchContext;
  readonly #troubles: FetchTroubles;
  readonly #brokers = new Map<number, FetchBroker>();
  readonly #byTopicId = new Map<string, Map<number, FetchPartition>>();
  /** Those for which there is no broker now. */
  readonly #homeless = new Set<FetchPartition>();

  constructor(context: FetchContext, troubles: FetchTroubles) {
    this.#context = context;
    this.#troubles = troubles;
  }

  partition(topicId: string, index: number): FetchPartition | undefined {
    return this.#byTopicId.get(topicId)?.get(index);
  }

  /** Finds out anew where to fetch a partition from. */
  place(partition: FetchPartition): void {
    if (partition.ended) return;
    const leader = this.#leader(partition);
    if (partition.ended) return;
    if (leader === undefined) {
      partition.broker?.remove(partition);
      this.#homeless.add(partition);
      this.#context.refresh();
      return;
    }
    this.#homeless.delete(partition);
    if (partition.replica !== undefined && this.#context.clock.monotonicMs() >= partition.replica.untilMs) {
      partition.replica = undefined;
    }
    const nodeId = partition.replica?.nodeId ?? leader.nodeId;
    const isSame =
      partition.broker?.nodeId === nodeId && partition.leader?.leaderEpoch === leader.leaderEpoch;
    partition.leader = leader;
    if (isSame) return;
    // An answer that is still to come from the old leader is not waited for: it may never come.
    partition.broker?.remove(partition);
    partition.retryAtMs = 0;
    this.#broker(nodeId).add(partition);
  }

  /**
   * Tries again for those that have no broker. Returns whether it is worth looking at the metadata again soon: some still
   * have none, or have one that is not to be reached, so that others may be leading by then.
   */
  placeHomeless(): boolean {
    for (const partition of [...this.#homeless]) {
      // The metadata is fresh now, and that is all that can be done about an epoch that it does not know.
      partition.epochIsDoubtful = true;
      this.place(partition);
    }
    if (this.#homeless.size > 0) return true;
    return [...this.#brokers.values()].some((broker) => broker.isLost && broker.partitions.size > 0);
  }

  /** Undoes {@link place}. */
  remove(partition: FetchPartition): void {
    partition.broker?.remove(partition);
    this.#homeless.delete(partition);
    this.#setTopicId(partition, undefined);
  }

  close(): void {
    for (const broker of this.#brokers.values()) broker.close();
  }

  /** The leader by the metadata; undefined when there is none. May end the partition's fetching. */
  #leader(partition: FetchPartition): Leader | undefined {
    const { cluster } = this.#context;
    const topic = cluster.topic(partition.topic);
    if (topic === undefined || this.#isUnknown(topic, partition.index)) {
      this.#troubles.unknown(partition);
      return undefined;
    }
    if (topic.errorCode !== ErrorCodes.NONE) {
      this.#troubles.topicError(partition, topic.errorCode);
      return undefined;
    }
    const knownId = partition.topicId ?? partition.pinnedTopicId;
    if (knownId !== undefined && knownId !== topic.topicId) {
      this.#troubles.otherTopic(partition);
      return undefined;
    }
    this.#setTopicId(partition, topic.topicId);
    const leader = cluster.leader(partition.topic, partition.index);
    if (leader === undefined) {
      this.#troubles.noLeader(partition);
      return undefined;
    }
    // The position was read under a newer leader than the one that we know of: an old leader might not have it.
    const isOutdated = leader.leaderEpoch >= 0 && leader.leaderEpoch < partition.lastEpoch;
    return isOutdated && !partition.epochIsDoubtful ? undefined : leader;
  }

  #isUnknown(topic: TopicMetadata, index: number): boolean {
    if (topic.errorCode !== ErrorCodes.NONE) return topic.errorCode === ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION;
    return idOf(topic) === undefined || !topic.partitions.some((partition) => partition.index === index);
  }

  #broker(nodeId: number): FetchBroker {
    let broker = this.#brokers.get(nodeId);
    if (broker === undefined) {
      broker = new FetchBroker(nodeId, this.#context, this.#troubles);
      this.#brokers.set(nodeId, broker);
    }
    return broker;
  }

  #setTopicId(partition: FetchPartition, topicId: string | undefined): void {
    if (partition.topicId === topicId) return;
    if (partition.topicId !== undefined) {
      const siblings = this.#byTopicId.get(partition.topicId);
      siblings?.delete(partition.index);
      if (siblings?.size === 0) this.#byTopicId.delete(partition.topicId);
    }
    partition.topicId = topicId;
    if (topicId === undefined) return;
    let siblings = this.#byTopicId.get(topicId);
    if (siblings === undefined) {
      siblings = new Map();
      this.#byTopicId.set(topicId, siblings);
    }
    siblings.set(partition.index, partition);
  }
}
