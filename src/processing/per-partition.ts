import type { Consumer } from "../backend/consumer.ts";
import type { Commit } from "../commit/commit.ts";
import { InvalidMessage, InvalidStateError, MessageRejected } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import type { Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { MetricName } from "../metrics/names.ts";
import { isAbout, takeOverCommit } from "../strategies/invalid.ts";
import { Lifecycle } from "../strategies/lifecycle.ts";
import type {
  ProcessingStrategy,
  ProcessingStrategyFactory,
  StrategyRuntime,
} from "../strategies/strategy.ts";
import { PartitionLane } from "./partition-lane.ts";

/** How soon a lane that was held up is tried again when nothing wakes it. */
const RETRY_MS = 5;

/**
 * Runs one chain for each partition side by side, so that one that is held up holds up no other: its partition is paused
 * meanwhile, and what had already been taken waits in its lane. Order, back-pressure, invalid messages and commits are
 * each partition's own. (Arroyo's per-partition queues.)
 */
class PerPartition<T> implements ProcessingStrategy<T> {
  readonly name = "PerPartition";
  readonly #lifecycle = new Lifecycle(this.name);
  readonly #lanes: readonly PartitionLane<T>[];
  readonly #byPartition: ReadonlyMap<Partition, PartitionLane<T>>;
  readonly #consumer: Pick<Consumer<T>, "pause" | "resume" | "tell">;
  /** Invalid messages that lanes have reported at once in a join: each goes out with a call of its own. */
  readonly #invalid: InvalidMessage[] = [];
  #runtime: StrategyRuntime | undefined;
  /** Where a poll begins, so that a lane that throws keeps no other from its poll. */
  #turn = 0;

  constructor(
    lanes: ReadonlyMap<Partition, PartitionLane<T>> | PartitionLane<T>,
    consumer: Pick<Consumer<T>, "pause" | "resume" | "tell">,
  ) {
    this.#byPartition = lanes instanceof PartitionLane ? new Map() : lanes;
    this.#lanes = lanes instanceof PartitionLane ? [lanes] : [...lanes.values()];
    this.#consumer = consumer;
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
    for (const lane of this.#lanes) lane.attach(runtime);
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    const lane = this.#laneOf(message);
    if (lane.waiting === 0) {
      try {
        lane.chain.submit(message);
        return;
      } catch (error) {
        if (!MessageRejected.is(error)) throw error;
      }
      this.#pause(lane);
    }
    // What the processor puts in the place of an invalid message comes before what waits already.
    if (message.partition === undefined) lane.putFirst(message);
    else lane.putLast(message);
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    const lanes = this.#lanes;
    for (let count = lanes.length; count > 0; count--) {
      this.#turn = (this.#turn + 1) % lanes.length;
      const lane = lanes[this.#turn]!;
      this.#catchUp(lane);
      lane.poll();
    }
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    if (!this.#lifecycle.terminate()) return;
    for (const lane of this.#lanes) {
      lane.chain.terminate();
      this.#resume(lane);
    }
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      const outcomes = await Promise.allSettled(this.#lanes.map((lane) => lane.join(deadline)));
      for (const lane of this.#lanes) this.#resume(lane);
      for (const outcome of outcomes) {
        if (outcome.status === "fulfilled") continue;
        if (!InvalidMessage.is(outcome.reason)) throw outcome.reason;
        this.#invalid.push(outcome.reason);
      }
      const invalid = this.#invalid.shift();
      if (invalid !== undefined) throw invalid;
    });
  }

  #laneOf(message: Submitted<T>): PartitionLane<T> {
    const partition = message.partition ?? message.committable.keys().next().value;
    const lane = partition === undefined ? undefined : this.#byPartition.get(partition);
    if (lane === undefined) {
      throw new InvalidStateError(`There is no chain for a message of ${partition}: it was not assigned.`);
    }
    return lane;
  }

  /** Submits what waits, as far as the chain takes it. */
  #catchUp(lane: PartitionLane<T>): void {
    for (let message = lane.first; message !== undefined; message = lane.first) {
      try {
        lane.chain.submit(message);
      } catch (error) {
        if (MessageRejected.is(error)) {
          this.#retrySoon();
          return;
        }
        if (InvalidMessage.is(error) && isAbout(error, message)) {
          lane.takeFirst();
          if (takeOverCommit(error) && message.payload !== FILTERED_PAYLOAD) {
            lane.putFirst(message.replace(FILTERED_PAYLOAD));
          }
        }
        throw error;
      }
      lane.takeFirst();
    }
    this.#resume(lane);
  }

  #pause(lane: PartitionLane<T>): void {
    this.#retrySoon();
    if (lane.partition === undefined || lane.paused) return;
    lane.paused = true;
    this.#consumer.pause([lane.partition]);
    this.#runtime!.metrics.increment(MetricName.PAUSE);
  }

  #retrySoon(): void {
    const runtime = this.#runtime!;
    runtime.wakeAt(runtime.clock.monotonicMs() + RETRY_MS);
  }

  #resume(lane: PartitionLane<T>): void {
    if (lane.partition === undefined || !lane.paused) return;
    lane.paused = false;
    // It may be gone already, when this is the end of a revocation.
    if (!this.#consumer.tell().has(lane.partition)) return;
    this.#consumer.resume([lane.partition]);
    this.#runtime!.metrics.increment(MetricName.RESUME);
  }
}

/** Makes the chains of {@link PerPartition}: the user's factory is asked once for each partition. */
export function perPartition<T>(
  factory: ProcessingStrategyFactory<T>,
  consumer: Pick<Consumer<T>, "pause" | "resume" | "tell">,
): ProcessingStrategyFactory<T> {
  return {
    async createWithPartitions(commit: Commit, partitions: ReadonlyMap<Partition, number>) {
      if (partitions.size === 0) {
        const standby = await factory.createWithPartitions(commit, partitions);
        return new PerPartition<T>(new PartitionLane(undefined, standby), consumer);
      }
      const lanes = new Map<Partition, PartitionLane<T>>();
      try {
        for (const [partition, offset] of partitions) {
          const chain = await factory.createWithPartitions(commit, new Map([[partition, offset]]));
          lanes.set(partition, new PartitionLane(partition, chain));
        }
      } catch (error) {
        for (const lane of lanes.values()) lane.chain.terminate();
        throw error;
      }
      return new PerPartition(lanes, consumer);
    },
    async shutdown() {
      await factory.shutdown?.();
    },
  };
}
