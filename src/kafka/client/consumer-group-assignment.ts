import type { TopicPartitions } from "./consumer-group-apis.ts";
import type { PartitionId } from "./protocol.ts";

/** A partition with the id of its topic: one that was deleted and made again is another. */
export interface OwnedPartition extends PartitionId {
  readonly topicId: string;
}

function keyOf({ topicId, index }: OwnedPartition): string {
  return `${topicId}:${index}`;
}

/** What this member has, and what the coordinator wants it to have. */
export class ConsumerGroupAssignment {
  readonly #nameOf: (topicId: string) => string | undefined;
  #target: readonly TopicPartitions[] = [];
  readonly #owned = new Map<string, OwnedPartition>();

  /** @param nameOf the name of a topic, as far as it is known */
  constructor(nameOf: (topicId: string) => string | undefined) {
    this.#nameOf = nameOf;
  }

  /** The coordinator wants this from now on. */
  aim(target: readonly TopicPartitions[]): void {
    this.#target = target;
  }

  get owned(): readonly OwnedPartition[] {
    return [...this.#owned.values()];
  }

  /** What is owned, as the coordinator is told of it. */
  get report(): readonly TopicPartitions[] {
    const byTopic = Map.groupBy(this.#owned.values(), ({ topicId }) => topicId);
    return [...byTopic].map(([topicId, partitions]) => ({
      topicId,
      partitions: partitions.map(({ index }) => index).toSorted((a, b) => a - b),
    }));
  }

  /** What is to be handed over. */
  get excess(): readonly OwnedPartition[] {
    const wanted = new Set(
      this.#target.flatMap(({ topicId, partitions }) => partitions.map((index) => `${topicId}:${index}`)),
    );
    return this.owned.filter((partition) => !wanted.has(keyOf(partition)));
  }

  /** What is to be taken, as far as the names of the topics are known. */
  get missing(): readonly OwnedPartition[] {
    return this.#target.flatMap(({ topicId, partitions }) => {
      const topic = this.#nameOf(topicId);
      if (topic === undefined) return [];
      return partitions
        .map((index): OwnedPartition => ({ topicId, topic, index }))
        .filter((partition) => !this.#owned.has(keyOf(partition)));
    });
  }

  /** Whether something is to be taken of topics whose names are not known yet. */
  get isUnclear(): boolean {
    return this.#target.some(
      ({ topicId, partitions }) =>
        partitions.some((index) => !this.#owned.has(`${topicId}:${index}`)) &&
        this.#nameOf(topicId) === undefined,
    );
  }

  take(partitions: readonly OwnedPartition[]): void {
    for (const partition of partitions) this.#owned.set(keyOf(partition), partition);
  }

  give(partitions: readonly OwnedPartition[]): void {
    for (const partition of partitions) this.#owned.delete(keyOf(partition));
  }

  /** The membership has ended: nothing is owned, nothing is wanted. Returns what was owned. */
  clear(): readonly OwnedPartition[] {
    const owned = this.owned;
    this.#owned.clear();
    this.#target = [];
    return owned;
  }
}
