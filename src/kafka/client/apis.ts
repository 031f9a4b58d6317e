import { rows, type Api } from "./api.ts";
import { parseFetchResponse, type FetchResponse } from "./fetch-response.ts";
import type { RequestWriter } from "./request-writer.ts";
import type { ResponseCursor } from "./response-cursor.ts";

export type { Api, ApiVersion } from "./api.ts";
export {
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  OffsetCommit,
  OffsetFetch,
  SyncGroup,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetFetchRequest,
  type OffsetFetchResponse,
  type SyncGroupRequest,
  type SyncGroupResponse,
} from "./group-apis.ts";
export {
  InitProducerId,
  Produce,
  type InitProducerIdRequest,
  type InitProducerIdResponse,
  type ProduceRequest,
  type ProduceResponse,
} from "./produce-apis.ts";

export interface ApiVersionsRequest {
  readonly softwareName: string;
  readonly softwareVersion: string;
}

export interface ApiVersionsResponse {
  readonly errorCode: number;
  /** Empty when `errorCode` is not 0. */
  readonly apiKeys: readonly {
    readonly apiKey: number;
    readonly minVersion: number;
    readonly maxVersion: number;
  }[];
  readonly throttleTimeMs?: number | undefined;
}

// The least that a structure takes in an answer, all lengths in it being 0: an array of more than fit is a lie.
const API_KEY_BYTES = 7;
const BROKER_BYTES = 11;
const METADATA_TOPIC_BYTES = 26;
const METADATA_PARTITION_BYTES = 18;
const COORDINATOR_BYTES = 14;
const OFFSETS_TOPIC_BYTES = 3;
const OFFSETS_PARTITION_BYTES = 27;

function readApiVersions(body: ResponseCursor): ApiVersionsResponse {
  const errorCode = body.int16();
  // A broker that does not know the version answers in the oldest one.
  if (errorCode !== 0) return { errorCode, apiKeys: [] };
  const apiKeys = body.structures(API_KEY_BYTES, () => ({
    apiKey: body.int16(),
    minVersion: body.int16(),
    maxVersion: body.int16(),
  }));
  const throttleTimeMs = body.int32();
  body.taggedFields();
  return { errorCode, apiKeys, throttleTimeMs };
}

/** Asks what versions of which RPCs a broker has. */
export const ApiVersions: Api<[ApiVersionsRequest], ApiVersionsResponse> = {
  key: 18,
  name: "ApiVersions",
  versions: [
    {
      version: 3,
      write: (writer, request) =>
        void writer.string(request.softwareName).string(request.softwareVersion).end(),
      read: readApiVersions,
      headerTags: "request",
      throttleTime: "own field",
    },
  ],
};

export interface MetadataRequest {
  /** By name; null for all topics of the cluster. An empty list asks for the brokers only. */
  readonly topics: readonly string[] | null;
  readonly allowAutoTopicCreation: boolean;
}

export interface MetadataResponse {
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly clusterId: string | null;
  readonly topics: readonly {
    readonly errorCode: number;
    readonly name: string | null;
    readonly topicId: string;
    readonly isInternal: boolean;
    readonly partitions: readonly {
      readonly errorCode: number;
      readonly partitionIndex: number;
      /** -1 when there is none at the moment. */
      readonly leaderId: number;
      readonly leaderEpoch: number;
      readonly replicaNodes: readonly number[];
      readonly isrNodes: readonly number[];
    }[];
  }[];
}

function writeMetadata(writer: RequestWriter, request: MetadataRequest): void {
  writer
    .structures(request.topics, (name) => writer.uuid(null).string(name))
    .boolean(request.allowAutoTopicCreation)
    .boolean(false) // what one may do with each topic
    .end();
}

function readMetadataPartition(
  body: ResponseCursor,
): MetadataResponse["topics"][number]["partitions"][number] {
  const partition = {
    errorCode: body.int16(),
    partitionIndex: body.int32(),
    leaderId: body.int32(),
    leaderEpoch: body.int32(),
    replicaNodes: body.int32s(),
    isrNodes: body.int32s(),
  };
  body.int32s(); // offline replicas
  return partition;
}

function readMetadataTopic(body: ResponseCursor): MetadataResponse["topics"][number] {
  const topic = {
    errorCode: body.int16(),
    name: body.nullableString(),
    topicId: body.uuid(),
    isInternal: body.boolean(),
    partitions: body.structures(METADATA_PARTITION_BYTES, readMetadataPartition),
  };
  body.int32(); // what one may do with it
  return topic;
}

function readMetadata(body: ResponseCursor): MetadataResponse {
  body.int32(); // throttle time
  const brokers = body.structures(BROKER_BYTES, () => {
    const broker = { nodeId: body.int32(), host: body.string(), port: body.int32() };
    body.nullableString(); // rack
    return broker;
  });
  const clusterId = body.nullableString();
  body.int32(); // controller
  const topics = body.structures(METADATA_TOPIC_BYTES, readMetadataTopic);
  body.taggedFields();
  return { brokers, clusterId, topics };
}

export const Metadata: Api<[MetadataRequest], MetadataResponse> = {
  key: 3,
  name: "Metadata",
  versions: rows([12, 11], writeMetadata, readMetadata),
};

export interface FindCoordinatorRequest {
  readonly keyType: "group" | "transaction";
  /** The group id or the transactional id. */
  readonly key: string;
}

export interface FindCoordinatorResponse {
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

function writeFindCoordinator(writer: RequestWriter, request: FindCoordinatorRequest): void {
  writer
    .int8(request.keyType === "group" ? 0 : 1)
    .array([request.key], (key) => writer.string(key))
    .end();
}

function readFindCoordinator(body: ResponseCursor): FindCoordinatorResponse {
  body.int32(); // throttle time
  const [coordinator] = body.structures(COORDINATOR_BYTES, () => {
    body.string(); // key
    return {
      nodeId: body.int32(),
      host: body.string(),
      port: body.int32(),
      errorCode: body.int16(),
      errorMessage: body.nullableString(),
    };
  });
  body.taggedFields();
  if (coordinator === undefined) throw body.malformed("it names no coordinator");
  return coordinator;
}

export const FindCoordinator: Api<[FindCoordinatorRequest], FindCoordinatorResponse> = {
  key: 10,
  name: "FindCoordinator",
  versions: rows([6, 5, 4], writeFindCoordinator, readFindCoordinator),
};

/** Timestamps with a meaning of their own in a ListOffsets request. */
export const OffsetTimestamp = { LATEST: -1, EARLIEST: -2 } as const;

export interface ListOffsetsRequest {
  readonly isolationLevel: "read_uncommitted" | "read_committed";
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly {
      readonly partitionIndex: number;
      /** As known from the metadata; -1 for none. */
      readonly currentLeaderEpoch: number;
      /** Milliseconds since the epoch, or one of {@link OffsetTimestamp}. */
      readonly timestamp: number;
    }[];
  }[];
}

export interface ListOffsetsResponse {
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly {
      readonly partitionIndex: number;
      readonly errorCode: number;
      readonly timestamp: number;
      /** -1 when no message is as young as the timestamp. */
      readonly offset: number;
      readonly leaderEpoch: number;
    }[];
  }[];
}

function writeListOffsets(writer: RequestWriter, request: ListOffsetsRequest): void {
  writer
    .int32(-1) // not a replica
    .int8(request.isolationLevel === "read_committed" ? 1 : 0)
    .structures(request.topics, ({ name, partitions }) =>
      writer
        .string(name)
        .structures(partitions, (partition) =>
          writer
            .int32(partition.partitionIndex)
            .int32(partition.currentLeaderEpoch)
            .int64(partition.timestamp),
        ),
    )
    .end();
}

function readListOffsets(body: ResponseCursor): ListOffsetsResponse {
  body.int32(); // throttle time
  const topics = body.structures(OFFSETS_TOPIC_BYTES, () => ({
    name: body.string(),
    partitions: body.structures(OFFSETS_PARTITION_BYTES, () => ({
      partitionIndex: body.int32(),
      errorCode: body.int16(),
      timestamp: body.int64(),
      offset: body.int64(),
      leaderEpoch: body.int32(),
    })),
  }));
  body.taggedFields();
  return { topics };
}

export const ListOffsets: Api<[ListOffsetsRequest], ListOffsetsResponse> = {
  key: 2,
  name: "ListOffsets",
  versions: rows([9, 8, 7, 6], writeListOffsets, readListOffsets),
};

export interface FetchRequest {
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly isolationLevel: "read_uncommitted" | "read_committed";
  /** 0 for none. */
  readonly sessionId: number;
  /** -1 for none. */
  readonly sessionEpoch: number;
  readonly topics: readonly {
    readonly topicId: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly currentLeaderEpoch: number;
      readonly fetchOffset: number;
      readonly lastFetchedEpoch: number;
      readonly partitionMaxBytes: number;
    }[];
  }[];
  readonly forgottenTopics: readonly { readonly topicId: string; readonly partitions: readonly number[] }[];
  readonly rackId: string;
}

/** Since this version, who asks is said only by replicas, in a tagged field. */
const FETCH_WITHOUT_REPLICA_ID = 15;

function writeFetch(writer: RequestWriter, request: FetchRequest, version: number): void {
  if (version < FETCH_WITHOUT_REPLICA_ID) writer.int32(-1);
  writer
    .int32(request.maxWaitMs)
    .int32(request.minBytes)
    .int32(request.maxBytes)
    .int8(request.isolationLevel === "read_committed" ? 1 : 0)
    .int32(request.sessionId)
    .int32(request.sessionEpoch)
    .structures(request.topics, ({ topicId, partitions }) =>
      writer.uuid(topicId).structures(partitions, (partition) =>
        writer
          .int32(partition.partition)
          .int32(partition.currentLeaderEpoch)
          .int64(partition.fetchOffset)
          .int32(partition.lastFetchedEpoch)
          .int64(-1) // where a follower's log starts
          .int32(partition.partitionMaxBytes),
      ),
    )
    .structures(request.forgottenTopics, ({ topicId, partitions }) => writer.uuid(topicId).int32s(partitions))
    .string(request.rackId)
    .end();
}

/** Topics are named by their id, so brokers older than Kafka 3.1 are not spoken to. */
export const Fetch: Api<[FetchRequest], FetchResponse> = {
  key: 1,
  name: "Fetch",
  versions: rows([17, 16, 15, 14, 13], writeFetch, parseFetchResponse),
};
