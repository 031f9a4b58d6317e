import type { BatchSettled, Delivery, Producer, SentBatch } from "../backend/producer.ts";
import { systemClock } from "../clock.ts";
import { ConfigurationError } from "../errors.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import type { Partition } from "../message/partition.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import { noopMetrics } from "../metrics/metrics.ts";
import { resolveProducerConfig, type KafkaProducerConfig } from "./config.ts";
import { KafkaProducer, type KafkaProducerOptions } from "./producer.ts";
import { ProducerSwitch, type ProducerPlan } from "./producer-switch.ts";

const DEFAULT_CLOSE_MS = 5_000;
const DEFAULT_CONNECT_MS = 30_000;

/** Gives settings whenever there are new ones, until the signal aborts. */
export type ProducerSettingsSource = (signal: AbortSignal) => AsyncIterable<KafkaProducerConfig>;

/** What a {@link ReloadingKafkaProducer} takes besides its settings. */
export interface ReloadingKafkaProducerOptions extends KafkaProducerOptions {
  /** Where new settings come from, besides {@link ReloadingKafkaProducer.reload}: `watchConfigFile`, for one. */
  readonly settings?: ProducerSettingsSource | undefined;
  /** How long, in ms, a producer with new settings has to reach the brokers. Default 30,000. */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * How long, in ms, the old producer has to deliver what it has; what it has not delivered by then fails. By default its
   * `message.timeout.ms`, after which it would have failed anyway.
   */
  readonly drainTimeoutMs?: number | undefined;
  /**
   * How much later, in ms, a change may begin, at random: so that many processes that get new settings at the same time do not
   * connect at the same time. Default 0.
   */
  readonly jitterMs?: number | undefined;
}

/**
 * A {@link KafkaProducer} whose settings are swapped while it runs: a change of credentials, brokers or tuning without a
 * restart. The new settings first prove that they reach the brokers and know the topics in use; until then, and for good if
 * they do not, the old ones stay in force. Then the old producer delivers what it has, while messages that are produced wait,
 * in order: none is lost, and none overtakes another. They count towards `queue.buffering.max.messages` and `.kbytes`.
 *
 * The contract is {@link Producer}'s.
 */
export class ReloadingKafkaProducer implements Producer<KafkaPayload> {
  readonly #switch: ProducerSwitch;
  readonly #logger: Logger;
  readonly #plan: (config: KafkaProducerConfig) => ProducerPlan;
  readonly #closing = new AbortController();

  /** @throws ConfigurationError for a key that is unknown, or a value that is out of range, before any connection. */
  constructor(config: KafkaProducerConfig, options: ReloadingKafkaProducerOptions = {}) {
    const { logger = stderrLogger, metrics = noopMetrics, settings } = options;
    const { connectTimeoutMs = DEFAULT_CONNECT_MS, drainTimeoutMs, jitterMs = 0 } = options;
    for (const [name, value] of Object.entries({ connectTimeoutMs, drainTimeoutMs, jitterMs })) {
      if (value !== undefined && !(value >= 0)) {
        throw new ConfigurationError(`ReloadingKafkaProducer: ${name} is ${value}, but must be 0 or more.`);
      }
    }
    this.#logger = logger;
    this.#plan = (plan) => ({
      settings: resolveProducerConfig(plan),
      create: () => new KafkaProducer(plan, { logger, metrics }),
    });
    this.#switch = new ProducerSwitch({
      first: this.#plan(config),
      clock: systemClock,
      logger,
      metrics,
      connectTimeoutMs,
      drainTimeoutMs,
      jitterMs,
    });
    if (settings !== undefined) void this.#follow(settings);
  }

  /** How many messages are on their way: produced, and neither delivered nor failed. */
  get inFlight(): number {
    return this.#switch.inFlight;
  }

  /** Counts up with each change of settings, from 1. */
  get generation(): number {
    return this.#switch.generation;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** As {@link KafkaProducer.produce}. */
  produce(destination: Topic | Partition | string, payload: KafkaPayload): Promise<Delivery> {
    return this.#switch.produce(destination, payload);
  }

  /** As {@link KafkaProducer.enqueue}. */
  enqueue(topic: Topic, payload: KafkaPayload, onSettled: BatchSettled): SentBatch | "full" | undefined {
    return this.#switch.enqueue(topic, payload, onSettled);
  }

  /**
   * Swaps the settings for these. Resolves when they are in force; at once, when they are so already. When it rejects, the
   * producer goes on with the settings that it has.
   *
   * @throws ConfigurationError for settings that are wrong; DeadlineError or ProducerError when they do not reach the brokers, or
   * when these do not know a topic in use; InvalidStateError when other settings have come before these were in force, or
   * the producer is closed.
   */
  async reload(config: KafkaProducerConfig): Promise<void> {
    await this.#switch.change(this.#plan(config));
  }

  /**
   * Sends what waits, and resolves when everything that was produced before has been delivered or has failed.
   *
   * @throws DeadlineError after `timeoutMs`; by default it waits for as long as deliveries may take.
   */
  flush(timeoutMs: number = Infinity): Promise<void> {
    return this.#switch.flush(timeoutMs);
  }

  /** Flushes, within `timeoutMs` (default 5,000), fails what is left and lets go of everything. */
  close(timeoutMs: number = DEFAULT_CLOSE_MS): Promise<void> {
    this.#closing.abort();
    return this.#switch.close(timeoutMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #follow(settings: ProducerSettingsSource): Promise<void> {
    const { signal } = this.#closing;
    try {
      for await (const config of settings(signal)) {
        if (signal.aborted) return;
        // Not waited for: settings that come later replace those that are not in force yet.
        this.reload(config).catch((error: unknown) => {
          // Otherwise it is in the log already.
          if (error instanceof ConfigurationError)
            this.#logger.error({ err: error }, "New settings are wrong.");
        });
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#logger.error(
        { err: error },
        "The source of settings has failed: the producer keeps those that it has, for good.",
      );
    }
  }
}
