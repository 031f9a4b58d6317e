import type { Delivery, Producer } from "../backend/producer.ts";
import { deadlineAfter, systemClock } from "../clock.ts";
import { ConfigurationError, DeadlineError, InvalidStateError, ProducerError } from "../errors.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Partition } from "../message/partition.ts";
import { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import { Accumulator } from "./accumulator.ts";
import { abortable, AbortedError } from "./client/abortable.ts";
import { openProducer, type ClientPort } from "./client/io-thread.ts";
import type { ProducerCommand, ProducerEvent } from "./client/producer-protocol.ts";
import { deserializeError } from "./client/serialized-error.ts";
import { resolveProducerConfig, type KafkaProducerConfig } from "./config.ts";

const DEFAULT_CLOSE_MS = 5_000;
/** How long the I/O thread may take to let go of its connections. */
const ENGINE_CLOSE_MS = 1_000;

export interface KafkaProducerOptions {
  /** Where log lines go; standard error by default. */
  readonly logger?: Logger | undefined;
  /** Where metrics go; nowhere by default. */
  readonly metrics?: Metrics | undefined;
}

/**
 * Writes messages to Apache Kafka. They are gathered into batches by partition (`linger.ms`, `batch.size`), and each
 * message's promise resolves when the brokers have acknowledged its batch, as `acks` asks for (by default: all in-sync
 * replicas). What fails for a passing reason is sent again, to the new leader if there is one, until `message.timeout.ms`
 * has passed. Messages of one partition arrive in the order in which they were produced, each once; without
 * `enable.idempotence`, one whose acknowledgement was lost may arrive twice.
 *
 * Encoding runs on the main thread; compression and everything that has to do with the network run on the I/O thread.
 *
 * The contract is {@link Producer}'s. The configuration has librdkafka's keys: docs/configuration.md lists them.
 */
export class KafkaProducer implements Producer<KafkaPayload> {
  readonly #logger: Logger;
  readonly #client: ClientPort;
  readonly #accumulator: Accumulator;
  readonly #engineClosed = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  /** Why nothing is taken any more. */
  #refusal: Error | undefined;

  /** @throws ConfigurationError for a key that is unknown, or a value that is out of range, before any connection. */
  constructor(config: KafkaProducerConfig, options: KafkaProducerOptions = {}) {
    const resolved = resolveProducerConfig(config);
    this.#logger = options.logger ?? stderrLogger;
    this.#client = openProducer(resolved, (error) => this.#threadFailed(error));
    this.#accumulator = new Accumulator({
      config: resolved,
      clock: systemClock,
      metrics: options.metrics,
      send: (command, transfer) => this.#send(command, transfer),
    });
    this.#client.port.on("message", (event: ProducerEvent) => this.#receive(event));
  }

  /** How many messages are on their way: produced, and neither delivered nor failed. */
  get inFlight(): number {
    return this.#accumulator.inFlight;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Sends a message to a topic, where the `partitioner` chooses, or to a partition. Resolves once the brokers have it.
   * Leave the payload's bytes as they are until then.
   *
   * The promise rejects with a ProducerError when the message could not be delivered; with one for which
   * `ProducerError.isQueueFull` is true, at once, when too much is in flight: try again when something was delivered.
   */
  produce(destination: Topic | Partition | string, payload: KafkaPayload): Promise<Delivery> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    try {
      if (!(payload instanceof KafkaPayload)) {
        throw new ConfigurationError(
          `A KafkaProducer takes a KafkaPayload, not ${payload === null ? "null" : typeof payload}: ` +
            "wrap it in new KafkaPayload(key, value).",
        );
      }
      if (typeof destination === "string") return this.#accumulator.produce(destination, -1, payload);
      // By what it has: a Partition of a second installed copy is of another class.
      if ("topic" in destination) {
        return this.#accumulator.produce(destination.topic.name, destination.index, payload);
      }
      return this.#accumulator.produce(destination.name, -1, payload);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /**
   * Sends what waits, and resolves when everything that was produced before has been delivered or has failed.
   *
   * @throws DeadlineError after `timeoutMs`; by default it waits for as long as deliveries may take.
   */
  async flush(timeoutMs: number = Infinity): Promise<void> {
    const settled = this.#accumulator.flush();
    if (timeoutMs === Infinity) return settled;
    using deadline = deadlineAfter(systemClock, timeoutMs);
    try {
      await abortable(settled, deadline);
    } catch (error) {
      if (!(error instanceof AbortedError)) throw error;
      throw new DeadlineError(
        `${this.inFlight} messages are still on their way ${timeoutMs} ms after flush() was called.`,
      );
    }
  }

  /** Flushes, within `timeoutMs` (default 5,000), fails what is left and lets go of everything. */
  close(timeoutMs: number = DEFAULT_CLOSE_MS): Promise<void> {
    return (this.#closing ??= this.#close(timeoutMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    const broken = this.#refusal !== undefined;
    this.#refusal ??= new InvalidStateError("The producer is closed: make a new one.");
    try {
      if (!broken) await this.flush(timeoutMs);
    } catch (error) {
      if (!DeadlineError.is(error)) throw error;
      const messages = this.inFlight;
      this.#logger.error(
        { messages, timeoutMs },
        "The producer was closed before all messages were delivered.",
      );
    }
    this.#accumulator.failAll(
      new ProducerError(
        "The producer was closed before the message was delivered. It may arrive all the same.",
      ),
    );
    this.#send({ type: "close" }, []);
    using deadline = deadlineAfter(systemClock, ENGINE_CLOSE_MS);
    await abortable(this.#engineClosed.promise, deadline).catch(() => {});
    this.#client.port.close();
    this.#client.release();
  }

  #send(command: ProducerCommand, transfer: readonly ArrayBuffer[]): void {
    this.#client.port.postMessage(command, transfer);
  }

  #receive(event: ProducerEvent): void {
    switch (event.type) {
      case "topic":
        this.#accumulator.topic(event.name, event.partitions, event.leaderless);
        break;
      case "topicFailed":
        this.#accumulator.topicFailed(event.name, deserializeError(event.error, "producer"));
        break;
      case "delivered":
        this.#accumulator.delivered(event.batches);
        break;
      case "failed":
        this.#accumulator.failed(event.ids, deserializeError(event.error, "producer"));
        break;
      case "retried":
        this.#accumulator.retried(event.batches);
        break;
      case "fatal":
        this.#broken(deserializeError(event.error, "producer"));
        break;
      case "log":
        this.#logger[event.level](event.fields, event.message);
        break;
      case "closed":
        this.#engineClosed.resolve();
        break;
    }
  }

  #threadFailed(cause: Error): void {
    this.#broken(
      new ProducerError("The I/O thread has failed: this producer is of no more use, make a new one.", {
        cause,
      }),
    );
    this.#engineClosed.resolve();
  }

  #broken(error: Error): void {
    this.#refusal ??= error;
    this.#accumulator.failAll(error);
  }
}
