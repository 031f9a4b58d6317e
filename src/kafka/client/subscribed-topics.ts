import type { Clock } from "../../clock.ts";
import { ConsumerError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { abortable } from "./abortable.ts";
import type { Cluster } from "./cluster.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";
import type { GroupTopics } from "./group-requests.ts";
import { sleep } from "./latch.ts";
import type { SubscriptionRequest } from "./protocol.ts";

/** How long a topic may be unknown after subscribing: one that was just made is not known to every broker yet. */
const UNKNOWN_TOPIC_GRACE_MS = 10_000;
const RETRY_MS = 250;

interface SubscribedTopicsOptions {
  readonly cluster: Cluster;
  readonly subscription: SubscriptionRequest;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The group should be assigned anew, for this reason. */
  readonly changed: (reason: string) => void;
}

/** What a subscription means in terms of the cluster's topics, now and when they change. */
export class SubscribedTopics implements GroupTopics {
  readonly #options: SubscribedTopicsOptions;
  readonly #pattern: RegExp | undefined;
  readonly #stopListening: () => void;
  /** The topics of all members, if this one leads the group: it watches their partition counts. */
  #led: ReadonlyMap<string, number> = new Map();
  #joinedWith: readonly string[] = [];

  constructor(options: SubscribedTopicsOptions) {
    this.#options = options;
    const { cluster, subscription } = options;
    if ("pattern" in subscription) {
      this.#pattern = new RegExp(
        subscription.pattern.source,
        subscription.pattern.flags.replaceAll(/[gy]/g, ""),
      );
      cluster.setTopics("all");
    } else {
      cluster.setTopics(subscription.topics);
    }
    this.#stopListening = cluster.onChange(() => this.#compare());
  }

  close(): void {
    this.#stopListening();
  }

  names(): readonly string[] {
    this.#led = new Map();
    this.#joinedWith = this.#current();
    return this.#joinedWith;
  }

  /** The name of the topic that has this id; undefined while it is not known. */
  nameOf(topicId: string): string | undefined {
    const { cluster } = this.#options;
    return cluster.topicNames().find((name) => cluster.topic(name)?.topicId === topicId);
  }

  /** The id of the topic that has this name; undefined while it is not known. */
  idOf(name: string): string | undefined {
    const topic = this.#options.cluster.topic(name);
    return topic?.errorCode === ErrorCodes.NONE ? topic.topicId : undefined;
  }

  /** Resolves when the metadata is of after this call. */
  refresh(): Promise<void> {
    return this.#options.cluster.refresh();
  }

  /**
   * Resolves when every topic that was subscribed to by name is there.
   *
   * @throws ConsumerError naming the topic that is still not there after a grace, or that may not be read.
   */
  async known(signal: AbortSignal): Promise<void> {
    const { cluster, subscription, clock, logger } = this.#options;
    const untilMs = clock.monotonicMs() + UNKNOWN_TOPIC_GRACE_MS;
    await abortable(cluster.refresh(), signal);
    if ("pattern" in subscription) {
      if (this.#current().length > 0 || signal.aborted) return;
      logger.warn(
        { pattern: String(this.#pattern) },
        "No topic matches the pattern yet: the consumer waits for one.",
      );
      return;
    }
    for (;;) {
      const missing = subscription.topics.find((name) => !this.#exists(name));
      if (missing === undefined || signal.aborted) return;
      const errorCode = cluster.topic(missing)?.errorCode ?? ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION;
      if (
        errorCode === ErrorCodes.TOPIC_AUTHORIZATION_FAILED ||
        errorCode === ErrorCodes.INVALID_TOPIC_EXCEPTION
      ) {
        throw new ConsumerError(`Topic "${missing}" cannot be read: ${errorName(errorCode)}.`);
      }
      if (clock.monotonicMs() >= untilMs) {
        throw new ConsumerError(
          `Topic "${missing}" does not exist (the brokers answered ${errorName(errorCode)} for ${UNKNOWN_TOPIC_GRACE_MS / 1000} s): ` +
            `create it, correct its name, or set "allow.auto.create.topics" to true.`,
        );
      }
      await sleep(clock, RETRY_MS, signal);
      await abortable(cluster.refresh(), signal);
    }
  }

  async partitionCounts(
    topics: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, number>> {
    const { cluster } = this.#options;
    if (topics.some((name) => cluster.topic(name) === undefined)) {
      if (this.#pattern === undefined) cluster.setTopics(topics);
      await abortable(cluster.refresh(), signal);
    }
    const counts = this.#counts(topics);
    this.#led = new Map(topics.map((name) => [name, counts.get(name) ?? 0]));
    return counts;
  }

  #counts(topics: Iterable<string>): Map<string, number> {
    const counts = new Map<string, number>();
    for (const name of topics) {
      const topic = this.#options.cluster.topic(name);
      if (topic !== undefined && topic.errorCode === ErrorCodes.NONE)
        counts.set(name, topic.partitions.length);
    }
    return counts;
  }

  #exists(name: string): boolean {
    const topic = this.#options.cluster.topic(name);
    return topic !== undefined && topic.errorCode === ErrorCodes.NONE && topic.partitions.length > 0;
  }

  #current(): readonly string[] {
    const { cluster, subscription } = this.#options;
    if ("topics" in subscription) return subscription.topics;
    const pattern = this.#pattern as RegExp;
    return cluster
      .topicNames()
      .filter((name) => pattern.test(name) && this.#exists(name))
      .toSorted();
  }

  #compare(): void {
    const names = this.#current();
    if (names.length !== this.#joinedWith.length || names.some((name, at) => name !== this.#joinedWith[at])) {
      this.#options.changed("the topics that match the subscription have changed");
      return;
    }
    for (const [name, count] of this.#counts(this.#led.keys())) {
      const before = this.#led.get(name) ?? 0;
      if (count !== before) {
        // One that was deleted and made again may well have fewer.
        this.#options.changed(`topic ${name} has ${count > before ? "more" : "fewer"} partitions`);
        return;
      }
    }
  }
}
