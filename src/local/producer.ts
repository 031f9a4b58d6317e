import { crc32 } from "node:zlib";
import type { Delivery, Producer } from "../backend/producer.ts";
import { deadlineAfter } from "../clock.ts";
import { ConfigurationError, DeadlineError, ErrorCode, InvalidStateError, ProducerError } from "../errors.ts";
import { Partition } from "../message/partition.ts";
import { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import type { BrokerCore } from "./core.ts";
import type { PartitionLog } from "./partition-log.ts";

const DEFAULT_CLOSE_MS = 5_000;

interface InFlight {
  readonly promise: Promise<Delivery>;
  readonly reject: (error: Error) => void;
}

/**
 * Writes to topics of a `LocalBroker`: made by its `producer` method. The contract is {@link Producer}'s.
 *
 * Messages with the same key go to the same partition, the one that `KafkaProducer` chooses by default (`consistent_random`,
 * librdkafka's default); those without a key, or with an empty one, go to each partition in turn.
 */
export class LocalProducer implements Producer<KafkaPayload> {
  readonly #core: BrokerCore;
  readonly #inFlight = new Set<InFlight>();
  #turn = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(core: BrokerCore) {
    this.#core = core;
  }

  produce(destination: Topic | Partition | string, payload: KafkaPayload): Promise<Delivery> {
    const log = this.#logFor(destination, payload);
    if (log instanceof Error) return Promise.reject(log);
    const { partition } = log;
    const timestampMs = this.#core.clock.nowMs();
    const { promise, resolve, reject } = Promise.withResolvers<Delivery>();
    const inFlight: InFlight = { promise, reject };
    this.#inFlight.add(inFlight);
    log.append({
      payload,
      timestampMs,
      stored: (offset) => {
        this.#inFlight.delete(inFlight);
        resolve({ partition, offset, timestampMs });
      },
      failed: (cause) => {
        this.#inFlight.delete(inFlight);
        reject(new ProducerError(`A message for ${partition} was not stored: ${cause.message}`, { cause }));
      },
    });
    return promise;
  }

  /** @throws DeadlineError when `timeoutMs` has passed before everything was delivered or had failed. */
  async flush(timeoutMs?: number): Promise<void> {
    const all = Promise.allSettled(Array.from(this.#inFlight, ({ promise }) => promise));
    if (timeoutMs === undefined) {
      await all;
      return;
    }
    using deadline = deadlineAfter(this.#core.clock, timeoutMs);
    const { promise: late, reject } = Promise.withResolvers<never>();
    deadline.addEventListener("abort", () => {
      reject(new DeadlineError(`${this.#inFlight.size} messages were not stored within ${timeoutMs} ms.`));
    });
    await Promise.race([all, late]);
  }

  close(timeoutMs: number = DEFAULT_CLOSE_MS): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    try {
      await this.flush(timeoutMs);
    } catch (cause) {
      for (const { reject } of this.#inFlight) {
        reject(
          new ProducerError("The producer was closed before the message was stored; it may yet be.", {
            code: ErrorCode.CLOSED,
            cause,
          }),
        );
      }
    }
    this.#core.forget(this);
  }

  /** The log that a message goes to, or why it goes nowhere. */
  #logFor(destination: Topic | Partition | string, payload: KafkaPayload): PartitionLog | Error {
    if (this.#closing !== undefined)
      return new InvalidStateError("produce() after close(): make a new producer.");
    if (!(payload instanceof KafkaPayload)) {
      return new ConfigurationError(
        "What is produced must be a KafkaPayload: new KafkaPayload(key, value, headers).",
      );
    }
    const name = destination instanceof Partition ? destination.topic.name : String(destination);
    const logs = this.#core.storage.topics.get(name);
    if (logs === undefined) {
      return new ProducerError(
        `Topic "${name}" does not exist: create it with createTopic(), or correct its name.`,
      );
    }
    if (!(destination instanceof Partition)) return logs[this.#choose(payload.key, logs.length)]!;
    return (
      logs[destination.index] ??
      new ProducerError(`Topic "${name}" has no partition ${destination.index}: it has ${logs.length}.`)
    );
  }

  #choose(key: Buffer | null, partitions: number): number {
    if (partitions === 1) return 0;
    if (key !== null && key.length > 0) return crc32(key) % partitions;
    this.#turn = (this.#turn + 1) % partitions;
    return this.#turn;
  }
}
