import type { Delivery, Producer } from "../backend/producer.ts";
import { ErrorCode, ProducerError } from "../errors.ts";
import type { Partition } from "../message/partition.ts";
import { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import { soloBatchSize } from "./records/batch-writer.ts";

interface HeldMessage {
  readonly destination: Topic | Partition | string;
  readonly payload: KafkaPayload;
  readonly settle: (delivery: Promise<Delivery>) => void;
  readonly fail: (error: Error) => void;
}

export interface HeldMessagesOptions {
  /** How many may be on their way in all. */
  readonly maxMessages: number;
  /** How many bytes may be held. */
  readonly maxBytes: number;
  /** How many are on their way besides these. */
  readonly others: () => number;
}

/** Messages that wait, in order, for the producer that they are meant for. */
export class HeldMessages {
  readonly #options: HeldMessagesOptions;
  #messages: HeldMessage[] = [];
  #bytes = 0;

  constructor(options: HeldMessagesOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#messages.length;
  }

  push(destination: Topic | Partition | string, payload: KafkaPayload): Promise<Delivery> {
    const { maxMessages, maxBytes, others } = this.#options;
    if (this.#messages.length + others() >= maxMessages || this.#bytes >= maxBytes) {
      const error = new ProducerError(
        `The producer's queue is full: ${this.#messages.length} messages wait until those before them are delivered, ` +
          "since its settings are being swapped. Wait for deliveries.",
        { code: ErrorCode.PRODUCER_QUEUE_FULL },
      );
      return Promise.reject(error);
    }
    const { promise, resolve: settle, reject: fail } = Promise.withResolvers<Delivery>();
    // Anything else is refused by the producer.
    if (payload instanceof KafkaPayload) this.#bytes += soloBatchSize(payload);
    this.#messages.push({ destination, payload, settle, fail });
    return promise;
  }

  /** Gives all of them to their producer. */
  release(producer: Producer<KafkaPayload>): void {
    for (const { destination, payload, settle } of this.#take()) {
      settle(producer.produce(destination, payload));
    }
  }

  fail(error: Error): void {
    for (const { fail } of this.#take()) fail(error);
  }

  #take(): readonly HeldMessage[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    return messages;
  }
}
