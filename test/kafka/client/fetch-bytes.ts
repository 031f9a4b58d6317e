import { gzipSync } from "node:zlib";
import { crc32c } from "@node-rs/crc32";

/** The id of the topic `orders` in the tests of fetching. */
export const TOPIC_ID = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

export interface PartitionBytes {
  readonly index: number;
  readonly errorCode?: number;
  readonly highWatermark?: number;
  readonly lastStableOffset?: number;
  readonly logStartOffset?: number;
  readonly abortedTransactions?: readonly { readonly producerId: bigint; readonly firstOffset: number }[];
  readonly preferredReadReplica?: number;
  readonly records?: Buffer;
  readonly divergingEpoch?: { readonly epoch: number; readonly endOffset: number };
  readonly currentLeader?: { readonly nodeId: number; readonly leaderEpoch: number };
  /** Adds a tagged field that no version has. */
  readonly unknownTag?: boolean;
}

export interface ResponseBytes {
  readonly throttleTimeMs?: number;
  readonly errorCode?: number;
  readonly sessionId?: number;
  readonly topics?: readonly {
    readonly topicId: string;
    readonly partitions: readonly PartitionBytes[];
  }[];
}

class Bytes {
  readonly #chunks: Buffer[] = [];

  add(bytes: Buffer): this {
    this.#chunks.push(bytes);
    return this;
  }

  int8(value: number): this {
    return this.add(Buffer.of(value & 0xff));
  }

  int16(value: number): this {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16BE(value);
    return this.add(bytes);
  }

  int32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return this.add(bytes);
  }

  int64(value: number | bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(value));
    return this.add(bytes);
  }

  /** Unsigned. */
  varint(value: number): this {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.int8((rest % 128) | 0x80);
    return this.int8(rest);
  }

  /** Signed, in zigzag. */
  zigzag(value: number): this {
    return this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  uuid(value: string): this {
    return this.add(Buffer.from(value.replaceAll("-", ""), "hex"));
  }

  array<T>(elements: readonly T[], write: (element: T) => void): this {
    this.varint(elements.length + 1);
    for (const element of elements) write(element);
    return this;
  }

  tag(tag: number, write: (bytes: Bytes) => void): this {
    const field = new Bytes();
    write(field);
    const content = field.done();
    return this.varint(tag).varint(content.length).add(content);
  }

  done(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/** The body of an answer to Fetch, version 13 to 17. */
export function fetchResponseBody(response: ResponseBytes): Buffer {
  const bytes = new Bytes()
    .int32(response.throttleTimeMs ?? 0)
    .int16(response.errorCode ?? 0)
    .int32(response.sessionId ?? 0);
  bytes.array(response.topics ?? [], (topic) => {
    bytes.uuid(topic.topicId).array(topic.partitions, (partition) => writePartition(bytes, partition));
    bytes.varint(0);
  });
  // The end points of other brokers, which are not read.
  return bytes
    .varint(1)
    .tag(0, (field) => field.varint(1))
    .done();
}

function writePartition(bytes: Bytes, partition: PartitionBytes): void {
  const highWatermark = partition.highWatermark ?? (partition.errorCode === undefined ? 0 : -1);
  bytes
    .int32(partition.index)
    .int16(partition.errorCode ?? 0)
    .int64(highWatermark)
    .int64(partition.lastStableOffset ?? highWatermark)
    .int64(partition.logStartOffset ?? 0)
    .array(partition.abortedTransactions ?? [], ({ producerId, firstOffset }) => {
      bytes.int64(producerId).int64(firstOffset).varint(0);
    })
    .int32(partition.preferredReadReplica ?? -1);
  if (partition.records === undefined) bytes.varint(0);
  else bytes.varint(partition.records.length + 1).add(partition.records);
  const { divergingEpoch, currentLeader, unknownTag = false } = partition;
  bytes.varint(
    Number(divergingEpoch !== undefined) + Number(currentLeader !== undefined) + Number(unknownTag),
  );
  if (divergingEpoch !== undefined) {
    bytes.tag(0, (field) => field.int32(divergingEpoch.epoch).int64(divergingEpoch.endOffset).varint(0));
  }
  if (currentLeader !== undefined) {
    bytes.tag(1, (field) => field.int32(currentLeader.nodeId).int32(currentLeader.leaderEpoch).varint(0));
  }
  if (unknownTag) bytes.tag(200, (field) => field.add(Buffer.from("of a later version")));
}

export interface BatchOptions {
  readonly baseOffset: number;
  /** The values of its records, as text. */
  readonly values: readonly string[];
  readonly leaderEpoch?: number;
  /** Where the batch ends, when compaction has taken its last records. */
  readonly lastOffset?: number;
  /** A batch of a transaction's marker. */
  readonly isControl?: boolean;
}

/** A record batch of format version 2, not compressed. */
export function recordBatch(options: BatchOptions): Buffer {
  return batchOf(options, 0, (records) => records);
}

/** The same, compressed. */
export function gzipBatch(options: BatchOptions): Buffer {
  return batchOf(options, 1, gzipSync);
}

function batchOf(options: BatchOptions, codec: number, compress: (records: Buffer) => Buffer): Buffer {
  const { baseOffset, values, leaderEpoch = 1 } = options;
  const records = new Bytes();
  values.forEach((value, index) => {
    const text = Buffer.from(value);
    const record = new Bytes()
      .int8(0)
      .zigzag(0)
      .zigzag(index)
      .zigzag(-1)
      .zigzag(text.length)
      .add(text)
      .zigzag(0);
    const bytes = record.done();
    records.zigzag(bytes.length).add(bytes);
  });
  const lastOffset = options.lastOffset ?? baseOffset + values.length - 1;
  const checked = new Bytes()
    .int16((options.isControl === true ? 0x30 : 0) | codec)
    .int32(lastOffset - baseOffset)
    .int64(1_700_000_000_000)
    .int64(1_700_000_000_000)
    .int64(-1)
    .int16(-1)
    .int32(-1)
    .int32(values.length)
    .add(compress(records.done()))
    .done();
  return new Bytes()
    .int64(baseOffset)
    .int32(checked.length + 9)
    .int32(leaderEpoch)
    .int8(2)
    .int32(crc32c(checked) | 0)
    .add(checked)
    .done();
}
