import type { ResolvedProducerConfig } from "../config.ts";
import { Backoff } from "./backoff.ts";
import { PartitionQueue } from "./partition-queue.ts";
import { timedOutBatch } from "./produce-errors.ts";
import { partitionKey } from "./protocol.ts";
import type { BatchStatistics } from "./statistics.ts";

type QueuesConfig = Pick<
  ResolvedProducerConfig,
  "retry.backoff.ms" | "retry.backoff.max.ms" | "enable.idempotence" | "message.timeout.ms"
>;

/**
 * The queues of all partitions that were produced to. One that is empty is kept, since its sequence numbers must never start
 * again under the same epoch: the broker would take new messages for those that it has already.
 */
export class PartitionQueues {
  readonly #config: QueuesConfig;
  readonly #queues = new Map<string, PartitionQueue>();

  constructor(config: QueuesConfig) {
    this.#config = config;
  }

  get(topic: string, index: number): PartitionQueue {
    const key = partitionKey({ topic, index });
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      const initialMs = this.#config["retry.backoff.ms"];
      const maxMs = this.#config["retry.backoff.max.ms"];
      const backoff = new Backoff({ initialMs, maxMs });
      queue = new PartitionQueue(topic, index, backoff, this.#config["enable.idempotence"]);
      this.#queues.set(key, queue);
    }
    return queue;
  }

  /** Lets go of all batches of a topic, and gives the ids of those that were not let go of before. */
  dropTopic(topic: string): number[] {
    const ids: number[] = [];
    for (const queue of this.#queues.values()) {
      if (queue.topic !== topic) continue;
      for (const batch of queue.batches.filter(({ isExpired }) => !isExpired)) {
        ids.push(batch.id);
        queue.expire(batch);
      }
    }
    return ids;
  }

  /** Lets go of the batches whose time has run out, and says when the next one's will. */
  expire(nowMs: number, expired: (id: number, error: Error) => void): number {
    const timeoutMs = this.#config["message.timeout.ms"];
    let nextMs = Infinity;
    for (const queue of this.#queues.values()) {
      for (const batch of [...queue.batches]) {
        if (batch.isExpired) continue;
        if (batch.deadlineMs > nowMs) {
          nextMs = Math.min(nextMs, batch.deadlineMs);
        } else {
          queue.expire(batch);
          const problem = batch.isInFlight ? "The broker has not answered yet." : batch.problem;
          expired(batch.id, timedOutBatch(queue.topic, queue.index, timeoutMs, problem));
        }
      }
    }
    return nextMs;
  }

  count(): BatchStatistics {
    let waiting = 0;
    let inFlight = 0;
    for (const queue of this.#queues.values()) {
      for (const batch of queue.batches) {
        if (batch.isInFlight) inFlight++;
        else if (!batch.isExpired) waiting++;
      }
    }
    return { waiting, inFlight };
  }

  clear(): void {
    this.#queues.clear();
  }
}
