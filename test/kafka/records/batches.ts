import type { BrokerMessage } from "../../../src/message/message.ts";
import { Partition } from "../../../src/message/partition.ts";
import { KafkaPayload } from "../../../src/message/payload.ts";
import { Attribute, BatchOffset } from "../../../src/kafka/records/batch-format.ts";
import { readBatches, type ReadBatchesOptions } from "../../../src/kafka/records/batch-reader.ts";
import { BatchWriter, sealBatch, type ProducerIdentity } from "../../../src/kafka/records/batch-writer.ts";
import { Codec } from "../../../src/kafka/records/compression.ts";
import { crc32c } from "../../../src/kafka/records/crc32c.ts";
import type { FetchedBatches } from "../../../src/kafka/records/fetched-batches.ts";
import { RecordDecoder } from "../../../src/kafka/records/record-decoder.ts";

const MOST_BYTES = 64 * 1024 * 1024;

export const PARTITION: Partition = Partition.of("orders", 3);

export interface Entry {
  readonly payload: KafkaPayload;
  readonly timestampMs: number;
}

export interface BatchOptions {
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  readonly codec?: Codec;
  readonly identity?: ProducerIdentity;
  readonly attributes?: number;
}

/** As many entries as asked for, with the values `v0`, `v1`... */
export function entries(count: number, timestampMs: number = 1_700_000_000_000): Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    payload: new KafkaPayload(`k${i}`, `v${i}`),
    timestampMs: timestampMs + i,
  }));
}

/** A batch as a broker would hand it out. */
export function batchOf(content: readonly Entry[], options: BatchOptions = {}): Buffer {
  const writer = new BatchWriter(1_000_000_000, 0);
  for (const { payload, timestampMs } of content) {
    if (!writer.append(payload, timestampMs)) throw new Error("does not fit");
  }
  const batch = Buffer.from(sealBatch(writer.finish(), options.codec ?? Codec.NONE, options.identity));
  batch.writeBigInt64BE(BigInt(options.baseOffset ?? 0), BatchOffset.BASE_OFFSET);
  batch.writeInt32BE(options.leaderEpoch ?? 0, BatchOffset.LEADER_EPOCH);
  const attributes = batch.readInt16BE(BatchOffset.ATTRIBUTES) | (options.attributes ?? 0);
  batch.writeInt16BE(attributes, BatchOffset.ATTRIBUTES);
  return resealed(batch);
}

/** The marker that ends a transaction. */
export function markerOf(kind: "abort" | "commit", producerId: bigint, baseOffset: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeInt16BE(kind === "abort" ? 0 : 1, 2);
  return batchOf([{ payload: new KafkaPayload(key, Buffer.alloc(6)), timestampMs: 1_700_000_000_000 }], {
    baseOffset,
    identity: { producerId, producerEpoch: 0, baseSequence: -1 },
    attributes: Attribute.TRANSACTIONAL | Attribute.CONTROL,
  });
}

/** A batch of a transaction. */
export function transactional(content: readonly Entry[], producerId: bigint, baseOffset: number): Buffer {
  return batchOf(content, {
    baseOffset,
    identity: { producerId, producerEpoch: 0, baseSequence: 0 },
    attributes: Attribute.TRANSACTIONAL,
  });
}

/** A batch that was changed on purpose, with a CRC that fits it again. */
export function resealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(BatchOffset.ATTRIBUTES)), BatchOffset.CRC);
  return batch;
}

export function read(
  bytes: Buffer,
  fromOffset: number = 0,
  options: Partial<ReadBatchesOptions> = {},
): FetchedBatches {
  return readBatches(bytes, { fromOffset, ...options });
}

/** All messages of what was fetched, a few at a time. */
export function decode(
  fetched: FetchedBatches,
  fromOffset: number = 0,
  max: number = 3,
): BrokerMessage<KafkaPayload>[] {
  const decoder = new RecordDecoder(PARTITION, { ...fetched, fromOffset, maxBatchBytes: MOST_BYTES });
  const messages: BrokerMessage<KafkaPayload>[] = [];
  for (;;) {
    const before = messages.length;
    const done = decoder.next(max, messages);
    if (messages.length - before > max) throw new Error("more than were asked for");
    if (done) return messages;
  }
}

/** The values of all messages, as text. */
export function values(fetched: FetchedBatches, fromOffset: number = 0): string[] {
  return decode(fetched, fromOffset).map(({ payload }) => payload.text());
}
