import {
  heartbeatV4,
  joinGroupV7,
  joinGroupV8,
  joinGroupV9,
  leaveGroupV4,
  leaveGroupV5,
  offsetCommitV8,
  offsetCommitV9,
  offsetFetchV8,
  offsetFetchV9,
  syncGroupV5,
} from "@platformatic/kafka";
import { rowOf, safeNumber, type Api } from "./api.ts";

export interface JoinGroupRequest {
  readonly groupId: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** Empty for the first time; the coordinator answers MEMBER_ID_REQUIRED with one (KIP-394). */
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly protocolType: string;
  readonly protocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  /** Why, for the broker's log (KIP-800); dropped for brokers before Kafka 3.2. */
  readonly reason: string | null;
}

export interface JoinGroupResponse {
  readonly errorCode: number;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  /** The member id of the leader. */
  readonly leader: string;
  readonly skipAssignment: boolean;
  readonly memberId: string;
  /** For the leader only. */
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly metadata: Buffer;
  }[];
}

const joinGroupArguments = (request: JoinGroupRequest): Parameters<typeof joinGroupV9.createRequest> => [
  request.groupId,
  request.sessionTimeoutMs,
  request.rebalanceTimeoutMs,
  request.memberId,
  request.groupInstanceId,
  request.protocolType,
  [...request.protocols],
  request.reason,
];
const joinGroupResponse = (response: ReturnType<typeof joinGroupV9.parseResponse>): JoinGroupResponse => ({
  ...response,
  protocolType: response.protocolType ?? null,
  protocolName: response.protocolName ?? null,
  members: response.members.map((member) => ({
    ...member,
    groupInstanceId: member.groupInstanceId ?? null,
  })),
});

/** Answered when all members have come, or the rebalance timeout of the group is over: it blocks its connection. */
export const JoinGroup: Api<[JoinGroupRequest], JoinGroupResponse> = {
  key: 11,
  name: "JoinGroup",
  versions: [
    rowOf(joinGroupV9, joinGroupArguments, joinGroupResponse),
    rowOf(joinGroupV8, joinGroupArguments, joinGroupResponse),
    rowOf(joinGroupV7, joinGroupArguments, joinGroupResponse),
  ],
};

export interface SyncGroupRequest {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  /** From the leader only. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[];
}

export interface SyncGroupResponse {
  readonly errorCode: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}

export const SyncGroup: Api<[SyncGroupRequest], SyncGroupResponse> = {
  key: 14,
  name: "SyncGroup",
  versions: [
    rowOf(
      syncGroupV5,
      (request: SyncGroupRequest): Parameters<typeof syncGroupV5.createRequest> => [
        request.groupId,
        request.generationId,
        request.memberId,
        request.groupInstanceId,
        request.protocolType,
        request.protocolName,
        [...request.assignments],
      ],
      (response): SyncGroupResponse => ({
        ...response,
        protocolType: response.protocolType ?? null,
        protocolName: response.protocolName ?? null,
      }),
    ),
  ],
};

export interface HeartbeatRequest {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

export interface HeartbeatResponse {
  readonly errorCode: number;
}

export const Heartbeat: Api<[HeartbeatRequest], HeartbeatResponse> = {
  key: 12,
  name: "Heartbeat",
  versions: [
    rowOf(
      heartbeatV4,
      (request: HeartbeatRequest): Parameters<typeof heartbeatV4.createRequest> => [
        request.groupId,
        request.generationId,
        request.memberId,
        request.groupInstanceId,
      ],
      (response): HeartbeatResponse => response,
    ),
  ],
};

export interface LeaveGroupRequest {
  readonly groupId: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    /** Why, for the broker's log (KIP-800); dropped for brokers before Kafka 3.2. */
    readonly reason: string | null;
  }[];
}

export interface LeaveGroupResponse {
  readonly errorCode: number;
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly errorCode: number;
  }[];
}

const leaveGroupArguments = (request: LeaveGroupRequest): Parameters<typeof leaveGroupV5.createRequest> => [
  request.groupId,
  [...request.members],
];
const leaveGroupResponse = (response: ReturnType<typeof leaveGroupV5.parseResponse>): LeaveGroupResponse => ({
  errorCode: response.errorCode,
  members: response.members.map((member) => ({
    ...member,
    groupInstanceId: member.groupInstanceId ?? null,
  })),
});

export const LeaveGroup: Api<[LeaveGroupRequest], LeaveGroupResponse> = {
  key: 13,
  name: "LeaveGroup",
  versions: [
    rowOf(leaveGroupV5, leaveGroupArguments, leaveGroupResponse),
    rowOf(leaveGroupV4, leaveGroupArguments, leaveGroupResponse),
  ],
};

export interface OffsetCommitRequest {
  readonly groupId: string;
  /** Never -1: a group without members accepts that, and it rewinds what others committed. */
  readonly generationIdOrMemberEpoch: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly {
      readonly partitionIndex: number;
      readonly committedOffset: number;
      /** Of the last record that was done; -1 for unknown. */
      readonly committedLeaderEpoch: number;
      readonly committedMetadata: string | null;
    }[];
  }[];
}

export interface OffsetCommitResponse {
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[];
  }[];
}

const offsetCommitArguments = (
  request: OffsetCommitRequest,
): Parameters<typeof offsetCommitV9.createRequest> => [
  request.groupId,
  request.generationIdOrMemberEpoch,
  request.memberId,
  request.groupInstanceId,
  request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((partition) => ({
      ...partition,
      committedOffset: BigInt(partition.committedOffset),
    })),
  })),
];
const offsetCommitResponse = (response: OffsetCommitResponse): OffsetCommitResponse => response;

export const OffsetCommit: Api<[OffsetCommitRequest], OffsetCommitResponse> = {
  key: 8,
  name: "OffsetCommit",
  versions: [
    rowOf(offsetCommitV9, offsetCommitArguments, offsetCommitResponse),
    rowOf(offsetCommitV8, offsetCommitArguments, offsetCommitResponse),
  ],
};

export interface OffsetFetchRequest {
  readonly groupId: string;
  /** Only for KIP-848 groups; null and -1 otherwise. */
  readonly memberId: string | null;
  readonly memberEpoch: number;
  /** null for all partitions that the group has committed. */
  readonly topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null;
  /** Whether offsets of open transactions answer UNSTABLE_OFFSET_COMMIT rather than what was before them. */
  readonly requireStable: boolean;
}

export interface OffsetFetchResponse {
  readonly errorCode: number;
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly {
      readonly partitionIndex: number;
      /** -1 when nothing is committed. */
      readonly committedOffset: number;
      readonly committedLeaderEpoch: number;
      readonly metadata: string | null;
      readonly errorCode: number;
    }[];
  }[];
}

const offsetFetchArguments = (
  request: OffsetFetchRequest,
): Parameters<typeof offsetFetchV9.createRequest> => [
  [
    {
      groupId: request.groupId,
      memberId: request.memberId,
      memberEpoch: request.memberEpoch,
      topics:
        request.topics?.map(({ name, partitionIndexes }) => ({
          name,
          partitionIndexes: [...partitionIndexes],
        })) ?? null,
    },
  ],
  request.requireStable,
];

function offsetFetchResponse(response: ReturnType<typeof offsetFetchV9.parseResponse>): OffsetFetchResponse {
  const [group] = response.groups;
  if (group === undefined) throw new Error("The answer holds no group.");
  return {
    errorCode: group.errorCode,
    topics: group.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partition) => ({
        ...partition,
        committedOffset: safeNumber(partition.committedOffset, "committed offset"),
        metadata: partition.metadata ?? null,
      })),
    })),
  };
}

export const OffsetFetch: Api<[OffsetFetchRequest], OffsetFetchResponse> = {
  key: 9,
  name: "OffsetFetch",
  versions: [
    rowOf(offsetFetchV9, offsetFetchArguments, offsetFetchResponse),
    rowOf(offsetFetchV8, offsetFetchArguments, offsetFetchResponse),
  ],
};
