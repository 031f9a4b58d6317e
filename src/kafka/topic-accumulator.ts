import { Partition } from "../message/partition.ts";
import { StickyPartition } from "./partitioners.ts";
import type { ProducerBatch } from "./producer-batch.ts";
import type { WaitingMessages } from "./waiting-messages.ts";

/** What the accumulator keeps for one partition. */
export class PartitionAccumulator {
  readonly partition: Partition;
  open: ProducerBatch | undefined;
  /** Until when the open batch lingers, on the monotonic clock. */
  dueAtMs = 0;
  /** The open batch has lingered, and goes out as soon as one that is on its way has come back. */
  isDue = false;
  /** Batches on their way. */
  outstanding = 0;
  /** The size of the last batch: the next one will be like it. */
  expectedBytes = 0;

  constructor(partition: Partition) {
    this.partition = partition;
  }
}

export interface TopicAccumulatorOptions {
  readonly name: string;
  readonly stickyLingerMs: number;
  readonly waiting: WaitingMessages;
  /** Asks the engine for the topic. */
  readonly request: () => void;
}

/** What the accumulator keeps for one topic. */
export class TopicAccumulator {
  readonly name: string;
  readonly sticky: StickyPartition;
  /** Messages that came before its partitions were known. */
  readonly waiting: WaitingMessages;
  readonly partitions: PartitionAccumulator[] = [];
  /** 0: not known. */
  partitionCount = 0;
  leaderless: ReadonlySet<number> = new Set();
  readonly #request: () => void;
  #isRequested = false;
  #known: PromiseWithResolvers<void> | undefined;

  constructor({ name, stickyLingerMs, waiting, request }: TopicAccumulatorOptions) {
    this.name = name;
    this.sticky = new StickyPartition(stickyLingerMs);
    this.waiting = waiting;
    this.#request = request;
  }

  /** Asks for its partitions, once. */
  request(): void {
    if (this.#isRequested) return;
    this.#isRequested = true;
    this.#request();
  }

  /** Resolves when its partitions are known, which are asked for; rejects when it cannot be used. */
  async known(): Promise<void> {
    if (this.partitionCount > 0) return;
    this.request();
    this.#known ??= Promise.withResolvers();
    await this.#known.promise;
  }

  setPartitions(count: number, leaderless: readonly number[]): void {
    this.partitionCount = count;
    this.leaderless = new Set(leaderless);
    this.#known?.resolve();
    this.#known = undefined;
    while (this.partitions.length < count) {
      this.partitions.push(new PartitionAccumulator(Partition.of(this.name, this.partitions.length)));
    }
  }

  /** It cannot be used. When it is wanted next, its partitions have to be asked for anew. */
  failed(error: Error): void {
    this.#known?.reject(error);
    this.#known = undefined;
    this.partitionCount = 0;
    this.#isRequested = false;
  }
}
