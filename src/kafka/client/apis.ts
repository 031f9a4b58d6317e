import {
  apiVersionsV3,
  fetchV13,
  fetchV14,
  fetchV15,
  fetchV16,
  fetchV17,
  findCoordinatorV4,
  findCoordinatorV5,
  findCoordinatorV6,
  listOffsetsV6,
  listOffsetsV7,
  listOffsetsV8,
  listOffsetsV9,
  metadataV11,
  metadataV12,
  type Reader,
} from "@platformatic/kafka";
import { rowOf, safeNumber, type Api } from "./api.ts";

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

/** Asks what versions of which RPCs a broker has. */
export const ApiVersions: Api<[ApiVersionsRequest], ApiVersionsResponse> = {
  key: 18,
  name: "ApiVersions",
  versions: [
    {
      ...rowOf(
        apiVersionsV3,
        (request: ApiVersionsRequest): [string, string] => [request.softwareName, request.softwareVersion],
        (response): ApiVersionsResponse => response,
      ),
      responseHeaderTags: false,
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

const metadataArguments = (request: MetadataRequest): [string[] | null, boolean] => [
  request.topics === null ? null : [...request.topics],
  request.allowAutoTopicCreation,
];
const metadataResponse = (response: ReturnType<typeof metadataV12.parseResponse>): MetadataResponse => ({
  brokers: response.brokers,
  clusterId: response.clusterId ?? null,
  topics: response.topics.map((topic) => ({ ...topic, name: topic.name ?? null })),
});

export const Metadata: Api<[MetadataRequest], MetadataResponse> = {
  key: 3,
  name: "Metadata",
  versions: [
    rowOf(metadataV12, metadataArguments, metadataResponse),
    rowOf(metadataV11, metadataArguments, metadataResponse),
  ],
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

const findCoordinatorArguments = (request: FindCoordinatorRequest): [number, string[]] => [
  request.keyType === "group" ? 0 : 1,
  [request.key],
];

function findCoordinatorResponse(
  response: ReturnType<typeof findCoordinatorV6.parseResponse>,
): FindCoordinatorResponse {
  const [coordinator] = response.coordinators;
  if (coordinator === undefined) throw new Error("The answer names no coordinator.");
  return { ...coordinator, errorMessage: coordinator.errorMessage ?? null };
}

export const FindCoordinator: Api<[FindCoordinatorRequest], FindCoordinatorResponse> = {
  key: 10,
  name: "FindCoordinator",
  versions: [
    rowOf(findCoordinatorV6, findCoordinatorArguments, findCoordinatorResponse),
    rowOf(findCoordinatorV5, findCoordinatorArguments, findCoordinatorResponse),
    rowOf(findCoordinatorV4, findCoordinatorArguments, findCoordinatorResponse),
  ],
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

const listOffsetsArguments = (
  request: ListOffsetsRequest,
): Parameters<typeof listOffsetsV9.createRequest> => [
  -1, // not a replica
  request.isolationLevel === "read_committed" ? 1 : 0,
  request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((partition) => ({ ...partition, timestamp: BigInt(partition.timestamp) })),
  })),
];

const listOffsetsResponse = (
  response: ReturnType<typeof listOffsetsV9.parseResponse>,
): ListOffsetsResponse => ({
  topics: response.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((partition) => ({
      ...partition,
      timestamp: safeNumber(partition.timestamp, "timestamp"),
      offset: safeNumber(partition.offset, "offset"),
    })),
  })),
});

export const ListOffsets: Api<[ListOffsetsRequest], ListOffsetsResponse> = {
  key: 2,
  name: "ListOffsets",
  versions: [
    rowOf(listOffsetsV9, listOffsetsArguments, listOffsetsResponse),
    rowOf(listOffsetsV8, listOffsetsArguments, listOffsetsResponse),
    rowOf(listOffsetsV7, listOffsetsArguments, listOffsetsResponse),
    rowOf(listOffsetsV6, listOffsetsArguments, listOffsetsResponse),
  ],
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

/**
 * Fetch, with the caller's own parser: the library's checks neither CRC nor magic, and decompresses while the socket
 * waits. Topics are named by their id, so brokers older than Kafka 3.1 are not spoken to.
 */
export function fetchApi<Response>(
  parseResponse: (reader: Reader, version: number) => Response,
): Api<[FetchRequest], Response> {
  const row = (
    version: number,
    createRequest: typeof fetchV17.createRequest,
  ): Api<[FetchRequest], Response>["versions"][number] => ({
    version,
    parseResponse,
    createRequest: (request) =>
      createRequest(
        request.maxWaitMs,
        request.minBytes,
        request.maxBytes,
        request.isolationLevel === "read_committed" ? 1 : 0,
        request.sessionId,
        request.sessionEpoch,
        request.topics.map(({ topicId, partitions }) => ({
          topicId,
          partitions: partitions.map((partition) => ({
            ...partition,
            fetchOffset: BigInt(partition.fetchOffset),
          })),
        })),
        request.forgottenTopics.map(({ topicId, partitions }) => ({
          topicId,
          partitions: [...partitions],
        })),
        request.rackId,
      ),
  });
  return {
    key: 1,
    name: "Fetch",
    versions: [
      row(17, fetchV17.createRequest),
      row(16, fetchV16.createRequest),
      row(15, fetchV15.createRequest),
      row(14, fetchV14.createRequest),
      row(13, fetchV13.createRequest),
    ],
  };
}
