/** The settings that only producers have: see {@link Setting} for what a row says. */
export const PRODUCER_SETTINGS = {
  acks: {
    type: "enum",
    values: { all: -1, "-1": -1, "1": 1 },
    default: -1,
    aliases: ["request.required.acks"],
    meaning:
      "When a message counts as delivered: once all in-sync replicas have it (`all`, -1) or once the leader has it (1). 0 is refused: nobody would know whether, and at which offset, a message arrived.",
  },
  "linger.ms": {
    type: "number",
    min: 0,
    max: 900_000,
    default: 5,
    aliases: ["queue.buffering.max.ms"],
    meaning: "How long a message may wait for others to share its batch.",
  },
  "batch.size": {
    type: "integer",
    min: 1,
    max: 2_147_483_647,
    default: 1_000_000,
    meaning:
      "The size, in bytes before compression, at which a batch is sent without waiting for `linger.ms`. Must not exceed `message.max.bytes`; follows it when it is not given.",
  },
  "batch.num.messages": {
    type: "integer",
    min: 1,
    max: 1_000_000,
    default: 10_000,
    meaning: "The number of messages at which a batch is sent without waiting for `linger.ms`.",
  },
  "compression.type": {
    type: "enum",
    values: { none: "none", gzip: "gzip", snappy: "snappy", lz4: "lz4", zstd: "zstd" },
    default: "none",
    aliases: ["compression.codec"],
    meaning: "How batches are compressed.",
  },
  partitioner: {
    type: "enum",
    values: { consistent_random: "consistent_random", murmur2_random: "murmur2_random" },
    default: "consistent_random",
    meaning:
      "How the partition is chosen by the key: as librdkafka does (CRC-32, `consistent_random`) or as Java does (`murmur2_random`). Messages without a key go anywhere.",
  },
  "sticky.partitioning.linger.ms": {
    type: "integer",
    min: 0,
    max: 900_000,
    default: 10,
    meaning:
      "How long messages without a key go to one partition, so that they share batches, before another is chosen. 0: another one each time. Twice `linger.ms` when it is not given.",
  },
  "message.max.bytes": {
    type: "integer",
    min: 1_000,
    max: 1_000_000_000,
    default: 1_000_000,
    meaning:
      "The largest batch, and so the largest message. The topic's own `max.message.bytes` must allow it.",
  },
  "queue.buffering.max.messages": {
    type: "integer",
    min: 0,
    max: 2_147_483_647,
    default: 100_000,
    meaning: "How many messages may be in flight before `produce` says that the queue is full. 0: no limit.",
  },
  "queue.buffering.max.kbytes": {
    type: "integer",
    min: 1,
    max: 2_147_483_647,
    default: 1_048_576,
    meaning: "How much may be in flight, in KiB, before `produce` says that the queue is full.",
  },
  "message.timeout.ms": {
    type: "integer",
    min: 0,
    max: 2_147_483_647,
    default: 300_000,
    aliases: ["delivery.timeout.ms"],
    meaning: "How long a message may take in all, with retries, before its delivery fails. 0: for ever.",
  },
  "request.timeout.ms": {
    type: "integer",
    min: 1,
    max: 900_000,
    default: 30_000,
    meaning: "How long a broker may wait for the replicas that `acks` asks for.",
  },
  retries: {
    type: "integer",
    min: 0,
    max: 2_147_483_647,
    default: 2_147_483_647,
    aliases: ["message.send.max.retries"],
    meaning: "How often a batch is sent again. `message.timeout.ms` bounds it as well.",
  },
  "max.in.flight.requests.per.connection": {
    type: "integer",
    min: 1,
    max: 1_000_000,
    default: 1_000_000,
    aliases: ["max.in.flight"],
    meaning: "How many Produce requests may be under way to one broker.",
  },
  "allow.auto.create.topics": {
    type: "boolean",
    default: true,
    meaning: "Whether a topic that does not exist is made by producing to it, if the brokers allow it.",
  },
} as const;
