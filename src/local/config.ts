import { ConfigurationError } from "../errors.ts";
import { nearest } from "../nearest.ts";

/**
 * How a consumer of a {@link LocalBroker} behaves: those of the Kafka consumer's settings that mean something without
 * Kafka, under the same names, with the same defaults.
 */
export interface LocalConsumerConfig {
  /** The group: its members share the partitions, and its committed offsets are kept by the broker. */
  readonly "group.id": string;
  /** Where to start in a partition that the group has no committed offset for. Default `latest`. */
  readonly "auto.offset.reset"?: "earliest" | "latest" | "error" | undefined;
  /**
   * Whether an offset that is not in the log is an `OffsetOutOfRange` error; otherwise `auto.offset.reset` is followed.
   * Default true.
   */
  readonly "arroyo.strict.offset.reset"?: boolean | undefined;
  /** Whether `poll` throws `EndOfPartition` each time that the end of a partition is reached. Default false. */
  readonly "enable.partition.eof"?: boolean | undefined;
  /**
   * How long a member may go without polling, and how long it may take to give partitions back, before the group goes on
   * without it; in ms of the broker's clock. Default 300,000.
   */
  readonly "max.poll.interval.ms"?: number | undefined;
  /**
   * How partitions change hands: with `range` everybody gives everything back first (eager), with `cooperative-sticky`
   * only what moves is given back (incremental). Default `range`. All members of a group must have the same.
   */
  readonly "partition.assignment.strategy"?: "range" | "cooperative-sticky" | undefined;
  /**
   * Whether `commitOffsets` only notes the offsets, which are committed every `auto.commit.interval.ms`, on revocation and
   * at close. Default false.
   */
  readonly "arroyo.enable.auto.commit"?: boolean | undefined;
  /** How often that is, in ms of the broker's clock. Default 5,000. */
  readonly "auto.commit.interval.ms"?: number | undefined;
}

export type ResolvedLocalConsumerConfig = {
  readonly [K in keyof Required<LocalConsumerConfig>]: Exclude<LocalConsumerConfig[K], undefined>;
};

const DEFAULTS: Omit<ResolvedLocalConsumerConfig, "group.id"> = {
  "auto.offset.reset": "latest",
  "arroyo.strict.offset.reset": true,
  "enable.partition.eof": false,
  "max.poll.interval.ms": 300_000,
  "partition.assignment.strategy": "range",
  "arroyo.enable.auto.commit": false,
  "auto.commit.interval.ms": 5_000,
};

/** A day, as for Kafka. */
const MAX_MS = 86_400_000;

const WORDS: Readonly<Record<string, readonly string[]>> = {
  "auto.offset.reset": ["earliest", "latest", "error"],
  "partition.assignment.strategy": ["range", "cooperative-sticky"],
};

/** @throws ConfigurationError for a key that is unknown or a value that does not fit. */
export function resolveConfig(config: LocalConsumerConfig): ResolvedLocalConsumerConfig {
  const known = new Map<string, unknown>([["group.id", undefined], ...Object.entries(DEFAULTS)]);
  for (const [key, value] of Object.entries(config)) {
    if (!known.has(key)) {
      throw new ConfigurationError(
        `The local broker's consumers have no setting "${key}"; the nearest is "${nearest(key, known.keys())}".`,
      );
    }
    if (value !== undefined) known.set(key, value);
  }
  for (const [key, value] of known) check(key, value);
  return Object.fromEntries(known) as unknown as ResolvedLocalConsumerConfig;
}

function check(key: string, value: unknown): void {
  const words = WORDS[key];
  if (words !== undefined) {
    if (!words.includes(value as string)) refuse(key, value, `one of ${words.join(", ")}`);
  } else if (key === "group.id") {
    if (typeof value !== "string" || value === "") refuse(key, value, "the name of a group");
  } else if (key.endsWith(".ms")) {
    if (!(typeof value === "number" && value >= 1 && value <= MAX_MS)) {
      refuse(key, value, `a number of milliseconds from 1 to ${MAX_MS}`);
    }
  } else if (typeof value !== "boolean") {
    refuse(key, value, "true or false");
  }
}

function refuse(key: string, value: unknown, wanted: string): never {
  throw new ConfigurationError(`"${key}" is ${JSON.stringify(value)}, but must be ${wanted}.`);
}
