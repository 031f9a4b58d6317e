import { ConsumerError } from "../../errors.ts";
import { ErrorCodes } from "./error-codes.ts";
import { refusal } from "./join-errors.ts";

/** Put out of the group: everything is somebody else's, and it may join again. */
export const OUT_OF_GROUP: ReadonlySet<number> = new Set([
  ErrorCodes.UNKNOWN_MEMBER_ID,
  ErrorCodes.FENCED_MEMBER_EPOCH,
]);

/** Answers to a member that leaves: it is not there any more anyhow. */
export const HAS_LEFT: ReadonlySet<number> = new Set([
  ErrorCodes.NONE,
  ...OUT_OF_GROUP,
  ErrorCodes.GROUP_ID_NOT_FOUND,
  ErrorCodes.FENCED_INSTANCE_ID,
]);

/** The coordinator is busy or is another broker by now: the same request again. */
export const TRY_AGAIN: ReadonlySet<number> = new Set([
  ErrorCodes.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCodes.COORDINATOR_NOT_AVAILABLE,
  ErrorCodes.NOT_COORDINATOR,
  ErrorCodes.REQUEST_TIMED_OUT,
  ErrorCodes.NETWORK_EXCEPTION,
]);

const NO_KIP_848 =
  'the brokers do not speak the newer group protocol (KIP-848, Kafka 4.0 and later); set "group.protocol" to "classic"';

const HINTS: ReadonlyMap<number, string> = new Map([
  [ErrorCodes.UNSUPPORTED_VERSION, NO_KIP_848],
  [
    ErrorCodes.UNSUPPORTED_ASSIGNOR,
    '"group.remote.assignor" names an assignor that the brokers do not have (group.consumer.assignors)',
  ],
  [
    ErrorCodes.GROUP_ID_NOT_FOUND,
    "the group is in use under the classic protocol, and the brokers do not convert it (group.consumer.migration.policy): " +
      'stop its members first, or set "group.protocol" to "classic"',
  ],
  [
    ErrorCodes.TOPIC_AUTHORIZATION_FAILED,
    "this principal may not see all of the topics; grant it DESCRIBE and READ on them",
  ],
  [
    ErrorCodes.GROUP_MAX_SIZE_REACHED,
    "the group has as many members as the brokers allow (group.consumer.max.size)",
  ],
  [
    ErrorCodes.UNRELEASED_INSTANCE_ID,
    'another member with the same "group.instance.id" is in the group; stop it, or give each running member an id of its own',
  ],
]);

/** What a refusal of a heartbeat means, and what can be done about it. */
export function heartbeatError(groupId: string, errorCode: number, message: string | null): ConsumerError {
  return refusal(groupId, errorCode, HINTS, message);
}

/** The brokers lack the RPC altogether. */
export function noSuchProtocol(groupId: string, cause: Error): ConsumerError {
  return new ConsumerError(`Cannot be a member of group ${groupId}: ${NO_KIP_848}. ${cause.message}`, {
    cause,
  });
}
