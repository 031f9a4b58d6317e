import { rows, type Api } from "./api.ts";
import type { RequestWriter } from "./request-writer.ts";
import type { ResponseCursor } from "./response-cursor.ts";

/** The least that a topic's partitions take in an answer. */
const TOPIC_PARTITIONS_BYTES = 18;
/** Since this version topics may be given by a pattern. Not used here: topics are matched by this client. */
const WITH_PATTERN = 1;

export interface TopicPartitions {
  readonly topicId: string;
  readonly partitions: readonly number[];
}

/** KIP-848. What has not changed since the last heartbeat that was answered may be null (-1 for the timeout). */
export interface ConsumerGroupHeartbeatRequest {
  readonly groupId: string;
  readonly memberId: string;
  /** 0 joins, -1 leaves, -2 leaves for a while as a static member. */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly subscribedTopicNames: readonly string[] | null;
  readonly serverAssignor: string | null;
  /** What this member has; empty when it joins. */
  readonly topicPartitions: readonly TopicPartitions[] | null;
}

export interface ConsumerGroupHeartbeatResponse {
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly memberId: string | null;
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** What this member should have; null when that has not changed. */
  readonly assignment: readonly TopicPartitions[] | null;
}

function writeHeartbeat(
  writer: RequestWriter,
  request: ConsumerGroupHeartbeatRequest,
  version: number,
): void {
  writer
    .string(request.groupId)
    .string(request.memberId)
    .int32(request.memberEpoch)
    .string(request.instanceId)
    .string(request.rackId)
    .int32(request.rebalanceTimeoutMs)
    .array(request.subscribedTopicNames, (name) => writer.string(name));
  if (version >= WITH_PATTERN) writer.string(null);
  writer
    .string(request.serverAssignor)
    .structures(request.topicPartitions, ({ topicId, partitions }) => writer.uuid(topicId).int32s(partitions))
    .end();
}

function readTopicPartitions(body: ResponseCursor): TopicPartitions {
  return { topicId: body.uuid(), partitions: body.int32s() };
}

function readHeartbeat(body: ResponseCursor): ConsumerGroupHeartbeatResponse {
  body.int32(); // throttle time
  const response = {
    errorCode: body.int16(),
    errorMessage: body.nullableString(),
    memberId: body.nullableString(),
    memberEpoch: body.int32(),
    heartbeatIntervalMs: body.int32(),
  };
  let assignment: TopicPartitions[] | null = null;
  if (body.isPresent()) {
    assignment = body.structures(TOPIC_PARTITIONS_BYTES, readTopicPartitions);
    body.taggedFields();
  }
  body.taggedFields();
  return { ...response, assignment };
}

export const ConsumerGroupHeartbeat: Api<[ConsumerGroupHeartbeatRequest], ConsumerGroupHeartbeatResponse> = {
  key: 68,
  name: "ConsumerGroupHeartbeat",
  versions: rows([1, 0], writeHeartbeat, readHeartbeat),
};
