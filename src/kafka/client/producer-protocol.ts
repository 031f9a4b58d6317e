import type { LogEvent } from "./protocol.ts";
import type { SerializedError } from "./serialized-error.ts";
import type { ProducerIoStatistics } from "./statistics.ts";

/**
 * What crosses between a producer on the main thread and its engine on the I/O thread: whole batches one way, what became
 * of them the other. Nothing crosses for a single message.
 */

/** A batch that is written, but not yet compressed and sealed (`records/batch-writer.ts`). */
export interface OutgoingBatch {
  /** Names it in the answer. */
  readonly id: number;
  readonly topic: string;
  readonly index: number;
  readonly buffer: ArrayBuffer;
  readonly length: number;
  readonly recordCount: number;
  /** How long its delivery may still take. */
  readonly timeoutMs: number;
}

export type ProducerCommand =
  /** How many partitions does it have? Answered by `topic` or `topicFailed`. */
  | { readonly type: "topic"; readonly name: string }
  /** Can it work? Answered by `probed`. */
  | { readonly type: "probe" }
  | { readonly type: "batches"; readonly batches: readonly OutgoingBatch[] }
  /** Drop everything. */
  | { readonly type: "close" };

export interface DeliveredBatch {
  readonly id: number;
  /** Of its first record; -1 when the brokers have the batch but do not remember where. */
  readonly baseOffset: number;
  /** Of all its records, where the topic takes its timestamps from the broker; otherwise -1. */
  readonly appendTimeMs: number;
}

export type ProducerEvent =
  /** Comes again whenever it has changed. */
  | {
      readonly type: "topic";
      readonly name: string;
      readonly partitions: number;
      readonly leaderless: readonly number[];
    }
  /** Nothing can be sent there. Its batches have failed already. */
  | { readonly type: "topicFailed"; readonly name: string; readonly error: SerializedError }
  | { readonly type: "delivered"; readonly batches: readonly DeliveredBatch[] }
  | { readonly type: "failed"; readonly ids: readonly number[]; readonly error: SerializedError }
  /** A broker was reached, and gave an id if one is needed; or says that this will never be so. */
  | { readonly type: "probed"; readonly error?: SerializedError }
  /** So many batches had to be sent again. */
  | { readonly type: "retried"; readonly batches: number }
  /** The engine is of no use. */
  | { readonly type: "fatal"; readonly error: SerializedError }
  | LogEvent
  /** Every `statistics.interval.ms`. */
  | { readonly type: "statistics"; readonly statistics: ProducerIoStatistics }
  | { readonly type: "closed" };
