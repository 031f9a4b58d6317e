import type { ClockTimer } from "../clock.ts";
import type { Delivery } from "../backend/producer.ts";
import { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import type { Generation } from "./in-flight.ts";
import { StickyPartition } from "./partitioners.ts";
import type { ProducerBatch } from "./producer-batch.ts";

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

/** A message whose topic is not known yet. */
export interface WaitingMessage {
  readonly index: number;
  readonly payload: KafkaPayload;
  readonly settle: (delivery: Promise<Delivery>) => void;
  readonly fail: (error: Error) => void;
  readonly bytes: number;
  readonly generation: Generation;
  readonly producedAtMs: number;
  readonly timestampMs: number;
}

/** What the accumulator keeps for one topic. */
export class TopicAccumulator {
  readonly name: string;
  readonly sticky: StickyPartition;
  readonly partitions: PartitionAccumulator[] = [];
  /** 0: not known. */
  partitionCount = 0;
  leaderless: ReadonlySet<number> = new Set();
  /** Whether the engine was asked for it. */
  requested = false;
  /** In the order in which they were produced. */
  readonly waiting: WaitingMessage[] = [];
  expiry: ClockTimer | undefined;

  /** @throws ConfigurationError for a name that Kafka does not allow. */
  constructor(name: string, stickyLingerMs: number) {
    this.name = Topic.of(name).name;
    this.sticky = new StickyPartition(stickyLingerMs);
  }

  setPartitions(count: number, leaderless: readonly number[]): void {
    this.partitionCount = count;
    this.leaderless = new Set(leaderless);
    while (this.partitions.length < count) {
      this.partitions.push(new PartitionAccumulator(Partition.of(this.name, this.partitions.length)));
    }
  }

  /** Its partitions have to be asked for anew. */
  forget(): void {
    this.partitionCount = 0;
    this.requested = false;
  }
}
