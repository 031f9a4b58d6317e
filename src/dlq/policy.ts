import { ConfigurationError } from "../errors.ts";
import type { DlqProducer } from "./producer.ts";

/** How many invalid messages a {@link DlqLimit} allows. */
export interface DlqLimitOptions {
  /** The most invalid messages for each valid one of a partition, e.g. 0.01. Default: any number. */
  readonly maxInvalidRatio?: number | undefined;
  /** The most invalid messages in a row of a partition. Default: any number. */
  readonly maxConsecutiveCount?: number | undefined;
}

/**
 * How many messages may be invalid before something else must be wrong: a bad release, a changed format. Beyond it the
 * processor stops instead of moving everything to the dead letter queue. Counted per partition, anew with each
 * assignment. (Arroyo's `DlqLimit`.)
 */
export class DlqLimit {
  readonly maxInvalidRatio: number | undefined;
  readonly maxConsecutiveCount: number | undefined;

  /** @throws ConfigurationError for a number that is negative, or a count that is no whole number. */
  constructor(options: DlqLimitOptions = {}) {
    this.maxInvalidRatio = checked("DlqLimit: maxInvalidRatio", options.maxInvalidRatio, false);
    this.maxConsecutiveCount = checked("DlqLimit: maxConsecutiveCount", options.maxConsecutiveCount, true);
  }
}

/** What a {@link DlqPolicy} is made of. */
export interface DlqPolicyOptions<in T> {
  /** Where dead letters go. */
  readonly producer: DlqProducer<T>;
  /** How many there may be. Default: no limit. */
  readonly limit?: DlqLimit | undefined;
  /**
   * How many messages of a partition are remembered until they are committed, for the case that one turns out to be
   * invalid. One that has been forgotten is read again from the broker, which takes longer. Default 10,000; no limit if
   * the consumer cannot read a message again.
   */
  readonly maxBufferedMessagesPerPartition?: number | undefined;
  /** The same in bytes of Kafka payloads. Default 16 MiB; no limit if the consumer cannot read a message again. */
  readonly maxBufferedBytesPerPartition?: number | undefined;
  /** How many dead letters may be in flight before no more messages are processed. Default 2,000. */
  readonly maxInFlight?: number | undefined;
  /**
   * A message that is older when it is read goes to the dead letter queue unprocessed, in ms: to get over a backlog with
   * what still matters. Such messages do not count for the limit. Default: never.
   */
  readonly maxAgeMs?: number | undefined;
}

const DEFAULT_MAX_IN_FLIGHT = 2_000;

/** What the processor does about invalid messages. (Arroyo's `DlqPolicy`.) */
export class DlqPolicy<in T> {
  readonly producer: DlqProducer<T>;
  readonly limit: DlqLimit;
  readonly maxBufferedMessagesPerPartition: number | undefined;
  readonly maxBufferedBytesPerPartition: number | undefined;
  readonly maxInFlight: number;
  readonly maxAgeMs: number | undefined;

  /** @throws ConfigurationError for a number that is out of its range. */
  constructor(options: DlqPolicyOptions<T>) {
    const { maxInFlight = DEFAULT_MAX_IN_FLIGHT } = options;
    if (!(Number.isInteger(maxInFlight) && maxInFlight > 0)) {
      throw new ConfigurationError(
        `DlqPolicy: maxInFlight is ${maxInFlight}, but must be a whole number from 1 up.`,
      );
    }
    this.producer = options.producer;
    this.limit = options.limit ?? new DlqLimit();
    this.maxBufferedMessagesPerPartition = checked(
      "DlqPolicy: maxBufferedMessagesPerPartition",
      options.maxBufferedMessagesPerPartition,
      true,
    );
    this.maxBufferedBytesPerPartition = checked(
      "DlqPolicy: maxBufferedBytesPerPartition",
      options.maxBufferedBytesPerPartition,
      true,
    );
    this.maxInFlight = maxInFlight;
    this.maxAgeMs = checked("DlqPolicy: maxAgeMs", options.maxAgeMs, false);
  }
}

function checked(name: string, value: number | undefined, whole: boolean): number | undefined {
  if (value === undefined || (value >= 0 && (whole ? Number.isInteger(value) : Number.isFinite(value))))
    return value;
  throw new ConfigurationError(
    `${name} is ${value}, but must be a ${whole ? "whole " : ""}number from 0 up.`,
  );
}
