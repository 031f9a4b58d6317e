import type { ResolvedProducerConfig } from "../config.ts";
import { CODEC_OF_TYPE } from "../records/compression.ts";
import type { PartitionQueue, QueuedBatch } from "./partition-queue.ts";
import type { ProduceRequest, ProduceResponse } from "./produce-apis.ts";
import { partitionKey } from "./protocol.ts";

/** A batch of a request. */
export interface Sending {
  readonly queue: PartitionQueue;
  readonly batch: QueuedBatch;
}

/** What the answer to a request says of one partition. */
export type ProduceAnswer = ProduceResponse["topics"][number]["partitions"][number];

/** The request for some batches, of one partition each. They are compressed and sealed now, if they were not before. */
export function produceRequest(
  sendings: readonly Sending[],
  config: Pick<ResolvedProducerConfig, "acks" | "request.timeout.ms" | "compression.type">,
): ProduceRequest {
  const codec = CODEC_OF_TYPE[config["compression.type"]];
  const topics = new Map<string, { index: number; records: Buffer }[]>();
  for (const { queue, batch } of sendings) {
    const partition = { index: queue.index, records: batch.seal(codec) };
    const partitions = topics.get(queue.topic);
    if (partitions === undefined) topics.set(queue.topic, [partition]);
    else partitions.push(partition);
  }
  return {
    transactionalId: null,
    acks: config.acks,
    timeoutMs: config["request.timeout.ms"],
    topics: [...topics].map(([name, partitions]) => ({ name, partitions })),
  };
}

/** The answers for the partitions of a request, by `partitionKey`. */
export function answersOf(response: ProduceResponse): ReadonlyMap<string, ProduceAnswer> {
  const answers = new Map<string, ProduceAnswer>();
  for (const { name, partitions } of response.topics) {
    for (const answer of partitions) answers.set(partitionKey({ topic: name, index: answer.index }), answer);
  }
  return answers;
}
