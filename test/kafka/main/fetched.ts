import { createRecordsBatch } from "@platformatic/kafka";
import { readBatches } from "../../../src/kafka/records/batch-reader.ts";
import type { FetchedRecords } from "../../../src/kafka/client/protocol.ts";

/** What the I/O thread hands over for some values, as if they had been fetched from `fromOffset`. */
export function fetched(
  at: { readonly topic: string; readonly index: number; readonly epoch: number },
  fromOffset: number,
  values: readonly string[],
  highWatermark: number = fromOffset + values.length,
): FetchedRecords {
  return handedOver(at, fromOffset, values, highWatermark, "none");
}

/** The same, of a batch that is compressed. */
export function compressed(
  at: { readonly topic: string; readonly index: number; readonly epoch: number },
  fromOffset: number,
  values: readonly string[],
): FetchedRecords {
  return handedOver(at, fromOffset, values, fromOffset + values.length, "lz4");
}

function handedOver(
  at: { readonly topic: string; readonly index: number; readonly epoch: number },
  fromOffset: number,
  values: readonly string[],
  highWatermark: number,
  compression: "none" | "lz4",
): FetchedRecords {
  const batch = createRecordsBatch(
    values.map((value) => ({ topic: at.topic, value: Buffer.from(value), timestamp: 1n })),
    { compression },
  ).buffer;
  batch.writeBigInt64BE(BigInt(fromOffset), 0);
  const { buffer, batches, nextOffset } = readBatches(batch, { fromOffset });
  return {
    ...at,
    buffer,
    batches,
    fromOffset,
    nextOffset,
    leaderEpoch: 0,
    highWatermark,
    maxBatchBytes: 1e6,
    bytes: batch.length,
  };
}
