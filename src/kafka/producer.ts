import type { BatchSettled, Delivery, Producer, SentBatch } from "../backend/producer.ts";
import { deadlineAfter, systemClock } from "../clock.ts";
import { ConfigurationError, DeadlineError, InvalidStateError, ProducerError } from "../errors.ts";
import { limitedLogger, type LimitedLogger } from "../log-limit.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import { guardedCallback, guardedLogger, guardedMetrics } from "../guarded-sinks.ts";
import { noopMetrics, type Metrics } from "../metrics/metrics.ts";
import type { Partition } from "../message/partition.ts";
import { KafkaPayload } from "../message/payload.ts";
import { Topic } from "../message/topic.ts";
import { Accumulator } from "./accumulator.ts";
import { abortable, AbortedError } from "./client/abortable.ts";
import { openProducer, type ClientPort } from "./client/io-thread.ts";
import type { ProducerCommand, ProducerEvent } from "./client/producer-protocol.ts";
import { arrived } from "./client/port-logger.ts";
import { deserializeError } from "./client/serialized-error.ts";
import { resolveProducerConfig, type KafkaProducerConfig } from "./config.ts";
import { producerStatistics, StatisticsMetrics, type ProducerStatistics } from "./statistics.ts";

const DEFAULT_CLOSE_MS = 5_000;
const DEFAULT_CONNECT_MS = 30_000;
/** How long the I/O thread may take to let go of its connections. */
const ENGINE_CLOSE_MS = 1_000;

/** What a {@link KafkaProducer} takes besides its settings. */
export interface KafkaProducerOptions {
  /** Where log lines go; standard error by default. */
  readonly logger?: Logger | undefined;
  /** Where metrics go; nowhere by default. */
  readonly metrics?: Metrics | undefined;
  /** Told of the producer's statistics every `statistics.interval.ms`, on the main thread. */
  readonly onStatistics?: ((statistics: ProducerStatistics) => void) | undefined;
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
  readonly #logger: LimitedLogger;
  readonly #client: ClientPort;
  readonly #accumulator: Accumulator;
  readonly #servers: string;
  readonly #statistics: StatisticsMetrics;
  readonly #onStatistics: ((statistics: ProducerStatistics) => void) | undefined;
  readonly #clientId: string;
  readonly #engineClosed = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  /** Is being found out. */
  #probe: PromiseWithResolvers<void> | undefined;
  /** Why nothing is taken any more. */
  #refusal: Error | undefined;

  /** @throws ConfigurationError for a key that is unknown, or a value that is out of range, before any connection. */
  constructor(config: KafkaProducerConfig, options: KafkaProducerOptions = {}) {
    const resolved = resolveProducerConfig(config);
    this.#servers = resolved["bootstrap.servers"].map(({ host, port }) => `${host}:${port}`).join(", ");
    const metrics = guardedMetrics(options.metrics ?? noopMetrics);
    this.#logger = limitedLogger(guardedLogger(options.logger ?? stderrLogger, metrics), systemClock);
    this.#statistics = new StatisticsMetrics(metrics);
    this.#clientId = resolved["client.id"];
    this.#onStatistics =
      options.onStatistics && guardedCallback("onStatistics", options.onStatistics, metrics);
    this.#client = openProducer(resolved, this.#logger, (error) => this.#threadFailed(error));
    this.#accumulator = new Accumulator({
      config: resolved,
      clock: systemClock,
      metrics,
      send: (command, transfer) => this.#send(command, transfer),
    });
    this.#client.port.on("message", (event: ProducerEvent) => this.#receive(event));
  }

  /** How many messages are on their way: produced, and neither delivered nor failed. */
  get inFlight(): number {
    return this.#accumulator.inFlight;
  }

  /** The topics that were produced to, or given to {@link connect}, and that the brokers know. */
  get topics(): readonly string[] {
    return this.#accumulator.topics;
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

  /** See {@link Producer.enqueue}: what {@link Produce} sends its messages with. */
  enqueue(topic: Topic, payload: KafkaPayload, onSettled: BatchSettled): SentBatch | "full" | undefined {
    if (this.#refusal !== undefined || !(payload instanceof KafkaPayload)) return undefined;
    return this.#accumulator.enqueue(topic.name, payload, onSettled);
  }

  /**
   * Proves that the brokers can be reached with these settings and know these topics; what is produced afterwards has not to
   * wait for that. Nobody has to call it: the first `produce` connects as well.
   *
   * @throws ProducerError when there is no hope, as for wrong credentials, or a topic that does not exist; DeadlineError after
   * `timeoutMs` (default 30,000).
   */
  async connect(
    topics: readonly (Topic | string)[] = [],
    timeoutMs: number = DEFAULT_CONNECT_MS,
  ): Promise<void> {
    if (this.#refusal !== undefined) throw this.#refusal;
    const names = topics.map((topic) => Topic.of(topic).name);
    if (this.#probe === undefined) {
      this.#probe = Promise.withResolvers();
      this.#send({ type: "probe" }, []);
    }
    const connected = Promise.all([
      this.#probe.promise,
      ...names.map((name) => this.#accumulator.known(name)),
    ]);
    using deadline = deadlineAfter(systemClock, timeoutMs);
    try {
      await abortable(connected, deadline);
    } catch (error) {
      if (!(error instanceof AbortedError)) throw error;
      const what = names.length === 0 ? "" : `, or do not know ${names.join(", ")}`;
      throw new DeadlineError(
        `The brokers at ${this.#servers} have not answered within ${timeoutMs} ms${what}.`,
      );
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
    this.#probed(this.#refusal);
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
    this.#logger.flush();
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
      case "probed":
        this.#probed(event.error && deserializeError(event.error, "producer"));
        break;
      case "retried":
        this.#accumulator.retried(event.batches);
        break;
      case "fatal":
        this.#broken(deserializeError(event.error, "producer"));
        break;
      case "log":
        this.#logger[event.level](arrived(event.fields, "producer"), event.message);
        break;
      case "statistics": {
        const statistics = producerStatistics(this.#clientId, event.statistics, this.#accumulator.load);
        this.#statistics.producer(statistics);
        this.#onStatistics?.(statistics);
        break;
      }
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

  #probed(error: Error | undefined): void {
    const probe = this.#probe;
    this.#probe = undefined;
    if (error === undefined) probe?.resolve();
    else probe?.reject(error);
  }

  #broken(error: Error): void {
    this.#refusal ??= error;
    this.#probed(error);
    this.#accumulator.failAll(error);
  }
}
