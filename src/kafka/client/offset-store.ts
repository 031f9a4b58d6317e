import { deadlineAfter } from "../../clock.ts";
import { ConsumerError, InvalidStateError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { abortable, AbortedError } from "./abortable.ts";
import { OffsetCommit, OffsetFetch, type OffsetFetchRequest, type OffsetFetchResponse } from "./apis.ts";
import type { BrokerConnection } from "./connection.ts";
import type { Cluster, ConnectionPurpose } from "./cluster.ts";
import { ErrorCodes, errorName, isRetriable, needsCoordinatorLookup } from "./error-codes.ts";
import { sleep } from "./latch.ts";
import { partitionKey, type PartitionId } from "./protocol.ts";
import { findRemade, type OfTopic } from "./remade-topics.ts";
import { Retrying, type RetryOptions } from "./retrying.ts";
import { TransportError } from "./transport-error.ts";

/** What the group's offsets need of the cluster. */
export interface OffsetStoreCluster extends Pick<
  Cluster,
  "coordinator" | "forgetCoordinator" | "topic" | "refresh"
> {
  connection(nodeId: number, purpose: ConnectionPurpose): Promise<Pick<BrokerConnection, "request">>;
}

/** What the coordinator says to a member of KIP-848 whose epoch is not the one that it knows. */
const MEMBER_ERRORS: ReadonlySet<number> = new Set([
  ErrorCodes.STALE_MEMBER_EPOCH,
  ErrorCodes.UNKNOWN_MEMBER_ID,
  ErrorCodes.FENCED_MEMBER_EPOCH,
]);

/** Whose offsets are asked for. */
export interface OffsetGroup {
  readonly groupId: string;
  /** Only for groups of KIP-848, whose coordinator checks who asks. */
  readonly member?: { readonly memberId: string; readonly memberEpoch: number } | undefined;
}

/** A committed offset: the next one to read, and the leader epoch of the record before it (-1 when it is not known). */
export interface CommittedOffset {
  readonly offset: number;
  readonly leaderEpoch: number;
}

/** Who commits. */
export interface CommittingMember {
  readonly groupId: string;
  readonly memberId: string;
  /** Of the classic protocol, or the member epoch of KIP-848. */
  readonly generationId: number;
  readonly groupInstanceId: string | null;
}

export interface OffsetToCommit extends PartitionId, CommittedOffset, OfTopic {
  readonly metadata?: string | undefined;
}

/** The coordinator refuses in a way that a retry does not change. */
export class OffsetStoreError extends ConsumerError {
  /** Kafka's error code. */
  readonly errorCode: number;

  constructor(message: string, errorCode: number) {
    super(message);
    this.errorCode = errorCode;
  }
}

const FIXES: ReadonlyMap<number, string> = new Map([
  [ErrorCodes.GROUP_AUTHORIZATION_FAILED, ": the principal needs the right to READ the group"],
  [ErrorCodes.TOPIC_AUTHORIZATION_FAILED, ": the principal needs the right to READ the topic"],
]);

function refused(what: string, errorCode: number): OffsetStoreError {
  return new OffsetStoreError(
    `${what}: the coordinator answered with ${errorName(errorCode)}${FIXES.get(errorCode) ?? ""}.`,
    errorCode,
  );
}

export interface FetchCommittedOptions extends RetryOptions {
  /** Told of the partitions that each answer is about, and of what is committed for them. */
  readonly found?:
    | ((partitions: readonly PartitionId[], committed: ReadonlyMap<string, CommittedOffset>) => void)
    | undefined;
  /** Told when it takes long, and why. */
  readonly logger?: Logger | undefined;
}

/** From when on the wait for committed offsets is worth a line in the log. */
const LASTING_MS = 5_000;

/**
 * The offsets that a group has committed for these partitions, by partition key; partitions without one are left out.
 * Offsets that an open transaction is about to change are waited for (KIP-447). Whatever may pass is tried again, with the
 * coordinator looked up anew where it has moved.
 *
 * @throws AbortedError when the signal aborts before that, OffsetStoreError for what does not pass.
 */
export async function fetchCommitted(
  cluster: OffsetStoreCluster,
  group: OffsetGroup,
  partitions: readonly PartitionId[],
  signal: AbortSignal,
  options: FetchCommittedOptions = {},
): Promise<Map<string, CommittedOffset>> {
  const retrying = new Retrying(options);
  const { groupId } = group;
  const committed = new Map<string, CommittedOffset>();
  let missing = partitions;
  const warnAtMs = retrying.clock.monotonicMs() + LASTING_MS;
  let isLogged = false;
  while (missing.length > 0) {
    if (signal.aborted) throw new AbortedError();
    let response: OffsetFetchResponse | undefined;
    try {
      const nodeId = await abortable(cluster.coordinator(groupId), signal);
      const connection = await abortable(cluster.connection(nodeId, "group"), signal);
      const request = offsetFetchRequest(group, missing);
      const { timeoutMs } = retrying;
      response = await abortable(connection.request(OffsetFetch, [request], { timeoutMs }), signal);
    } catch (error) {
      if (!TransportError.is(error)) throw error;
      cluster.forgetCoordinator(groupId);
    }
    if (response !== undefined) {
      if (needsCoordinatorLookup(response.errorCode)) cluster.forgetCoordinator(groupId);
      const asked = missing;
      missing = stillMissing(group, asked, response, committed);
      const answered = asked.filter((partition) => !missing.includes(partition));
      if (answered.length > 0) options.found?.(answered, committed);
    }
    if (missing.length > 0 && !isLogged && retrying.clock.monotonicMs() >= warnAtMs) {
      isLogged = true;
      options.logger?.warn(
        { groupId, partitions: missing.map(partitionKey) },
        "The group's offsets of some partitions cannot be had yet (an open transaction may be about to change them, or " +
          "the coordinator does not answer); they are waited for.",
      );
    }
    if (missing.length > 0) await sleep(retrying.clock, retrying.backoff.next(), signal);
  }
  return committed;
}

function offsetFetchRequest(group: OffsetGroup, partitions: readonly PartitionId[]): OffsetFetchRequest {
  const topics = Map.groupBy(partitions, (partition) => partition.topic);
  return {
    groupId: group.groupId,
    memberId: group.member?.memberId ?? null,
    memberEpoch: group.member?.memberEpoch ?? -1,
    topics: [...topics].map(([name, ofTopic]) => ({
      name,
      partitionIndexes: ofTopic.map((partition) => partition.index),
    })),
    requireStable: true,
  };
}

/** Takes the offsets out of an answer. Returns the partitions that are to be asked for again. */
function stillMissing(
  { groupId, member }: OffsetGroup,
  asked: readonly PartitionId[],
  response: OffsetFetchResponse,
  committed: Map<string, CommittedOffset>,
): readonly PartitionId[] {
  if (response.errorCode !== ErrorCodes.NONE) {
    // Who asks is in another epoch by now, or is out: then it will hear of that, and stop asking.
    if (member !== undefined && MEMBER_ERRORS.has(response.errorCode)) return asked;
    if (isRetriable(response.errorCode)) return asked;
    throw refused(`The offsets of group ${groupId} cannot be read`, response.errorCode);
  }
  const answered = new Set<string>();
  for (const { name, partitions } of response.topics) {
    for (const { partitionIndex: index, errorCode, committedOffset, committedLeaderEpoch } of partitions) {
      const key = partitionKey({ topic: name, index });
      if (errorCode === ErrorCodes.NONE) {
        answered.add(key);
        if (committedOffset < 0) continue;
        committed.set(key, { offset: committedOffset, leaderEpoch: committedLeaderEpoch });
      } else if (!isRetriable(errorCode)) {
        throw refused(`The offset of group ${groupId} in ${name}[${index}] cannot be read`, errorCode);
      }
    }
  }
  return asked.filter((partition) => !answered.has(partitionKey(partition)));
}

/**
 * One try to commit offsets. Resolves to Kafka's error code for each partition key, 0 where the coordinator has it.
 *
 * Nothing is tried again here: whether an offset may still be committed is for the caller to say, each time. The codes
 * after which another try makes sense: COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR and COORDINATOR_NOT_AVAILABLE (look
 * the coordinator up anew), REBALANCE_IN_PROGRESS (under the next generation, if the partition stays ours),
 * UNKNOWN_TOPIC_OR_PARTITION, and those that {@link isRetriable} knows. Not so INCONSISTENT_TOPIC_ID: that says that the
 * topic was made again, and that the offset was not sent for that reason.
 *
 * @throws TransportError when no answer came within `timeoutMs`, the search for the coordinator included: the offsets may
 * be committed or not. InvalidStateError for a commit that names no member or generation: a group without members would
 * accept it, and it might rewind what others have committed.
 */
export async function commitOffsets(
  cluster: OffsetStoreCluster,
  member: CommittingMember,
  offsets: readonly OffsetToCommit[],
  timeoutMs: number,
  options: RetryOptions = {},
): Promise<Map<string, number>> {
  const { groupId, memberId, generationId, groupInstanceId } = member;
  if (memberId === "" || generationId < 0) {
    throw new InvalidStateError(
      `Offsets of group ${groupId} cannot be committed outside of a membership (member "${memberId}", generation ${generationId}).`,
    );
  }
  const { clock } = new Retrying(options);
  const untilMs = clock.monotonicMs() + timeoutMs;
  using deadline = deadlineAfter(clock, timeoutMs);
  const codes = new Map<string, number>();
  for (const offset of offsets) codes.set(partitionKey(offset), ErrorCodes.UNKNOWN_SERVER_ERROR);
  try {
    const nodeId = await abortable(cluster.coordinator(groupId), deadline);
    const connection = await abortable(cluster.connection(nodeId, "group"), deadline);
    const lookup = { clock, timeoutMs, signal: deadline };
    const remade = await findRemade(cluster, offsets, lookup);
    for (const offset of remade) codes.set(partitionKey(offset), ErrorCodes.INCONSISTENT_TOPIC_ID);
    const sent = offsets.filter((offset) => !remade.has(offset));
    if (sent.length === 0) return codes;
    const topics = Map.groupBy(sent, (offset) => offset.topic);
    const request = {
      groupId,
      generationIdOrMemberEpoch: generationId,
      memberId,
      groupInstanceId,
      topics: [...topics].map(([name, ofTopic]) => ({
        name,
        partitions: ofTopic.map(({ index, offset, leaderEpoch, metadata }) => ({
          partitionIndex: index,
          committedOffset: offset,
          committedLeaderEpoch: leaderEpoch,
          committedMetadata: metadata ?? null,
        })),
      })),
    };
    const leftMs = Math.max(1, untilMs - clock.monotonicMs());
    const response = await connection.request(OffsetCommit, [request], { timeoutMs: leftMs });
    for (const { name, partitions } of response.topics) {
      for (const { partitionIndex: index, errorCode } of partitions) {
        codes.set(partitionKey({ topic: name, index }), errorCode);
      }
    }
    // It may be about to be made again: the next try is to know. Without the metadata it goes by what is known.
    if ([...codes.values()].includes(ErrorCodes.UNKNOWN_TOPIC_OR_PARTITION))
      cluster.refresh().catch(() => {});
  } catch (error) {
    if (!(error instanceof AbortedError)) throw error;
    throw new TransportError(`No coordinator of group ${groupId} could be reached within ${timeoutMs} ms.`, {
      timedOut: true,
      cause: error,
    });
  }
  return codes;
}
