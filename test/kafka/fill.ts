import { Producer, stringSerializers } from "@platformatic/kafka";
import type { KafkaTest } from "./kafka-test.ts";

export interface TestRecord {
  readonly partition?: number | undefined;
  readonly key?: string | undefined;
  /** null for a tombstone. */
  readonly value: string | null;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly timestamp?: bigint | undefined;
}

const AT_ONCE = 20_000;

/** Writes records with another client than the one that is tested, in order, partition 0 by default. */
export async function fill(
  kafka: KafkaTest,
  topic: string,
  records: readonly TestRecord[],
  compression: "none" | "gzip" | "snappy" | "lz4" | "zstd" = "none",
): Promise<void> {
  const producer = new Producer({
    clientId: "arroyo-test-fill",
    bootstrapBrokers: kafka.bootstrapServers.split(","),
    serializers: stringSerializers,
    retries: 10,
    // What is sent again because its answer is late would be there twice.
    timeout: 25_000,
    connectTimeout: 25_000,
  });
  try {
    for (let from = 0; from < records.length; from += AT_ONCE) {
      await producer.send({
        acks: -1,
        compression,
        messages: records
          .slice(from, from + AT_ONCE)
          .map(({ partition, key, value, headers, timestamp }) => ({
            topic,
            partition: partition ?? 0,
            ...(key === undefined ? {} : { key }),
            ...(value === null ? {} : { value }),
            ...(headers === undefined ? {} : { headers }),
            ...(timestamp === undefined ? {} : { timestamp }),
          })),
      });
    }
  } finally {
    await producer.close();
  }
}
