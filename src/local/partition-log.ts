import type { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";

/** A message on its way into a log. */
export interface Append {
  readonly payload: KafkaPayload;
  readonly timestampMs: number;
  /** It is stored, at this offset. */
  readonly stored: (offset: number) => void;
  /** It is not stored, and never will be. */
  readonly failed: (error: Error) => void;
}

/** The messages of one partition, in the order of their offsets, which start at 0 and have no gaps. */
export interface PartitionLog {
  readonly partition: Partition;
  /** The offset that the next message gets. Whatever is below it is stored and can be read. */
  readonly endOffset: number;
  append(append: Append): void;
  /** Calls back whenever the end has moved; returns the way to stop it. */
  onGrow(listener: () => void): () => void;
  reader(): LogReader;
}

/** Reads one log, for one consumer: it is cheap to read on where the last read ended. */
export interface LogReader {
  /**
   * Adds the messages from `offset` on that are at hand, at most so many. None, though there are some in the log, means
   * that they have to be loaded first.
   *
   * @throws StorageError when the first of them is damaged.
   */
  take(offset: number, maxMessages: number, into: BrokerMessage<KafkaPayload>[]): void;
  /** Brings messages from `offset` on to hand. */
  load(offset: number): Promise<void>;
}

/** Who wants to know when a log grows. */
export class GrowListeners {
  readonly #listeners = new Set<() => void>();

  add(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  call(): void {
    for (const listener of this.#listeners) listener();
  }
}
