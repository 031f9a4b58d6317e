import { Connection, fetchV17 } from "@platformatic/kafka";
import type { KafkaTest } from "../kafka-test.ts";

/** A record as another client reads it; bytes as text. */
export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

const LOG_APPEND_TIME = 0x08;
const PATIENCE_MS = 55_000;

const text = (bytes: Buffer | null): string | null => bytes?.toString() ?? null;

/**
 * Reads a topic from its beginning to its end with the encoders and parsers of another library, partition by partition.
 * Waits until there are so many records, and reads what there is beyond them.
 */
export async function readAll(
  kafka: KafkaTest,
  topic: string,
  count: number,
  partitions: number = 1,
): Promise<ReadRecord[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const ends = await kafka.endOffsets(topic, partitions);
    if ([...ends.values()].reduce((sum, end) => sum + end, 0) >= count) {
      const records: ReadRecord[] = [];
      for (const [partition, end] of ends) {
        for (const record of await readPartition(kafka, topic, partition, end)) records.push(record);
      }
      return records;
    }
    if (performance.now() > deadline) throw new Error(`${topic} does not come to ${count} records`);
  }
}

async function readPartition(
  kafka: KafkaTest,
  topic: string,
  index: number,
  end: number,
): Promise<ReadRecord[]> {
  const metadata = await kafka.admin.metadata({ topics: [topic], forceUpdate: true });
  const { id, partitions } = metadata.topics.get(topic)!;
  const broker = metadata.brokers.get(partitions[index]!.leader)!;
  const connection = new Connection("arroyo-test-read");
  await connection.connect(broker.host, broker.port);
  try {
    const records: ReadRecord[] = [];
    for (let offset = 0; offset < end;) {
      const ask = {
        partition: index,
        currentLeaderEpoch: -1,
        fetchOffset: BigInt(offset),
        lastFetchedEpoch: -1,
        partitionMaxBytes: 10_000_000,
      };
      const answer = await fetchV17.api.async(
        connection,
        1_000,
        1,
        50_000_000,
        0,
        0,
        -1,
        [{ topicId: id, partitions: [ask] }],
        [],
        "", // prettier-ignore
      );
      for (const batch of answer.responses[0]?.partitions[0]?.records ?? []) {
        const appended = (batch.attributes & LOG_APPEND_TIME) !== 0;
        for (const { offsetDelta, timestampDelta, key, value, headers } of batch.records) {
          const timestamp = appended ? batch.maxTimestamp : batch.firstTimestamp + timestampDelta;
          records.push({
            partition: index,
            offset: Number(batch.firstOffset) + offsetDelta,
            timestamp: Number(timestamp),
            key: text(key),
            value: text(value),
            headers: headers.map(([name, content]) => [text(name)!, text(content)]),
          });
        }
        offset = Number(batch.firstOffset) + batch.lastOffsetDelta + 1;
      }
    }
    return records;
  } finally {
    await connection.close();
  }
}
