import { abortable } from "../../../src/kafka/client/abortable.ts";
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from "../../../src/kafka/client/consumer-group-apis.ts";
import type { ConsumerGroupRequests } from "../../../src/kafka/client/consumer-group-coordinator.ts";
import { ConsumerGroupMember } from "../../../src/kafka/client/consumer-group-member.ts";
import type { CommitSession } from "../../../src/kafka/client/membership.ts";
import type { ConsumerError } from "../../../src/errors.ts";
import { silentLogger } from "../../../src/logger.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { Calls, settle, type Call } from "./fake-group.ts";

export type Beat = Call<ConsumerGroupHeartbeatResponse>;

export const INTERVAL_MS = 5_000;
export const REBALANCE_MS = 60_000;

/** A member under KIP-848 whose coordinator, metadata and main thread are a test. */
export class FakeConsumerGroup implements ConsumerGroupRequests {
  readonly clock: MockClock = new MockClock();
  readonly calls: Calls = new Calls();
  readonly fatal: ConsumerError[] = [];
  /** The topics that the metadata knows, by id. */
  readonly topics: Map<string, string> = new Map([
    ["id-orders", "orders"],
    ["id-bills", "bills"],
  ]);
  /** What is subscribed to. */
  names: readonly string[] = ["orders"];
  forgotten = 0;
  readonly member: ConsumerGroupMember;

  constructor(options: { readonly groupInstanceId?: string; readonly names?: readonly string[] } = {}) {
    const { calls } = this;
    this.names = options.names ?? this.names;
    this.member = new ConsumerGroupMember({
      groupId: "g",
      groupInstanceId: options.groupInstanceId ?? null,
      rackId: "rack",
      serverAssignor: "range",
      rebalanceTimeoutMs: REBALANCE_MS,
      retryBackoffMs: 100,
      retryBackoffMaxMs: 1_000,
      requests: this,
      topics: {
        names: () => this.names,
        nameOf: (topicId) => this.topics.get(topicId),
        idOf: (name) => [...this.topics].find(([, known]) => known === name)?.[0],
        refresh: () => calls.make("refresh", {}),
      },
      events: {
        assigned: (session, partitions) => {
          if (partitions.length > 0) void calls.make("assigned", { session, partitions });
        },
        revoke: (session, partitions, drainMs, commitMs) =>
          calls.make("revoke", { session, partitions, drainMs, commitMs }),
        lost: (session, partitions, reason) => calls.make("lost", { session, partitions, reason }),
        fatal: (error) => void this.fatal.push(error),
        member: () => {},
      },
      clock: this.clock,
      logger: silentLogger,
    });
  }

  /** In a function, so that the compiler does not take it for what it was. */
  commits(): CommitSession | undefined {
    return this.member.commitSession;
  }

  heartbeat(
    request: ConsumerGroupHeartbeatRequest,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ConsumerGroupHeartbeatResponse> {
    const name = request.memberEpoch < 0 ? "leave" : "heartbeat";
    return abortable(this.calls.make(name, { request, timeoutMs }), signal);
  }

  forgetCoordinator(): void {
    this.forgotten++;
  }

  /** The next heartbeat, as soon as it is sent: no time goes by. */
  async beat(): Promise<Beat> {
    return await this.calls.next<ConsumerGroupHeartbeatResponse>("heartbeat");
  }

  /** The next heartbeat, going on in time to when it is due. */
  async beatWhenDue(): Promise<Beat> {
    await settle();
    this.clock.advance(INTERVAL_MS);
    return await this.beat();
  }

  /** Lets the member in, with these partitions of `orders`, and takes its acknowledgement of them. */
  async letIn(memberEpoch: number, ...indices: number[]): Promise<void> {
    (await this.beat()).answer(told(memberEpoch, { "id-orders": indices }));
    if (indices.length === 0) return await settle();
    await this.calls.next("assigned");
    (await this.beat()).answer(told(memberEpoch));
    await settle();
  }

  /** Nothing happens, however much time goes by. */
  async staysSilent(forMs: number): Promise<void> {
    await settle();
    this.clock.advance(forMs);
    await settle();
  }
}

/** An answer; without an assignment, that has not changed. */
export function told(
  memberEpoch: number,
  assignment?: Readonly<Record<string, readonly number[]>>,
): ConsumerGroupHeartbeatResponse {
  return {
    errorCode: 0,
    errorMessage: null,
    memberId: "m",
    memberEpoch,
    heartbeatIntervalMs: INTERVAL_MS,
    assignment:
      assignment === undefined
        ? null
        : Object.entries(assignment).map(([topicId, partitions]) => ({ topicId, partitions })),
  };
}

export function refusedWith(errorCode: number): ConsumerGroupHeartbeatResponse {
  return { ...told(-1), errorCode };
}

export function requestOf({ detail }: Beat): ConsumerGroupHeartbeatRequest {
  return detail["request"] as ConsumerGroupHeartbeatRequest;
}

/** What a heartbeat says that the member has; null when it says nothing of it. */
export function ownedIn(beat: Beat): Readonly<Record<string, readonly number[]>> | null {
  const { topicPartitions } = requestOf(beat);
  return (
    topicPartitions &&
    Object.fromEntries(topicPartitions.map(({ topicId, partitions }) => [topicId, partitions]))
  );
}
