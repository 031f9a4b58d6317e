import {
  initProducerIdV4,
  initProducerIdV5,
  produceV10,
  produceV11,
  produceV9,
  Writer,
} from "@platformatic/kafka";
import { parseTolerantly, rowOf, safeNumber, type Api, type ApiVersion } from "./api.ts";

export interface ProduceRequest {
  readonly transactionalId: string | null;
  /** -1: all in-sync replicas. 0: the broker does not answer, and the request resolves once it is on its way. */
  readonly acks: -1 | 0 | 1;
  /** How long the leader may wait for its followers. */
  readonly timeoutMs: number;
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly {
      readonly index: number;
      /** A whole record batch. Not copied until it is written: leave it as it is until the request is settled. */
      readonly records: Uint8Array;
    }[];
  }[];
}

export interface ProduceResponse {
  /** Empty with `acks` 0. */
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly {
      readonly index: number;
      readonly errorCode: number;
      readonly errorMessage: string | null;
      readonly baseOffset: number;
      /** -1 unless the topic takes its timestamps from the broker. */
      readonly logAppendTimeMs: number;
      readonly recordErrors: readonly { readonly batchIndex: number; readonly message: string | null }[];
      /** Who leads now, with NOT_LEADER_OR_FOLLOWER and the like (KIP-951); both -1 when not said. */
      readonly currentLeader: { readonly leaderId: number; readonly leaderEpoch: number };
    }[];
  }[];
  readonly throttleTimeMs?: number | undefined;
}

const NO_LEADER = { leaderId: -1, leaderEpoch: -1 };

/** The library's encoder takes messages one by one; this takes the batches that the accumulator has written. */
function createProduceRequest(request: ProduceRequest): Writer {
  const writer = Writer.create()
    .appendString(request.transactionalId)
    .appendInt16(request.acks)
    .appendInt32(request.timeoutMs)
    .appendArray([...request.topics], (topicWriter, topic) => {
      topicWriter
        .appendString(topic.name)
        .appendArray([...topic.partitions], (partitionWriter, partition) => {
          const { records } = partition;
          partitionWriter
            .appendInt32(partition.index)
            .appendBytes(Buffer.from(records.buffer, records.byteOffset, records.byteLength));
        });
    })
    .appendTaggedFields();
  if (request.acks === 0) writer.context["noResponse"] = true;
  return writer;
}

function produceResponse(response: ReturnType<typeof produceV11.parseResponse>): ProduceResponse {
  return {
    throttleTimeMs: response.throttleTimeMs,
    topics: response.responses.map(({ name, partitionResponses }) => ({
      name,
      partitions: partitionResponses.map((partition) => ({
        index: partition.index,
        errorCode: partition.errorCode,
        errorMessage: partition.errorMessage ?? null,
        baseOffset: safeNumber(partition.baseOffset, "offset"),
        logAppendTimeMs: safeNumber(partition.logAppendTimeMs, "timestamp"),
        recordErrors: partition.recordErrors.map(({ batchIndex, batchIndexErrorMessage }) => ({
          batchIndex,
          message: batchIndexErrorMessage ?? null,
        })),
        currentLeader: partition.currentLeader ?? NO_LEADER,
      })),
    })),
  };
}

function produceRow(
  rpc: typeof produceV9 | typeof produceV10 | typeof produceV11,
): ApiVersion<[ProduceRequest], ProduceResponse> {
  return {
    version: rpc.api.version,
    createRequest: createProduceRequest,
    unanswered: { topics: [] },
    throttleTime: "own field",
    parseResponse: (reader) => produceResponse(parseTolerantly(rpc, reader)),
  };
}

export const Produce: Api<[ProduceRequest], ProduceResponse> = {
  key: 0,
  name: "Produce",
  versions: [produceRow(produceV11), produceRow(produceV10), produceRow(produceV9)],
};

export interface InitProducerIdRequest {
  readonly transactionalId: string | null;
  readonly transactionTimeoutMs: number;
  /** The id and epoch to be bumped; -1n and -1 for a new one. */
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

export interface InitProducerIdResponse {
  readonly errorCode: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

const initProducerIdArguments = (
  request: InitProducerIdRequest,
): Parameters<typeof initProducerIdV5.createRequest> => [
  request.transactionalId,
  request.transactionTimeoutMs,
  request.producerId,
  request.producerEpoch,
];
const initProducerIdResponse = (response: InitProducerIdResponse): InitProducerIdResponse => response;

export const InitProducerId: Api<[InitProducerIdRequest], InitProducerIdResponse> = {
  key: 22,
  name: "InitProducerId",
  versions: [
    rowOf(initProducerIdV5, initProducerIdArguments, initProducerIdResponse),
    rowOf(initProducerIdV4, initProducerIdArguments, initProducerIdResponse),
  ],
};
