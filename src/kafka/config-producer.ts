/** The settings that only producers have: a row's comment is its text in docs/configuration.md and in editors. */
export const PRODUCER_SETTINGS = {
  /**
   * When a message counts as delivered: once all in-sync replicas have it (`all`, -1) or once the leader has
   * it (1). 0 is refused: nobody would know whether, and at which offset, a message arrived.
   */
  acks: {
    type: "enum",
    values: { all: -1, "-1": -1, "1": 1 },
    default: -1,
    aliases: ["request.required.acks"],
  },
  /**
   * Whether the brokers are to know batches that they have already, so that no message is there twice however often it
   * is sent again, and several batches of a partition may be under way. It takes `acks` all and `retries`: when it is not
   * given itself and one of these rules it out, it is off. (librdkafka's default is false, Java's true.)
   */
  "enable.idempotence": {
    type: "boolean",
    default: true,
  },
  /** How long a message may wait for others to share its batch. */
  "linger.ms": {
    type: "number",
    min: 0,
    max: 900_000,
    default: 5,
    aliases: ["queue.buffering.max.ms"],
  },
  /**
   * The size, in bytes before compression, at which a batch is sent without waiting for `linger.ms`. Must
   * not exceed `message.max.bytes`; follows it when it is not given.
   */
  "batch.size": {
    type: "integer",
    min: 1,
    max: 2_147_483_647,
    default: 1_000_000,
  },
  /** The number of messages at which a batch is sent without waiting for `linger.ms`. */
  "batch.num.messages": {
    type: "integer",
    min: 1,
    max: 1_000_000,
    default: 10_000,
  },
  /** How batches are compressed. */
  "compression.type": {
    type: "enum",
    values: { none: "none", gzip: "gzip", snappy: "snappy", lz4: "lz4", zstd: "zstd" },
    default: "none",
    aliases: ["compression.codec"],
  },
  /**
   * How the partition is chosen by the key: as librdkafka does (CRC-32, `consistent_random`) or as Java does
   * (`murmur2_random`). Messages without a key go anywhere.
   */
  partitioner: {
    type: "enum",
    values: { consistent_random: "consistent_random", murmur2_random: "murmur2_random" },
    default: "consistent_random",
  },
  /**
   * How long messages without a key go to one partition, so that they share batches, before another is
   * chosen. 0: another one each time. Twice `linger.ms` when it is not given.
   */
  "sticky.partitioning.linger.ms": {
    type: "integer",
    min: 0,
    max: 900_000,
    default: 10,
  },
  /** The largest batch, and so the largest message. The topic's own `max.message.bytes` must allow it. */
  "message.max.bytes": {
    type: "integer",
    min: 1_000,
    max: 1_000_000_000,
    default: 1_000_000,
  },
  /** How many messages may be in flight before `produce` says that the queue is full. 0: no limit. */
  "queue.buffering.max.messages": {
    type: "integer",
    min: 0,
    max: 2_147_483_647,
    default: 100_000,
  },
  /** How much may be in flight, in KiB, before `produce` says that the queue is full. */
  "queue.buffering.max.kbytes": {
    type: "integer",
    min: 1,
    max: 2_147_483_647,
    default: 1_048_576,
  },
  /** How long a message may take in all, with retries, before its delivery fails. 0: for ever. */
  "message.timeout.ms": {
    type: "integer",
    min: 0,
    max: 2_147_483_647,
    default: 300_000,
    aliases: ["delivery.timeout.ms"],
  },
  /** How long a broker may wait for the replicas that `acks` asks for. */
  "request.timeout.ms": {
    type: "integer",
    min: 1,
    max: 900_000,
    default: 30_000,
  },
  /** How often a batch is sent again. `message.timeout.ms` bounds it as well. */
  retries: {
    type: "integer",
    min: 0,
    max: 2_147_483_647,
    default: 2_147_483_647,
    aliases: ["message.send.max.retries"],
  },
  /**
   * How many Produce requests may be under way to one broker; more than 5 count as 5. Messages of one partition stay in
   * order: without `enable.idempotence`, only one batch of a partition is under way at a time.
   */
  "max.in.flight.requests.per.connection": {
    type: "integer",
    min: 1,
    max: 1_000_000,
    default: 1_000_000,
    aliases: ["max.in.flight"],
  },
  /** Whether a topic that does not exist is made by producing to it, if the brokers allow it. */
  "allow.auto.create.topics": {
    type: "boolean",
    default: true,
  },
} as const;
