import { rows, type Api } from "./api.ts";
import type { RequestWriter } from "./request-writer.ts";
import type { ResponseCursor } from "./response-cursor.ts";

// The least that a structure takes in an answer, all lengths in it being 0.
const TOPIC_BYTES = 3;
const PARTITION_BYTES = 33;
const RECORD_ERROR_BYTES = 6;

const TAG_CURRENT_LEADER = 0;

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

function writeProduce(writer: RequestWriter, request: ProduceRequest): void {
  writer
    .string(request.transactionalId)
    .int16(request.acks)
    .int32(request.timeoutMs)
    .structures(request.topics, ({ name, partitions }) =>
      writer.string(name).structures(partitions, ({ index, records }) => writer.int32(index).bytes(records)),
    )
    .end();
}

function readProducePartition(body: ResponseCursor): ProduceResponse["topics"][number]["partitions"][number] {
  const index = body.int32();
  const errorCode = body.int16();
  const baseOffset = body.int64();
  const logAppendTimeMs = body.int64();
  body.int64(); // where the log starts
  const recordErrors = body.structures(RECORD_ERROR_BYTES, () => ({
    batchIndex: body.int32(),
    message: body.nullableString(),
  }));
  const errorMessage = body.nullableString();
  let currentLeader = NO_LEADER;
  body.taggedFields((tag) => {
    if (tag === TAG_CURRENT_LEADER) currentLeader = { leaderId: body.int32(), leaderEpoch: body.int32() };
  });
  return { index, errorCode, errorMessage, baseOffset, logAppendTimeMs, recordErrors, currentLeader };
}

function readProduce(body: ResponseCursor): ProduceResponse {
  const topics = body.structures(TOPIC_BYTES, () => ({
    name: body.string(),
    partitions: body.compactArray(PARTITION_BYTES, readProducePartition),
  }));
  const throttleTimeMs = body.int32();
  body.taggedFields();
  return { topics, throttleTimeMs };
}

export const Produce: Api<[ProduceRequest], ProduceResponse> = {
  key: 0,
  name: "Produce",
  versions: rows([11, 10, 9], writeProduce, readProduce, {
    throttleTime: "own field",
    unanswered: ({ acks }) => (acks === 0 ? { topics: [] } : undefined),
  }),
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

function writeInitProducerId(writer: RequestWriter, request: InitProducerIdRequest): void {
  writer
    .string(request.transactionalId)
    .int32(request.transactionTimeoutMs)
    .int64(request.producerId)
    .int16(request.producerEpoch)
    .end();
}

function readInitProducerId(body: ResponseCursor): InitProducerIdResponse {
  body.int32(); // throttle time
  const response = {
    errorCode: body.int16(),
    producerId: body.bigInt64(),
    producerEpoch: body.int16(),
  };
  body.taggedFields();
  return response;
}

export const InitProducerId: Api<[InitProducerIdRequest], InitProducerIdResponse> = {
  key: 22,
  name: "InitProducerId",
  versions: rows([5, 4], writeInitProducerId, readInitProducerId),
};
