import { ConsumerError } from "../../errors.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";

/** Answers of a coordinator that no other try can change. */
export const FATAL_JOIN_ERRORS: ReadonlySet<number> = new Set([
  ErrorCodes.INCONSISTENT_GROUP_PROTOCOL,
  ErrorCodes.INVALID_GROUP_ID,
  ErrorCodes.INVALID_SESSION_TIMEOUT,
  ErrorCodes.GROUP_AUTHORIZATION_FAILED,
  ErrorCodes.GROUP_MAX_SIZE_REACHED,
  ErrorCodes.FENCED_INSTANCE_ID,
  ErrorCodes.UNSUPPORTED_VERSION,
]);

/** What helps under both group protocols. */
const SHARED_HINTS: ReadonlyMap<number, string> = new Map([
  [
    ErrorCodes.GROUP_AUTHORIZATION_FAILED,
    "this principal may not read the group; grant it READ on the group",
  ],
  [
    ErrorCodes.FENCED_INSTANCE_ID,
    'another member with the same "group.instance.id" has taken its place; give each running member an id of its own',
  ],
]);

const HINTS: ReadonlyMap<number, string> = new Map([
  [
    ErrorCodes.INCONSISTENT_GROUP_PROTOCOL,
    'the other members share none of this member\'s "partition.assignment.strategy"; give it one that they all have',
  ],
  [
    ErrorCodes.INVALID_SESSION_TIMEOUT,
    '"session.timeout.ms" is outside of what the broker allows (group.min/max.session.timeout.ms)',
  ],
  [ErrorCodes.GROUP_MAX_SIZE_REACHED, "the group has as many members as the broker allows (group.max.size)"],
]);

/** What a refusal to be let in means, and what can be done about it. */
export function joinError(groupId: string, errorCode: number): ConsumerError {
  return refusal(groupId, errorCode, HINTS);
}

/** The same, with the hints of one of the protocols, or else the broker's own words. */
export function refusal(
  groupId: string,
  errorCode: number,
  hints: ReadonlyMap<number, string>,
  message: string | null = null,
): ConsumerError {
  const help = hints.get(errorCode) ?? SHARED_HINTS.get(errorCode) ?? message ?? undefined;
  return new ConsumerError(
    `Cannot be a member of group ${groupId}: ${errorName(errorCode)}${help === undefined ? "" : ` (${help})`}.`,
  );
}

/** For what kept the coordinator from being asked at all. */
export function cannotBeMember(groupId: string, cause: unknown): ConsumerError {
  if (cause instanceof ConsumerError) return cause;
  return new ConsumerError(
    `Cannot be a member of group ${groupId}: ${cause instanceof Error ? cause.message : String(cause)}`,
    { cause },
  );
}
