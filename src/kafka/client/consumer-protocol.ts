import { ConsumerError } from "../../errors.ts";

/**
 * The bytes that members of a classic group exchange through the coordinator: what each subscribes to, and what the
 * leader gives to each (ConsumerProtocolSubscription and ConsumerProtocolAssignment of Kafka's protocol guide: version 1 by
 * KIP-429, 2 by KIP-792, 3 by KIP-881). The coordinator does not look inside, so every client of the group must write them
 * alike; whoever knows an older version reads the part of it.
 */

export interface Subscription {
  readonly topics: readonly string[];
  /** What the member still holds; only incremental assignors send and read it. */
  readonly owned: GroupAssignment;
  /** The generation in which it was given that; -1 for none, or when the member does not say. */
  readonly generationId: number;
}

/** What a member that keeps partitions in a rebalance says of them. */
export interface Claim {
  readonly owned: GroupAssignment;
  readonly generationId: number;
}

export const NO_CLAIM: Claim = { owned: new Map(), generationId: -1 };

/** Topic to partition indices. */
export type GroupAssignment = ReadonlyMap<string, readonly number[]>;

const SUBSCRIPTION_VERSION = 3;
const ASSIGNMENT_VERSION = 0;

class ByteWriter {
  readonly #chunks: Buffer[] = [];

  int16(value: number): this {
    const bytes = Buffer.allocUnsafe(2);
    bytes.writeInt16BE(value);
    this.#chunks.push(bytes);
    return this;
  }

  int32(value: number): this {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeInt32BE(value);
    this.#chunks.push(bytes);
    return this;
  }

  string(value: string): this {
    const bytes = Buffer.from(value);
    this.int16(bytes.length);
    this.#chunks.push(bytes);
    return this;
  }

  topicPartitions(partitions: ReadonlyMap<string, readonly number[]>): this {
    this.int32(partitions.size);
    for (const [topic, indices] of partitions) {
      this.string(topic).int32(indices.length);
      for (const index of indices) this.int32(index);
    }
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  #take(length: number): number {
    const at = this.#at;
    if (length < 0 || at + length > this.#bytes.length) {
      throw new ConsumerError(
        `A member of the group sent ${this.#what} bytes that cannot be read (cut short).`,
      );
    }
    this.#at += length;
    return at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  string(): string {
    const length = this.int16();
    const at = this.#take(length);
    return this.#bytes.toString("utf8", at, at + length);
  }

  /** The length of an array whose elements take at least `bytesEach`: a lying length is found before it is believed. */
  count(bytesEach: number): number {
    const count = this.int32();
    if (count < 0 || count * bytesEach > this.remaining) this.#take(-1);
    return count;
  }

  /** Undefined for null. */
  bytes(): Buffer | undefined {
    const length = this.int32();
    if (length < 0) return undefined;
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  topicPartitions(): Map<string, number[]> {
    const partitions = new Map<string, number[]>();
    for (let topics = this.count(6); topics > 0; topics--) {
      const topic = this.string();
      const indices = partitions.get(topic) ?? [];
      for (let count = this.count(4); count > 0; count--) indices.push(this.int32());
      partitions.set(topic, indices);
    }
    return partitions;
  }
}

/**
 * @param generationInUserData Whether the generation is written into the user data as well, where Java's
 * CooperativeStickyAssignor before version 3.4 looks for it.
 */
export function encodeSubscription(
  topics: readonly string[],
  { owned, generationId }: Claim = NO_CLAIM,
  generationInUserData: boolean = false,
): Buffer {
  const writer = new ByteWriter().int16(SUBSCRIPTION_VERSION).int32(topics.length);
  for (const topic of topics) writer.string(topic);
  if (generationInUserData) writer.int32(4).int32(generationId);
  else writer.int32(-1);
  // The rack is null: no assignor here looks at it.
  return writer.topicPartitions(owned).int32(generationId).int16(-1).finish();
}

/** @throws ConsumerError for bytes that are cut short. */
export function decodeSubscription(bytes: Buffer): Subscription {
  const reader = new ByteReader(bytes, "subscription");
  const version = reader.int16();
  const topics: string[] = [];
  for (let count = reader.count(2); count > 0; count--) topics.push(reader.string());
  const userData = reader.bytes();
  const owned =
    version >= 1 && reader.remaining > 0 ? reader.topicPartitions() : new Map<string, readonly number[]>();
  if (version >= 2 && reader.remaining > 0) return { topics, owned, generationId: reader.int32() };
  // Members of version 1 say it here: Java's nothing else, librdkafka's (before 2.2) after what they hold.
  const at = (userData?.length ?? 0) - 4;
  return { topics, owned, generationId: userData !== undefined && at >= 0 ? userData.readInt32BE(at) : -1 };
}

export function encodeAssignment(assignment: GroupAssignment): Buffer {
  return new ByteWriter().int16(ASSIGNMENT_VERSION).topicPartitions(assignment).int32(-1).finish();
}

/** @throws ConsumerError for bytes that are cut short. No bytes at all are an empty assignment. */
export function decodeAssignment(bytes: Buffer): GroupAssignment {
  if (bytes.length === 0) return new Map();
  const reader = new ByteReader(bytes, "assignment");
  reader.int16();
  return reader.topicPartitions();
}
