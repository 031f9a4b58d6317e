import { rows, type Api } from "./api.ts";
import type { RequestWriter } from "./request-writer.ts";
import type { ResponseCursor } from "./response-cursor.ts";

// The least that a structure takes in an answer, all lengths in it being 0.
const JOINED_MEMBER_BYTES = 4;
const LEFT_MEMBER_BYTES = 5;
const TOPIC_BYTES = 3;
const COMMIT_PARTITION_BYTES = 7;
const OFFSET_PARTITION_BYTES = 20;
const GROUP_BYTES = 5;

/** Why somebody joins or leaves is for the broker's log (KIP-800). */
const JOIN_WITH_REASON = 8;
const LEAVE_WITH_REASON = 5;
const JOIN_WITH_SKIPPED_ASSIGNMENT = 9;
/** Since this version a member of a KIP-848 group says who it is. */
const OFFSETS_WITH_MEMBER = 9;

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

function writeJoinGroup(writer: RequestWriter, request: JoinGroupRequest, version: number): void {
  writer
    .string(request.groupId)
    .int32(request.sessionTimeoutMs)
    .int32(request.rebalanceTimeoutMs)
    .string(request.memberId)
    .string(request.groupInstanceId)
    .string(request.protocolType)
    .structures(request.protocols, ({ name, metadata }) => writer.string(name).bytes(metadata));
  if (version >= JOIN_WITH_REASON) writer.string(request.reason);
  writer.end();
}

function readJoinGroup(body: ResponseCursor, version: number): JoinGroupResponse {
  body.int32(); // throttle time
  const response = {
    errorCode: body.int16(),
    generationId: body.int32(),
    protocolType: body.nullableString(),
    protocolName: body.nullableString(),
    leader: body.string(),
    skipAssignment: version >= JOIN_WITH_SKIPPED_ASSIGNMENT && body.boolean(),
    memberId: body.string(),
    members: body.structures(JOINED_MEMBER_BYTES, () => ({
      memberId: body.string(),
      groupInstanceId: body.nullableString(),
      metadata: body.compactBytes(),
    })),
  };
  body.taggedFields();
  return response;
}

/** Answered when all members have come, or the rebalance timeout of the group is over: it blocks its connection. */
export const JoinGroup: Api<[JoinGroupRequest], JoinGroupResponse> = {
  key: 11,
  name: "JoinGroup",
  versions: rows([9, 8, 7], writeJoinGroup, readJoinGroup),
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

function writeSyncGroup(writer: RequestWriter, request: SyncGroupRequest): void {
  writer
    .string(request.groupId)
    .int32(request.generationId)
    .string(request.memberId)
    .string(request.groupInstanceId)
    .string(request.protocolType)
    .string(request.protocolName)
    .structures(request.assignments, ({ memberId, assignment }) => writer.string(memberId).bytes(assignment))
    .end();
}

function readSyncGroup(body: ResponseCursor): SyncGroupResponse {
  body.int32(); // throttle time
  const response = {
    errorCode: body.int16(),
    protocolType: body.nullableString(),
    protocolName: body.nullableString(),
    assignment: body.compactBytes(),
  };
  body.taggedFields();
  return response;
}

export const SyncGroup: Api<[SyncGroupRequest], SyncGroupResponse> = {
  key: 14,
  name: "SyncGroup",
  versions: rows([5], writeSyncGroup, readSyncGroup),
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

function writeHeartbeat(writer: RequestWriter, request: HeartbeatRequest): void {
  writer
    .string(request.groupId)
    .int32(request.generationId)
    .string(request.memberId)
    .string(request.groupInstanceId)
    .end();
}

function readHeartbeat(body: ResponseCursor): HeartbeatResponse {
  body.int32(); // throttle time
  const response = { errorCode: body.int16() };
  body.taggedFields();
  return response;
}

export const Heartbeat: Api<[HeartbeatRequest], HeartbeatResponse> = {
  key: 12,
  name: "Heartbeat",
  versions: rows([4], writeHeartbeat, readHeartbeat),
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

function writeLeaveGroup(writer: RequestWriter, request: LeaveGroupRequest, version: number): void {
  writer
    .string(request.groupId)
    .structures(request.members, ({ memberId, groupInstanceId, reason }) => {
      writer.string(memberId).string(groupInstanceId);
      if (version >= LEAVE_WITH_REASON) writer.string(reason);
    })
    .end();
}

function readLeaveGroup(body: ResponseCursor): LeaveGroupResponse {
  body.int32(); // throttle time
  const response = {
    errorCode: body.int16(),
    members: body.structures(LEFT_MEMBER_BYTES, () => ({
      memberId: body.string(),
      groupInstanceId: body.nullableString(),
      errorCode: body.int16(),
    })),
  };
  body.taggedFields();
  return response;
}

export const LeaveGroup: Api<[LeaveGroupRequest], LeaveGroupResponse> = {
  key: 13,
  name: "LeaveGroup",
  versions: rows([5, 4], writeLeaveGroup, readLeaveGroup),
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

function writeOffsetCommit(writer: RequestWriter, request: OffsetCommitRequest): void {
  writer
    .string(request.groupId)
    .int32(request.generationIdOrMemberEpoch)
    .string(request.memberId)
    .string(request.groupInstanceId)
    .structures(request.topics, ({ name, partitions }) =>
      writer
        .string(name)
        .structures(partitions, (partition) =>
          writer
            .int32(partition.partitionIndex)
            .int64(partition.committedOffset)
            .int32(partition.committedLeaderEpoch)
            .string(partition.committedMetadata),
        ),
    )
    .end();
}

function readOffsetCommit(body: ResponseCursor): OffsetCommitResponse {
  body.int32(); // throttle time
  const topics = body.structures(TOPIC_BYTES, () => ({
    name: body.string(),
    partitions: body.structures(COMMIT_PARTITION_BYTES, () => ({
      partitionIndex: body.int32(),
      errorCode: body.int16(),
    })),
  }));
  body.taggedFields();
  return { topics };
}

export const OffsetCommit: Api<[OffsetCommitRequest], OffsetCommitResponse> = {
  key: 8,
  name: "OffsetCommit",
  versions: rows([9, 8], writeOffsetCommit, readOffsetCommit),
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

function writeOffsetFetch(writer: RequestWriter, request: OffsetFetchRequest, version: number): void {
  writer
    .structures([request], ({ groupId, memberId, memberEpoch, topics }) => {
      writer.string(groupId);
      if (version >= OFFSETS_WITH_MEMBER) writer.string(memberId).int32(memberEpoch);
      writer.structures(topics, ({ name, partitionIndexes }) => writer.string(name).int32s(partitionIndexes));
    })
    .boolean(request.requireStable)
    .end();
}

function readOffsetFetchTopic(body: ResponseCursor): OffsetFetchResponse["topics"][number] {
  return {
    name: body.string(),
    partitions: body.structures(OFFSET_PARTITION_BYTES, () => ({
      partitionIndex: body.int32(),
      committedOffset: body.int64(),
      committedLeaderEpoch: body.int32(),
      metadata: body.nullableString(),
      errorCode: body.int16(),
    })),
  };
}

function readOffsetFetch(body: ResponseCursor): OffsetFetchResponse {
  body.int32(); // throttle time
  const [group] = body.structures(GROUP_BYTES, () => {
    body.string(); // group id
    const topics = body.structures(TOPIC_BYTES, readOffsetFetchTopic);
    return { errorCode: body.int16(), topics };
  });
  body.taggedFields();
  if (group === undefined) throw body.malformed("it holds no group");
  return group;
}

export const OffsetFetch: Api<[OffsetFetchRequest], OffsetFetchResponse> = {
  key: 9,
  name: "OffsetFetch",
  versions: rows([9, 8], writeOffsetFetch, readOffsetFetch),
};
