import { Partition } from "../message/partition.ts";
import { MemoryLog } from "./memory-log.ts";
import type { PartitionLog } from "./partition-log.ts";

/** Partition to the next offset to read. */
export type Offsets = ReadonlyMap<Partition, number>;

/** What a broker keeps: the logs of its topics, and what its groups have committed. */
export interface Storage {
  /** Topic name to its logs, by partition index. */
  readonly topics: ReadonlyMap<string, readonly PartitionLog[]>;
  /** @throws StorageError when it cannot be made; then there is nothing of it. */
  createTopic(name: string, partitions: number): Promise<void>;
  /** What a group has committed. */
  committed(group: string): Offsets;
  /**
   * Commits, all or nothing, before it returns: so nobody can get in between whoever checks who owns a partition, and the
   * commit.
   *
   * @throws StorageError when it cannot be written; then nothing is committed.
   */
  commit(group: string, offsets: Offsets): void;
  /** Stores what waits, and lets go of everything. */
  close(): Promise<void>;
}

/** Committed offsets by group. */
export class CommittedOffsets {
  readonly #groups = new Map<string, Map<Partition, number>>();

  of(group: string): Offsets {
    return this.#groups.get(group) ?? new Map();
  }

  set(group: string, offsets: Iterable<readonly [Partition, number]>): void {
    const committed = this.#groups.get(group) ?? new Map<Partition, number>();
    this.#groups.set(group, committed);
    for (const [partition, offset] of offsets) committed.set(partition, offset);
  }

  groups(): IterableIterator<[string, Offsets]> {
    return this.#groups.entries();
  }
}

/** Keeps everything in memory. */
export class MemoryStorage implements Storage {
  readonly topics: Map<string, readonly PartitionLog[]> = new Map();
  readonly #committed = new CommittedOffsets();

  async createTopic(name: string, partitions: number): Promise<void> {
    const logs = Array.from({ length: partitions }, (_, index) => new MemoryLog(Partition.of(name, index)));
    this.topics.set(name, logs);
  }

  committed(group: string): Offsets {
    return this.#committed.of(group);
  }

  commit(group: string, offsets: Offsets): void {
    this.#committed.set(group, offsets);
  }

  async close(): Promise<void> {}
}
