/** The settings that only consumers have: see {@link Setting} for what a row says. */
export const CONSUMER_SETTINGS = {
  "group.id": {
    type: "string",
    required: true,
    meaning:
      "The group: its members share the partitions, and its committed offsets are kept by the brokers.",
  },
  "partition.assignment.strategy": {
    type: "list",
    values: ["range", "roundrobin"],
    default: ["range", "roundrobin"],
    meaning:
      "How partitions are shared out, in order of preference; the group takes the first that all its members know.",
  },
  "session.timeout.ms": {
    type: "integer",
    min: 1,
    max: 3_600_000,
    default: 45_000,
    meaning:
      "How long a member may be silent before the group goes on without it. Heartbeats come from the I/O thread, so a blocked event loop is not silence.",
  },
  "heartbeat.interval.ms": {
    type: "integer",
    min: 1,
    max: 3_600_000,
    default: 3_000,
    meaning: "How often a heartbeat is sent; must be less than `session.timeout.ms`, a third of it is usual.",
  },
  "max.poll.interval.ms": {
    type: "integer",
    min: 1,
    max: 86_400_000,
    default: 300_000,
    meaning:
      "How long the main thread may go without polling before this member leaves the group, so that others take over. Must not be less than `session.timeout.ms`.",
  },
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
    meaning:
      "Where to start in a partition that the group has no committed offset for: the first message, the next to come, or an error.",
  },
  "arroyo.strict.offset.reset": {
    type: "boolean",
    default: true,
    meaning:
      "Whether an offset that the broker does not have (any more) is an `OffsetOutOfRange` error while consuming; otherwise `auto.offset.reset` is followed, which may skip messages.",
  },
  "enable.partition.eof": {
    type: "boolean",
    default: false,
    meaning: "Whether `poll` throws `EndOfPartition` each time that the end of a partition is reached.",
  },
  "fetch.wait.max.ms": {
    type: "integer",
    min: 0,
    max: 300_000,
    default: 500,
    meaning: "How long a broker may wait for `fetch.min.bytes` before it answers.",
  },
  "fetch.min.bytes": {
    type: "integer",
    min: 1,
    max: 100_000_000,
    default: 1,
    meaning: "How much a broker should have before it answers.",
  },
  "fetch.max.bytes": {
    type: "integer",
    min: 1,
    max: 2_147_483_135,
    default: 52_428_800,
    meaning: "The most that one answer may bring (more only if a single batch is larger).",
  },
  "max.partition.fetch.bytes": {
    type: "integer",
    min: 1,
    max: 1_000_000_000,
    default: 1_048_576,
    aliases: ["fetch.message.max.bytes"],
    meaning: "The most that one answer may bring of one partition (more only if a single batch is larger).",
  },
  "queued.max.messages.kbytes": {
    type: "integer",
    min: 1,
    max: 2_097_151,
    default: 65_536,
    meaning: "How much may be prefetched, over all partitions, in KiB of uncompressed records.",
  },
  "arroyo.enable.auto.commit": {
    type: "boolean",
    default: false,
    meaning:
      "Whether what a strategy commits is only noted, and written every `auto.commit.interval.ms`, on revocation and at close.",
  },
  "auto.commit.interval.ms": {
    type: "integer",
    min: 10,
    max: 86_400_000,
    default: 5_000,
    meaning: "How often that is. Only with `arroyo.enable.auto.commit`.",
  },
  "allow.auto.create.topics": {
    type: "boolean",
    default: false,
    meaning: "Whether a topic that does not exist is made by subscribing to it, if the brokers allow it.",
  },
  "enable.auto.commit": {
    type: "fixed",
    value: false,
    meaning:
      "it would commit messages that are still being processed. Offsets are committed when a strategy commits them; `arroyo.enable.auto.commit` makes that periodic",
  },
  "enable.auto.offset.store": {
    type: "fixed",
    value: false,
    meaning:
      "it would mark messages as done when they are delivered. Offsets are noted when a strategy commits them; `arroyo.enable.auto.commit` commits them periodically",
  },
  "check.crcs": {
    type: "fixed",
    value: true,
    meaning: "the checksum of every batch is always verified: a corrupt batch is never processed",
  },
  "group.protocol": {
    type: "fixed",
    value: "classic",
    meaning: "groups of the newer protocol (KIP-848) are not spoken by this version",
  },
} as const;
