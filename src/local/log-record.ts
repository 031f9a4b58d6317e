import { BrokerMessage } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { bodySize, payloadOfBody, writeBody, type KafkaPayload } from "../message/payload.ts";
import { FRAME_HEADER_BYTES, sealFrame } from "./frame.ts";

/**
 * A message in a log's file is a frame whose content is its timestamp (a double) and its body, which is written as in a
 * record of Kafka's: so a payload that was read decodes only what is looked at.
 */
const BODY_FROM: number = FRAME_HEADER_BYTES + 8;

interface Record {
  readonly payload: KafkaPayload;
  readonly timestampMs: number;
  /** As {@link recordSize} gives it. */
  readonly size: number;
}

/** How many bytes a message takes in the file. */
export function recordSize(payload: KafkaPayload): number {
  return BODY_FROM + bodySize(payload);
}

/** Messages as they lie in the file, one after the other. */
export function encodeRecords(records: readonly Record[], firstOffset: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(records.reduce((sum, { size }) => sum + size, 0));
  let start = 0;
  let offset = firstOffset;
  for (const { payload, timestampMs, size } of records) {
    bytes.writeDoubleLE(timestampMs, start + FRAME_HEADER_BYTES);
    writeBody(payload, bytes, start + BODY_FROM);
    sealFrame(bytes, start, start + size, offset++);
    start += size;
  }
  return bytes;
}

/** The message whose frame lies at `at`, and has been checked. Its payload refers to these bytes. */
export function decodeRecord(
  bytes: Buffer,
  at: number,
  size: number,
  partition: Partition,
  offset: number,
): BrokerMessage<KafkaPayload> {
  const payload = payloadOfBody(bytes, at + BODY_FROM, at + size);
  return new BrokerMessage(payload, partition, offset, bytes.readDoubleLE(at + FRAME_HEADER_BYTES));
}
