import { consumerGroupHeartbeatV0, consumerGroupHeartbeatV1 } from "@platformatic/kafka";
import { rowOf, type Api } from "./api.ts";

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

const heartbeatArguments = (
  request: ConsumerGroupHeartbeatRequest,
): Parameters<typeof consumerGroupHeartbeatV1.createRequest> => [
  request.groupId,
  request.memberId,
  request.memberEpoch,
  request.instanceId,
  request.rackId,
  request.rebalanceTimeoutMs,
  request.subscribedTopicNames === null ? null : [...request.subscribedTopicNames],
  null,
  request.serverAssignor,
  request.topicPartitions?.map(({ topicId, partitions }) => ({ topicId, partitions: [...partitions] })) ??
    null,
];

const heartbeatResponse = (
  response: ReturnType<typeof consumerGroupHeartbeatV1.parseResponse>,
): ConsumerGroupHeartbeatResponse => ({
  errorCode: response.errorCode,
  errorMessage: response.errorMessage ?? null,
  memberId: response.memberId ?? null,
  memberEpoch: response.memberEpoch,
  heartbeatIntervalMs: response.heartbeatIntervalMs,
  assignment: response.assignment?.topicPartitions ?? null,
});

export const ConsumerGroupHeartbeat: Api<[ConsumerGroupHeartbeatRequest], ConsumerGroupHeartbeatResponse> = {
  key: 68,
  name: "ConsumerGroupHeartbeat",
  versions: [
    rowOf(consumerGroupHeartbeatV1, heartbeatArguments, heartbeatResponse),
    // The same but for the pattern of topics, which is not used here: topics are matched by this client.
    rowOf(consumerGroupHeartbeatV0, heartbeatArguments, heartbeatResponse),
  ],
};
