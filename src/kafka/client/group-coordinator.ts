import { ConsumerError } from "../../errors.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import { abortable } from "./abortable.ts";
import type { Api } from "./api.ts";
import { Heartbeat, JoinGroup, LeaveGroup, SyncGroup } from "./apis.ts";
import type { Cluster, ConnectionPurpose } from "./cluster.ts";
import { encodeAssignment, type GroupAssignment } from "./consumer-protocol.ts";
import { ErrorCodes, errorName } from "./error-codes.ts";
import type { GroupRequests, JoinAnswer, OfferedProtocol, SyncAnswer } from "./group-requests.ts";
import type { GroupSession } from "./group-session.ts";

const PROTOCOL_TYPE = "consumer";
/** What a JoinGroup or SyncGroup may take beyond the rebalance itself. */
const JOIN_GRACE_MS = 5_000;
/** A heartbeat that is not answered is to be sent again, perhaps to another broker, well within the session. */
const HEARTBEATS_PER_SESSION = 3;
const NO_ASSIGNMENT = encodeAssignment(new Map());

/**
 * Asks a group's coordinator, wherever it is. JoinGroup and SyncGroup block their connection until the whole group has
 * come, so they have one of their own, and heartbeats, commits and the leaving another.
 */
export class GroupCoordinator implements GroupRequests {
  readonly #cluster: Cluster;
  readonly #config: ResolvedConsumerConfig;
  readonly #groupId: string;
  readonly #answered: () => void;

  constructor(cluster: Cluster, config: ResolvedConsumerConfig, answered: () => void = () => {}) {
    this.#answered = answered;
    this.#cluster = cluster;
    this.#config = config;
    this.#groupId = config["group.id"];
  }

  async join(
    memberId: string,
    protocols: readonly OfferedProtocol[],
    reason: string,
    signal: AbortSignal,
  ): Promise<JoinAnswer> {
    const request = {
      groupId: this.#groupId,
      sessionTimeoutMs: this.#config["session.timeout.ms"],
      rebalanceTimeoutMs: this.#config["max.poll.interval.ms"],
      memberId,
      groupInstanceId: this.#config["group.instance.id"] ?? null,
      protocolType: PROTOCOL_TYPE,
      protocols,
      reason: reason.slice(0, 255),
    };
    return await this.#ask("join", JoinGroup, request, this.#joinTimeoutMs, signal);
  }

  async sync(
    session: GroupSession,
    protocolName: string,
    assignments: ReadonlyMap<string, GroupAssignment>,
    signal: AbortSignal,
  ): Promise<SyncAnswer> {
    const request = {
      groupId: this.#groupId,
      generationId: session.generationId,
      memberId: session.memberId,
      groupInstanceId: session.groupInstanceId,
      protocolType: PROTOCOL_TYPE,
      protocolName,
      assignments: [...assignments].map(([memberId, assignment]) => ({
        memberId,
        assignment: assignment.size === 0 ? NO_ASSIGNMENT : encodeAssignment(assignment),
      })),
    };
    return await this.#ask("join", SyncGroup, request, this.#joinTimeoutMs, signal);
  }

  async heartbeat(session: GroupSession, signal: AbortSignal): Promise<number> {
    const { groupId, generationId, memberId, groupInstanceId } = session;
    const request = { groupId, generationId, memberId, groupInstanceId };
    const timeoutMs = Math.min(
      Math.floor(this.#config["session.timeout.ms"] / HEARTBEATS_PER_SESSION),
      this.#config["socket.timeout.ms"],
    );
    return (await this.#ask("group", Heartbeat, request, timeoutMs, signal)).errorCode;
  }

  /** A static member does not leave by itself: it is only ever asked for of dynamic ones. */
  async leave(memberId: string, reason: string, timeoutMs: number): Promise<void> {
    const request = {
      groupId: this.#groupId,
      members: [{ memberId, groupInstanceId: null, reason: reason.slice(0, 255) }],
    };
    const answer = await this.#ask("group", LeaveGroup, request, timeoutMs, AbortSignal.timeout(timeoutMs));
    const errorCode = answer.errorCode || (answer.members[0]?.errorCode ?? ErrorCodes.NONE);
    if (errorCode !== ErrorCodes.NONE && errorCode !== ErrorCodes.UNKNOWN_MEMBER_ID) {
      throw new ConsumerError(`LeaveGroup was answered with ${errorName(errorCode)}.`);
    }
  }

  forgetCoordinator(): void {
    this.#cluster.forgetCoordinator(this.#groupId);
  }

  get #joinTimeoutMs(): number {
    return this.#config["max.poll.interval.ms"] + JOIN_GRACE_MS;
  }

  async #ask<Request, Response>(
    purpose: ConnectionPurpose,
    api: Api<[Request], Response>,
    request: Request,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Response> {
    const nodeId = await abortable(this.#cluster.coordinator(this.#groupId), signal);
    const connection = await abortable(this.#cluster.connection(nodeId, purpose), signal);
    // A join that nobody waits for any more would hold up the next one on the same connection.
    const abandon = (): void => connection.close();
    if (purpose === "join") signal.addEventListener("abort", abandon);
    try {
      const response = await abortable(connection.request(api, [request], { timeoutMs }), signal);
      this.#answered();
      return response;
    } finally {
      signal.removeEventListener("abort", abandon);
    }
  }
}
