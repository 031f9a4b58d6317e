import type { Commit } from "../commit/commit.ts";
import { MESSAGE_REJECTED } from "../errors.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { ProcessingStrategy, ProcessingStrategyFactory } from "../strategies/strategy.ts";
import { watchSteps, type WatchedStep } from "../strategies/watched-steps.ts";

/**
 * Watches the chains that a factory makes from outside: how far messages have come to each strategy, so that the one that
 * holds them can be named, and rejections at the last one.
 */
export class WatchedChain implements ProcessingStrategyFactory<KafkaPayload> {
  readonly #factory: ProcessingStrategyFactory<KafkaPayload>;
  readonly #moved: () => void;
  #steps: readonly WatchedStep[] = [];
  #committed = new Map<Partition, number>();
  #rejections = 0;

  /** `moved` is called whenever anything has gone on. */
  constructor(factory: ProcessingStrategyFactory<KafkaPayload>, moved: () => void) {
    this.#factory = factory;
    this.#moved = moved;
    // Only if the factory has it: that it is there says that a running chain takes partitions in.
    if (factory.updatePartitions !== undefined) {
      this.updatePartitions = (partitions) => factory.updatePartitions?.(partitions);
    }
  }

  updatePartitions?: (partitions: ReadonlyMap<Partition, number>) => void;

  async createWithPartitions(
    commit: Commit,
    partitions: ReadonlyMap<Partition, number>,
  ): Promise<ProcessingStrategy<KafkaPayload>> {
    const committed = new Map<Partition, number>();
    const watchedCommit: Commit = (offsets, options) => {
      this.#moved();
      for (const [partition, offset] of offsets) {
        if (offset > (committed.get(partition) ?? -1)) committed.set(partition, offset);
      }
      commit(offsets, options);
    };
    const first = await this.#factory.createWithPartitions(watchedCommit, partitions);
    this.#moved();
    this.#steps = watchSteps(first, (_at, isLast) => {
      this.#moved();
      if (!isLast || this.#rejections === 0) return;
      this.#rejections--;
      throw MESSAGE_REJECTED;
    });
    this.#committed = committed;
    return first;
  }

  async shutdown(): Promise<void> {
    await this.#factory.shutdown?.();
  }

  /** The last strategy rejects the next so many messages. */
  rejectNext(times: number): void {
    this.#rejections += times;
  }

  /** The last strategy that still holds messages, by its name; undefined when all have been passed on and committed. */
  get holder(): string | undefined {
    for (const [at, { name, reached }] of this.#steps.entries()) {
      const next = this.#steps[at + 1]?.reached ?? this.#committed;
      for (const [partition, offset] of reached) if (offset > (next.get(partition) ?? -1)) return name;
    }
    return undefined;
  }

  /** Up to where the first strategy has taken messages of a partition. */
  takenUpTo(partition: Partition): number | undefined {
    return this.#steps[0]?.reached.get(partition);
  }

  /** The name of the first strategy: the one that the processor submits to. */
  get first(): string | undefined {
    return this.#steps[0]?.name;
  }
}
