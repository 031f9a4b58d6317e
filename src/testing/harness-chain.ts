import type { Commit } from "../commit/commit.ts";
import { InvalidMessage, MESSAGE_REJECTED } from "../errors.ts";
import type { Committable, Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { isAbout } from "../strategies/invalid.ts";
import type { ProcessingStrategy, ProcessingStrategyFactory } from "../strategies/strategy.ts";

/** A strategy of the chain that is watched, and how far messages have come to it. */
interface WatchedStep {
  readonly name: string;
  readonly reached: Map<Partition, number>;
}

function nameOf(strategy: ProcessingStrategy<never>): string {
  return strategy.name ?? strategy.constructor.name;
}

function advanceTo(reached: Map<Partition, number>, committable: Committable): void {
  for (const [partition, offset] of committable) {
    if (offset > (reached.get(partition) ?? -1)) reached.set(partition, offset);
  }
}

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
      advanceTo(committed, offsets);
      commit(offsets, options);
    };
    const first = await this.#factory.createWithPartitions(watchedCommit, partitions);
    this.#moved();
    const steps: WatchedStep[] = [];
    for (let step: ProcessingStrategy<never> | undefined = first; step !== undefined; step = step.next) {
      steps.push(this.#watch(step));
    }
    this.#steps = steps;
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

  #watch(strategy: ProcessingStrategy<never>): WatchedStep {
    const step: WatchedStep = { name: nameOf(strategy), reached: new Map() };
    const submit = strategy.submit.bind(strategy);
    const isLast = strategy.next === undefined;
    const watched = (message: Submitted<never>): void => {
      this.#moved();
      if (isLast && this.#rejections > 0) {
        this.#rejections--;
        throw MESSAGE_REJECTED;
      }
      try {
        submit(message);
      } catch (error) {
        // It has taken the message in so far as it does not want to see it again.
        if (InvalidMessage.is(error) && isAbout(error, message)) {
          advanceTo(step.reached, message.committable);
        }
        throw error;
      }
      advanceTo(step.reached, message.committable);
    };
    Object.defineProperty(strategy, "submit", { value: watched, configurable: true });
    return step;
  }
}
