import { deadlineAfter, systemClock } from "../clock.ts";
import { ConsumerError } from "../errors.ts";
import { abortable, AbortedError } from "../kafka/client/abortable.ts";
import { Cluster, type TopicMetadata } from "../kafka/client/cluster.ts";
import { ErrorCodes, errorName } from "../kafka/client/error-codes.ts";
import { sleep } from "../kafka/client/latch.ts";
import { listOffsets } from "../kafka/client/list-offsets.ts";
import { partitionKey } from "../kafka/client/protocol.ts";
import type { ResolvedConsumerConfig } from "../kafka/config.ts";
import { crossing, type CrossingConfig } from "../kafka/token-refresher.ts";
import type { Logger } from "../logger.ts";
import { Partition } from "../message/partition.ts";
import type { Topic } from "../message/topic.ts";

const TIMEOUT_MS = 30_000;
/** How long a topic may be unknown: one that was just made is not known to every broker yet. */
const UNKNOWN_TOPIC_GRACE_MS = 2_000;
const RETRY_MS = 250;

export interface KafkaTopicsOptions {
  readonly config: ResolvedConsumerConfig;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** How long brokers may take to answer. Default 30 s. */
  readonly timeoutMs?: number | undefined;
}

/** What a cluster has of some topics, asked for once: connections are closed when it is disposed of. */
export class KafkaTopics implements AsyncDisposable {
  readonly #options: KafkaTopicsOptions;
  readonly #cluster: Cluster;
  /** Where its tokens come from, if it needs any. */
  readonly #crossing: CrossingConfig<ResolvedConsumerConfig>;

  constructor(options: KafkaTopicsOptions) {
    this.#options = options;
    const { config, logger } = options;
    this.#crossing = crossing(config, logger);
    this.#cluster = new Cluster({
      config,
      logger,
      clock: systemClock,
      tokens: this.#crossing.tokens,
    });
  }

  /**
   * How many partitions the topic has.
   *
   * @throws ConsumerError when it does not exist, or no broker answers.
   */
  async partitions(topic: Topic): Promise<number> {
    this.#cluster.setTopics([topic.name]);
    const known = await this.#within((signal) => this.#known(topic.name, signal));
    return known.partitions.length;
  }

  /** The partitions of a topic, each with the offset that its next message gets. @throws ConsumerError likewise. */
  async endOffsets(topic: Topic): Promise<ReadonlyMap<Partition, number>> {
    const count = await this.partitions(topic);
    const partitions = Array.from({ length: count }, (_, index) => ({ topic: topic.name, index }));
    const { config } = this.#options;
    const ends = await this.#within((signal) =>
      listOffsets(this.#cluster, partitions, "latest", { signal, config }),
    );
    return new Map(
      partitions.map((partition) => [
        Partition.of(topic, partition.index),
        ends.get(partitionKey(partition))!.offset,
      ]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.close();
    this.#crossing.close();
  }

  async #known(name: string, signal: AbortSignal): Promise<TopicMetadata> {
    const untilMs = systemClock.monotonicMs() + UNKNOWN_TOPIC_GRACE_MS;
    for (;;) {
      await abortable(this.#cluster.refresh(), signal);
      const topic = this.#cluster.topic(name);
      const errorCode = topic?.errorCode ?? ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION;
      if (topic !== undefined && topic.partitions.length > 0 && errorCode === ErrorCodes.NONE) return topic;
      if (systemClock.monotonicMs() >= untilMs || errorCode === ErrorCodes.TOPIC_AUTHORIZATION_FAILED) {
        throw new ConsumerError(
          errorCode === ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION
            ? `Topic "${name}" does not exist: create it, or correct its name.`
            : `Topic "${name}" cannot be used: ${errorName(errorCode)}.`,
        );
      }
      await sleep(systemClock, RETRY_MS, signal);
    }
  }

  async #within<R>(ask: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const { signal, config, timeoutMs = TIMEOUT_MS } = this.#options;
    using timeout = deadlineAfter(systemClock, timeoutMs);
    try {
      return await ask(AbortSignal.any([timeout, signal]));
    } catch (error) {
      if (!(error instanceof AbortedError) || signal.aborted) throw error;
      const servers = config["bootstrap.servers"].map(({ host, port }) => `${host}:${port}`).join(", ");
      throw new ConsumerError(`The brokers (${servers}) have not answered within ${timeoutMs / 1_000} s.`, {
        cause: error,
      });
    }
  }
}
