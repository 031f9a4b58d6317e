import { sealBatch } from "../records/batch-writer.ts";
import type { Codec } from "../records/compression.ts";
import type { Backoff } from "./backoff.ts";
import type { OutgoingBatch } from "./producer-protocol.ts";

/** A batch until it is delivered or has failed. It is compressed and sealed once, however often it is sent. */
export class QueuedBatch {
  readonly id: number;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  tries = 0;
  /** Sent, without an answer yet. */
  isInFlight = false;
  /** Failed because its time ran out, though an answer may still come. */
  isExpired = false;
  /** What kept it from being delivered, as a sentence. */
  problem = "It has not been sent yet.";
  #written: OutgoingBatch | undefined;
  #sealed: Buffer | undefined;

  constructor(written: OutgoingBatch, nowMs: number) {
    this.id = written.id;
    this.deadlineMs = nowMs + written.timeoutMs;
    this.#written = written;
  }

  /** How much it takes on the wire; before it is sealed, at the most. */
  get bytes(): number {
    return this.#sealed?.length ?? this.#written!.length;
  }

  /** The bytes to send. */
  seal(codec: Codec): Buffer {
    if (this.#sealed === undefined) {
      this.#sealed = sealBatch(this.#written!, codec);
      this.#written = undefined;
    }
    return this.#sealed;
  }
}

/**
 * How many batches of one partition may be under way at once. More than one would let a later batch overtake one that has
 * to be sent again; only with sequence numbers (idempotence) does the broker keep them in order.
 */
const WINDOW = 1;

/** The batches of one partition, in order: first those in flight, then those that wait. */
export class PartitionQueue {
  readonly topic: string;
  readonly index: number;
  readonly batches: QueuedBatch[] = [];
  readonly backoff: Backoff;
  /** Waits before it tries again. */
  isBackingOff = false;

  constructor(topic: string, index: number, backoff: Backoff) {
    this.topic = topic;
    this.index = index;
    this.backoff = backoff;
  }

  /** The batch to send next; undefined when there is none, or it is not its time. */
  get next(): QueuedBatch | undefined {
    if (this.isBackingOff) return undefined;
    for (let i = 0; i < this.batches.length && i < WINDOW; i++) {
      const batch = this.batches[i]!;
      if (!batch.isInFlight) return batch;
    }
    return undefined;
  }

  remove(batch: QueuedBatch): void {
    const at = this.batches.indexOf(batch);
    if (at >= 0) this.batches.splice(at, 1);
  }
}
