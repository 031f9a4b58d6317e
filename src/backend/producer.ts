import type { Partition } from "../message/partition.ts";
import type { Topic } from "../message/topic.ts";

/** Where a produced message ended up. */
export interface Delivery {
  readonly partition: Partition;
  /** -1, rarely: the brokers have the message, but no longer remember where. */
  readonly offset: number;
  readonly timestampMs: number;
}

/** Messages that go to the brokers together: all of them are delivered, or all fail. */
export interface SentBatch {
  readonly state: "sent" | "delivered" | "failed";
  /** Why it has failed. */
  readonly error: Error | undefined;
}

/** Is told, once for each batch, that it has been delivered or has failed. */
export type BatchSettled = (batch: SentBatch) => void;

/** Writes messages. (Arroyo's `Producer`.) */
export interface Producer<in T> extends AsyncDisposable {
  /**
   * Sends a message to a topic (the partitioner chooses) or to a partition, and resolves once the broker has it.
   *
   * @throws ProducerError (the promise rejects); `ProducerError.isQueueFull` when too much is in flight already. All further
   * calls in the same turn of the event loop are refused then, so that messages can be sent again in their order.
   */
  produce(destination: Topic | Partition | string, payload: T): Promise<Delivery>;
  /**
   * Sends a message as {@link produce} does, for whoever sends many and wants no promise for each: says in which batch it
   * goes. "full" when too much is in flight already, and undefined when only {@link produce} can tell what becomes of it: then
   * nothing was sent. Producers need not have it.
   */
  enqueue?(topic: Topic, payload: T, onSettled: BatchSettled): SentBatch | "full" | undefined;
  /** Sends what waits, and resolves when everything that was produced before has been delivered or has failed. */
  flush(timeoutMs?: number): Promise<void>;
  /** Flushes, within `timeoutMs` (default 5,000), fails what is left and lets go of everything. */
  close(timeoutMs?: number): Promise<void>;
}
