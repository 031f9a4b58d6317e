import { crc32 as nativeCrc32 } from "@node-rs/crc32";
import { hashOfKey, type KafkaPayload } from "../message/payload.ts";

/** How a message finds its partition when none is named. */
export type PartitionerName = "consistent_random" | "murmur2_random";

/**
 * The partition for a payload, of so many; -1 when it may go to any of them. The same key always gives the same one, as
 * long as their number does not change.
 */
export type Partitioner = (payload: KafkaPayload, partitions: number) => number;

/** The partitioners, by the names that librdkafka gives them. */
export const PARTITIONERS: Readonly<Record<PartitionerName, Partitioner>> = {
  /** librdkafka's default: the CRC-32 of the key. A key of no bytes counts as none. */
  consistent_random(payload, partitions) {
    const hash = hashOfKey(payload, crc32);
    return hash < 0 ? -1 : hash % partitions;
  },
  /** Java's default. A key of no bytes is a key. */
  murmur2_random(payload, partitions) {
    const hash = hashOfKey(payload, murmur2);
    return hash < 0 ? -1 : (hash & 0x7fff_ffff) % partitions;
  },
};

const CRC32_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  return crc;
});
/** A call into native code costs as much as so many bytes here. */
const SHORT_KEY_BYTES = 64;

function crc32(bytes: Buffer, start: number, end: number): number {
  if (start === end) return -1;
  if (end - start > SHORT_KEY_BYTES) return nativeCrc32(bytes.subarray(start, end));
  let crc = -1;
  for (let at = start; at < end; at++) crc = CRC32_TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

const MURMUR2_SEED = 0x9747b28c;
const MURMUR2_FACTOR = 0x5bd1e995;

/** MurmurHash2 of Austin Appleby, in the variant and with the seed of Kafka's Java client; unsigned. */
function murmur2(bytes: Buffer, start: number, end: number): number {
  let hash = MURMUR2_SEED ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    word = Math.imul(word, MURMUR2_FACTOR);
    word = Math.imul(word ^ (word >>> 24), MURMUR2_FACTOR);
    hash = Math.imul(hash, MURMUR2_FACTOR) ^ word;
  }
  if (at < end) {
    for (let shift = 0; at < end; at++, shift += 8) hash ^= bytes[at]! << shift;
    hash = Math.imul(hash, MURMUR2_FACTOR);
  }
  hash = Math.imul(hash ^ (hash >>> 13), MURMUR2_FACTOR);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/**
 * Where messages go that may go anywhere: to one partition for a while, so that they share batches, then to another, at
 * random (KIP-480; librdkafka's `sticky.partitioning.linger.ms`). Partitions without a leader are left out while others
 * have one.
 */
export class StickyPartition {
  readonly #lingerMs: number;
  readonly #random: () => number;
  #current = -1;
  #chosenAtMs = 0;

  constructor(lingerMs: number, random: () => number = Math.random) {
    this.#lingerMs = lingerMs;
    this.#random = random;
  }

  choose(partitions: number, leaderless: ReadonlySet<number>, nowMs: number): number {
    const age = nowMs - this.#chosenAtMs;
    const current = this.#current;
    // An age below 0: the clock was set back.
    if (
      current >= 0 &&
      current < partitions &&
      age >= 0 &&
      age < this.#lingerMs &&
      !leaderless.has(current)
    ) {
      return current;
    }
    this.#chosenAtMs = nowMs;
    return (this.#current = this.#pick(partitions, leaderless));
  }

  #pick(partitions: number, leaderless: ReadonlySet<number>): number {
    if (leaderless.size === 0 || leaderless.size >= partitions)
      return Math.floor(this.#random() * partitions);
    let nth = Math.floor(this.#random() * (partitions - leaderless.size));
    for (let index = 0; index < partitions; index++) {
      if (!leaderless.has(index) && nth-- === 0) return index;
    }
    return 0;
  }
}
