import { ConsumerError, ErrorCode } from "../../errors.ts";
import { CorruptBatchError } from "../records/corrupt-batch-error.ts";
import { ErrorCodes, errorName, isRetriable } from "./error-codes.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchPartition } from "./fetch-partition.ts";
import type { Leader } from "./metadata.ts";
import { serializeError } from "./serialized-error.ts";

/** How often a partition that is asked for alone may bring an answer that is too large: a length may have been damaged. */
const MAX_TOO_LARGE_TRIES = 3;
/** How often in a row what comes for an offset may be damaged. */
const MAX_CORRUPT_TRIES = 3;
/** A new topic takes a while to be known to all brokers (librdkafka's `topic.metadata.propagation.max.ms`). */
const UNKNOWN_TOPIC_GRACE_MS = 30_000;
/** From when on a problem that mostly passes by itself is worth a line in the log. */
const LASTING_MS = 5_000;
/** How long, and how often at least, something is retried that a broker should not do. */
const UNEXPECTED_LIMIT_MS = 60_000;
const UNEXPECTED_TRIES = 5;

/** Errors that no retry helps against, with what to do. */
const FATAL: ReadonlyMap<number, string> = new Map([
  [ErrorCodes.TOPIC_AUTHORIZATION_FAILED, "the principal needs the right to READ the topic"],
  [ErrorCodes.INVALID_TOPIC_EXCEPTION, "the brokers do not allow that name"],
  [ErrorCodes.UNSUPPORTED_COMPRESSION_TYPE, "the broker cannot send this compression"],
  [
    ErrorCodes.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    "the broker keeps this topic in a message format that is too old",
  ],
  [ErrorCodes.UNSUPPORTED_VERSION, "the broker does not speak this version of Fetch"],
]);

/** The broker, or its metadata, may not have heard of a new topic yet. */
const UNKNOWN_TOPIC: ReadonlySet<number> = new Set([
  ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCodes.UNKNOWN_TOPIC_ID,
]);

interface FailOptions {
  readonly code?: ErrorCode | undefined;
  readonly cause?: unknown;
}

/** What is done when a partition cannot be fetched: again after a while, elsewhere, or not at all. */
export class FetchTroubles {
  readonly #context: FetchContext;

  constructor(context: FetchContext) {
    this.#context = context;
  }

  /** The broker answered with an error for this partition. */
  errorCode(partition: FetchPartition, errorCode: number, currentLeader?: Leader): void {
    const fatal = FATAL.get(errorCode);
    if (fatal !== undefined) {
      this.fail(partition, `${errorName(errorCode)}, ${fatal}`);
      return;
    }
    if (errorCode === ErrorCodes.CORRUPT_MESSAGE) {
      this.corrupt(partition, new ConsumerError(`The broker answered with ${errorName(errorCode)}.`));
      return;
    }
    if (errorCode === ErrorCodes.OFFSET_OUT_OF_RANGE) {
      this.#outOfRange(partition);
      return;
    }
    if (isRetriable(errorCode)) this.#passing(partition, errorName(errorCode));
    else if (this.#unexpected(partition, `the broker answers with ${errorName(errorCode)}`)) return;
    this.#retryLater(partition);
    if (UNKNOWN_TOPIC.has(errorCode) && this.unknown(partition)) return;
    this.#context.refresh();
    if (currentLeader !== undefined && currentLeader.nodeId >= 0) {
      const { nodeId, leaderEpoch } = currentLeader;
      this.#context.cluster.updateLeader(partition.topic, partition.index, nodeId, leaderEpoch);
    }
    // Away from a replica that is no leader, and to the new leader if that is known already.
    partition.replica = undefined;
    this.#context.place(partition);
  }

  /** The metadata has an error for the topic. */
  topicError(partition: FetchPartition, errorCode: number): void {
    const fatal = FATAL.get(errorCode);
    if (fatal === undefined) this.#passing(partition, errorName(errorCode));
    else this.fail(partition, `${errorName(errorCode)}, ${fatal}`);
  }

  noLeader(partition: FetchPartition): void {
    this.#passing(partition, "it has no leader");
  }

  /** Nobody knows the topic or the partition. Returns whether that has been so for too long, and fetching has ended. */
  unknown(partition: FetchPartition): boolean {
    const now = this.#context.clock.monotonicMs();
    partition.unknownSinceMs ??= now;
    if (now - partition.unknownSinceMs < UNKNOWN_TOPIC_GRACE_MS) return false;
    const { topic, index, epoch } = partition;
    this.#context.end(partition);
    this.#context.events.unknownTopic({ topic, index, epoch });
    return true;
  }

  /**
   * An offset out of range is believed only when the leader says it again once the metadata is fresh: right after a change
   * of leaders it may come from a replica or an old leader that is behind, and acting on it would lose or repeat messages.
   */
  #outOfRange(partition: FetchPartition): void {
    const { outOfRangeProof } = partition;
    if (outOfRangeProof !== undefined && this.#context.isRefreshed(outOfRangeProof)) {
      this.outOfRange(partition);
      return;
    }
    this.#passing(partition, errorName(ErrorCodes.OFFSET_OUT_OF_RANGE));
    this.#retryLater(partition);
    const refresh = this.#context.refresh();
    if (partition.replica === undefined) partition.outOfRangeProof ??= refresh;
    partition.replica = undefined;
    this.#context.place(partition);
  }

  /** The topic was deleted and made again: the position belongs to a log that is gone. */
  otherTopic(partition: FetchPartition): void {
    const { topic, index, epoch, offset } = partition;
    this.#context.end(partition);
    this.#context.events.outOfRange({ topic, index, epoch, offset, isOtherTopic: true });
  }

  /** The position is not to be had. */
  outOfRange(partition: FetchPartition, divergedAt?: number): void {
    const { topic, index, epoch, offset } = partition;
    this.#context.end(partition);
    this.#context.events.outOfRange({ topic, index, epoch, offset, divergedAt });
  }

  /** The leader's log has other records before our position than those that we have read. */
  diverged(partition: FetchPartition, endOffset: number): void {
    const { logger } = this.#context;
    logger.warn(
      { topic: partition.topic, partition: partition.index, offset: partition.offset, endOffset },
      "The log was cut beneath the position: records that were read are not in it any more.",
    );
    this.outOfRange(partition, endOffset);
  }

  /** The broker said nothing about a partition that was asked for. */
  leftOut(partition: FetchPartition): void {
    if (!this.#unexpected(partition, "the broker leaves it out of its answers")) this.#retryLater(partition);
  }

  /** What came for the partition's offset is damaged. */
  corrupt(partition: FetchPartition, error: unknown): void {
    partition.corruptTries += 1;
    if (partition.corruptTries >= MAX_CORRUPT_TRIES) {
      const why = error instanceof CorruptBatchError ? `: ${error.reason}` : "";
      const problem = `what the broker sends cannot be read, ${MAX_CORRUPT_TRIES} times in a row${why}`;
      this.fail(partition, problem, { code: ErrorCode.CORRUPT_BATCH, cause: error });
      return;
    }
    const { topic, index, offset } = partition;
    this.#context.logger.warn(
      { topic, partition: index, offset, attempts: partition.corruptTries, err: error },
      "Damaged records came: they are fetched again over a new connection.",
    );
    this.#retryLater(partition);
  }

  /** The answer to a request for these partitions was larger than may be received. */
  tooLarge(partitions: readonly FetchPartition[], error: Error): void {
    for (const partition of partitions) {
      if (partitions.length === 1 && partition.tooLargeTries >= MAX_TOO_LARGE_TRIES) {
        const limit = this.#context.config["receive.message.max.bytes"];
        const problem = `the next batch is larger than "receive.message.max.bytes" (${limit}), which has to be raised`;
        this.fail(partition, problem, { cause: error });
        continue;
      }
      partition.tooLargeTries += 1;
      this.#retryLater(partition);
    }
  }

  /** Ends the fetching of a partition with an error. */
  fail(partition: FetchPartition, problem: string, options?: FailOptions): void {
    const { topic, index, epoch, offset } = partition;
    const message = `${partition} cannot be fetched from offset ${offset} on: ${problem}.`;
    const error = new ConsumerError(message, options);
    this.#context.end(partition);
    this.#context.events.failed({ topic, index, epoch, offset, error: serializeError(error) });
  }

  /** An answer without an error has come. */
  recovered(partition: FetchPartition): void {
    if (partition.trouble !== undefined) {
      const { topic, index, offset, trouble } = partition;
      if (partition.troubleIsLogged) {
        this.#context.logger.info(
          { topic, partition: index, offset, reason: trouble },
          "A partition is fetched again.",
        );
      }
      partition.trouble = undefined;
      partition.troubleIsLogged = false;
    }
    partition.backoff.reset();
    partition.unknownSinceMs = undefined;
    partition.outOfRangeProof = undefined;
    partition.unexpectedTries = 0;
    partition.tooLargeTries = 0;
  }

  /** Notes a problem that mostly goes away by itself: a line in the log if it does not. */
  #passing(partition: FetchPartition, trouble: string): void {
    const now = this.#context.clock.monotonicMs();
    if (partition.trouble === undefined) partition.troubleSinceMs = now;
    partition.trouble = trouble;
    if (now - partition.troubleSinceMs >= LASTING_MS) this.#log(partition);
  }

  /** Notes what a broker should not do. Returns whether it has gone on for too long, and fetching has ended. */
  #unexpected(partition: FetchPartition, trouble: string): boolean {
    const now = this.#context.clock.monotonicMs();
    if (partition.unexpectedTries === 0) partition.unexpectedSinceMs = now;
    partition.unexpectedTries += 1;
    if (partition.trouble === undefined) partition.troubleSinceMs = now;
    partition.trouble = trouble;
    this.#log(partition);
    const lastedMs = now - partition.unexpectedSinceMs;
    if (partition.unexpectedTries < UNEXPECTED_TRIES || lastedMs < UNEXPECTED_LIMIT_MS) return false;
    this.fail(partition, `${trouble}, again and again`);
    return true;
  }

  /** Once, until it is fetched again. */
  #log(partition: FetchPartition): void {
    if (partition.troubleIsLogged) return;
    partition.troubleIsLogged = true;
    const { topic, index, offset, trouble } = partition;
    this.#context.logger.warn(
      { topic, partition: index, offset, reason: trouble },
      "A partition cannot be fetched.",
    );
  }

  #retryLater(partition: FetchPartition): void {
    partition.retryAtMs = this.#context.clock.monotonicMs() + partition.backoff.next();
  }
}
