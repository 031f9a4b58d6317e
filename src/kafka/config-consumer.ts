/** The settings that only consumers have: a row's comment is its text in docs/configuration.md and in editors. */
export const CONSUMER_SETTINGS = {
  /** The group: its members share the partitions, and its committed offsets are kept by the brokers. */
  "group.id": { type: "string", required: true },
  /**
   * Makes this a static member: at close it stays in the group, and when it is back under the same id within
   * `session.timeout.ms` it gets the same partitions without a rebalance. Each running member needs an id of its own.
   */
  "group.instance.id": { type: "string" },
  /**
   * How partitions are shared out, in order of preference; the group takes the first that all its members
   * know. With `cooperative-sticky` alone, members keep their partitions in a rebalance, except for those that go to
   * others. To move a running group to it, give every member `cooperative-sticky,range` first, and
   * `cooperative-sticky` once all have that.
   */
  "partition.assignment.strategy": {
    type: "list",
    values: ["range", "roundrobin", "cooperative-sticky"],
    default: ["range", "roundrobin"],
  },
  /**
   * How long a member may be silent before the group goes on without it. Heartbeats come from the I/O
   * thread, so a blocked event loop is not silence.
   */
  "session.timeout.ms": {
    type: "integer",
    min: 1,
    max: 3_600_000,
    default: 45_000,
  },
  /** How often a heartbeat is sent; must be less than `session.timeout.ms`, a third of it is usual. */
  "heartbeat.interval.ms": {
    type: "integer",
    min: 1,
    max: 3_600_000,
    default: 3_000,
  },
  /**
   * How long the main thread may go without polling before this member leaves the group, so that others take
   * over. Must not be less than `session.timeout.ms`.
   */
  "max.poll.interval.ms": {
    type: "integer",
    min: 1,
    max: 86_400_000,
    default: 300_000,
  },
  /**
   * Where to start in a partition that the group has no committed offset for: the first message, the next to
   * come, or an error.
   */
  "auto.offset.reset": {
    type: "enum",
    values: {
      earliest: "earliest",
      smallest: "earliest",
      beginning: "earliest",
      latest: "latest",
      largest: "latest",
      end: "latest",
      error: "error",
      none: "error",
    },
    default: "latest",
  },
  /**
   * Whether an offset that the broker does not have (any more) is an `OffsetOutOfRange` error while
   * consuming; otherwise `auto.offset.reset` is followed, which may skip messages.
   */
  "arroyo.strict.offset.reset": {
    type: "boolean",
    default: true,
  },
  /**
   * Whether messages of transactions are delivered only once these are committed, and those of aborted ones never;
   * the end of a partition is then where the first open transaction begins. With `read_uncommitted` every message is.
   */
  "isolation.level": {
    type: "enum",
    values: { read_committed: "read_committed", read_uncommitted: "read_uncommitted" },
    default: "read_committed",
  },
  /** Whether `poll` throws `EndOfPartition` each time that the end of a partition is reached. */
  "enable.partition.eof": {
    type: "boolean",
    default: false,
  },
  /** How long a broker may wait for `fetch.min.bytes` before it answers. */
  "fetch.wait.max.ms": {
    type: "integer",
    min: 0,
    max: 300_000,
    default: 500,
  },
  /** How much a broker should have before it answers. */
  "fetch.min.bytes": {
    type: "integer",
    min: 1,
    max: 100_000_000,
    default: 1,
  },
  /** The most that one answer may bring (more only if a single batch is larger). */
  "fetch.max.bytes": {
    type: "integer",
    min: 1,
    max: 2_147_483_135,
    default: 52_428_800,
  },
  /** The most that one answer may bring of one partition (more only if a single batch is larger). */
  "max.partition.fetch.bytes": {
    type: "integer",
    min: 1,
    max: 1_000_000_000,
    default: 1_048_576,
    aliases: ["fetch.message.max.bytes"],
  },
  /**
   * How much may be prefetched at most, over all partitions, in KiB of records as the broker has them, compressed or not. It
   * is 6 MiB as long as that keeps the loop busy.
   */
  "queued.max.messages.kbytes": {
    type: "integer",
    min: 1,
    max: 2_097_151,
    default: 65_536,
  },
  /**
   * Whether what messages leave behind is collected while it is young, after every 12 MB of them, rather than when V8 thinks
   * fit: that costs it less, and takes less memory.
   */
  "arroyo.collect.young.garbage": {
    type: "boolean",
    default: true,
  },
  /**
   * Whether what a strategy commits is only noted, and written every `auto.commit.interval.ms`, on
   * revocation and at close.
   */
  "arroyo.enable.auto.commit": {
    type: "boolean",
    default: false,
  },
  /** How often that is. Only with `arroyo.enable.auto.commit`. */
  "auto.commit.interval.ms": {
    type: "integer",
    min: 10,
    max: 86_400_000,
    default: 5_000,
  },
  /** Whether a topic that does not exist is made by subscribing to it, if the brokers allow it. */
  "allow.auto.create.topics": {
    type: "boolean",
    default: false,
  },
  /** Can only be false: it would commit messages that are still being processed. */
  "enable.auto.commit": {
    type: "fixed",
    value: false,
    why: "it would commit messages that are still being processed. Offsets are committed when a strategy commits them; `arroyo.enable.auto.commit` makes that periodic",
  },
  /** Can only be false: it would mark messages as done when they are delivered. */
  "enable.auto.offset.store": {
    type: "fixed",
    value: false,
    why: "it would mark messages as done when they are delivered. Offsets are noted when a strategy commits them; `arroyo.enable.auto.commit` commits them periodically",
  },
  /** Can only be true: the checksum of every batch is always verified. */
  "check.crcs": {
    type: "fixed",
    value: true,
    why: "the checksum of every batch is always verified: a corrupt batch is never processed",
  },
  /**
   * `classic`: members join together, and one of them shares the partitions out. `consumer` (KIP-848, Kafka 4.0 and later):
   * the brokers do, member by member, and nobody waits for the others; `session.timeout.ms`, `heartbeat.interval.ms` and
   * `partition.assignment.strategy` are then the brokers' to decide.
   */
  "group.protocol": {
    type: "enum",
    values: { classic: "classic", consumer: "consumer" },
    default: "classic",
  },
  /** With `group.protocol` `consumer`: which of the brokers' assignors (`uniform`, `range`); by default they choose. */
  "group.remote.assignor": { type: "string" },
} as const;
