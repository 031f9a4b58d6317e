import type { Clock, ClockTimer } from "../../clock.ts";
import type { Cluster, TopicMetadata } from "./cluster.ts";
import { ErrorCodes } from "./error-codes.ts";
import { refusedTopic, unknownTopic } from "./produce-errors.ts";
import { ClosedError } from "./transport-error.ts";

/** A new topic takes a while to be known to all brokers (librdkafka's `topic.metadata.propagation.max.ms`). */
const UNKNOWN_TOPIC_GRACE_MS = 30_000;

export interface ProducerTopicsEvents {
  topic(name: string, partitions: number, leaderless: readonly number[]): void;
  failed(name: string, error: Error): void;
}

export interface ProducerTopicsOptions {
  readonly cluster: Pick<Cluster, "setTopics" | "refresh" | "topic" | "onChange">;
  readonly clock: Clock;
  readonly events: ProducerTopicsEvents;
  /** Default 30,000. */
  readonly graceMs?: number | undefined;
}

/** What was told of a topic last. */
interface Watched {
  told: string;
  /** When it was first found not to exist. */
  unknownSinceMs: number | undefined;
  timer: ClockTimer | undefined;
}

/** Follows the topics that are produced to: tells how many partitions they have, and when one cannot be used. */
export class ProducerTopics {
  readonly #cluster: ProducerTopicsOptions["cluster"];
  readonly #clock: Clock;
  readonly #events: ProducerTopicsEvents;
  readonly #graceMs: number;
  readonly #watched = new Map<string, Watched>();
  readonly #stopListening: () => void;

  constructor(options: ProducerTopicsOptions) {
    this.#cluster = options.cluster;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#graceMs = options.graceMs ?? UNKNOWN_TOPIC_GRACE_MS;
    this.#stopListening = this.#cluster.onChange(() => {
      for (const name of this.#watched.keys()) this.#look(name);
    });
  }

  /** Tells what is known of a topic, as soon as something is, and from now on whenever it changes. */
  async want(name: string): Promise<void> {
    const known = this.#watched.get(name);
    if (known === undefined)
      this.#watched.set(name, { told: "", unknownSinceMs: undefined, timer: undefined });
    else known.told = "";
    this.#cluster.setTopics([name]);
    try {
      await this.#cluster.refresh();
      this.#look(name);
    } catch (error) {
      if (!ClosedError.is(error)) this.#events.failed(name, error as Error);
    }
  }

  close(): void {
    this.#stopListening();
    for (const { timer } of this.#watched.values()) timer?.cancel();
  }

  #look(name: string): void {
    const watched = this.#watched.get(name);
    const topic = this.#cluster.topic(name);
    if (watched === undefined || topic === undefined) return;
    switch (topic.errorCode) {
      case ErrorCodes.NONE:
        watched.timer?.cancel();
        watched.timer = undefined;
        watched.unknownSinceMs = undefined;
        this.#tell(watched, topic);
        break;
      case ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION:
      case ErrorCodes.UNKNOWN_TOPIC_ID:
        this.#unknown(watched, name);
        break;
      case ErrorCodes.TOPIC_AUTHORIZATION_FAILED:
      case ErrorCodes.INVALID_TOPIC_EXCEPTION:
        this.#fail(watched, name, refusedTopic(name, topic.errorCode));
        break;
      default: // Passes by itself, as while a new topic has no leaders yet.
    }
  }

  #tell(watched: Watched, topic: TopicMetadata): void {
    const { name, partitions } = topic;
    if (partitions.length === 0) return;
    const leaderless = partitions.filter(({ leader }) => leader < 0).map(({ index }) => index);
    const told = `${partitions.length}:${leaderless.join()}`;
    if (told === watched.told) return;
    watched.told = told;
    this.#events.topic(name, partitions.length, leaderless);
  }

  /** It may just have been made, or be about to be. */
  #unknown(watched: Watched, name: string): void {
    const nowMs = this.#clock.monotonicMs();
    watched.unknownSinceMs ??= nowMs;
    const leftMs = watched.unknownSinceMs + this.#graceMs - nowMs;
    if (leftMs <= 0) this.#fail(watched, name, unknownTopic(name, this.#graceMs));
    else watched.timer ??= this.#clock.setTimeout(() => this.#lookAgain(watched, name), leftMs);
  }

  /** A timer may go off a little early: then there is another, for what is left. */
  #lookAgain(watched: Watched, name: string): void {
    watched.timer = undefined;
    this.#look(name);
  }

  #fail(watched: Watched, name: string, error: Error): void {
    watched.timer?.cancel();
    watched.timer = undefined;
    if (watched.told === "failed") return;
    watched.told = "failed";
    this.#events.failed(name, error);
  }
}
