import { silentLogger, type Logger } from "../../../src/logger.ts";
import { MockClock } from "../../../src/testing/mock-clock.ts";
import { abortable } from "../../../src/kafka/client/abortable.ts";
import { ClassicMember } from "../../../src/kafka/client/classic-member.ts";
import { encodeAssignment, type GroupAssignment } from "../../../src/kafka/client/consumer-protocol.ts";
import type {
  GroupRequests,
  JoinAnswer,
  OfferedProtocol,
  SyncAnswer,
} from "../../../src/kafka/client/group-requests.ts";
import type { GroupSession } from "../../../src/kafka/client/group-session.ts";
import type { PartitionId } from "../../../src/kafka/client/protocol.ts";
import type { ConsumerError } from "../../../src/errors.ts";

/** One call that waits for a test's answer. */
export interface Call<Answer> {
  readonly name: string;
  readonly detail: Readonly<Record<string, unknown>>;
  answer(answer: Answer): void;
  fail(error: Error): void;
}

/** Calls in the order in which they were made; a test takes them one by one, waiting for those that are still to come. */
export class Calls {
  readonly #made: Call<never>[] = [];
  readonly #waiting: { readonly name: string; readonly take: (call: Call<never>) => void }[] = [];

  make<Answer>(name: string, detail: Readonly<Record<string, unknown>>): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const call: Call<Answer> = { name, detail, answer: resolve, fail: reject };
    const at = this.#waiting.findIndex((waiting) => waiting.name === name);
    if (at >= 0) this.#waiting.splice(at, 1)[0]?.take(call);
    else this.#made.push(call);
    return promise;
  }

  async next<Answer>(name: string): Promise<Call<Answer>> {
    const at = this.#made.findIndex((call) => call.name === name);
    if (at >= 0) return this.#made.splice(at, 1)[0] as Call<Answer>;
    return await new Promise<Call<Answer>>((resolve) => {
      this.#waiting.push({ name, take: resolve });
    });
  }

  count(name: string): number {
    return this.#made.filter((call) => call.name === name).length;
  }
}

interface FakeGroupOptions {
  readonly strategies?: readonly string[];
  readonly groupInstanceId?: string | null;
  readonly logger?: Logger;
}

/** A member whose coordinator and main thread are a test. */
export class FakeGroup implements GroupRequests {
  readonly clock: MockClock = new MockClock();
  readonly calls: Calls = new Calls();
  readonly fatal: ConsumerError[] = [];
  readonly memberIds: string[] = [];
  forgotten = 0;
  readonly member: ClassicMember;
  readonly #protocolName: string;

  constructor({
    strategies = ["range"],
    groupInstanceId = null,
    logger = silentLogger,
  }: FakeGroupOptions = {}) {
    const calls = this.calls;
    this.#protocolName = strategies[0] ?? "";
    this.member = new ClassicMember({
      groupId: "g",
      groupInstanceId,
      strategies,
      heartbeatIntervalMs: 3_000,
      rebalanceTimeoutMs: 60_000,
      retryBackoffMs: 100,
      retryBackoffMaxMs: 1_000,
      requests: this,
      topics: {
        names: () => ["orders"],
        partitionCounts: () => Promise.resolve(new Map([["orders", 2]])),
      },
      events: {
        assigned: (session, partitions) => void calls.make("assigned", { session, partitions }),
        revoke: (session, partitions, drainMs, commitMs) =>
          calls.make("revoke", { session, partitions, drainMs, commitMs }),
        lost: (session, partitions, reason) => calls.make("lost", { session, partitions, reason }),
        fatal: (error) => void this.fatal.push(error),
        member: (memberId) => void this.memberIds.push(memberId),
      },
      clock: this.clock,
      logger,
    });
  }

  join(
    memberId: string,
    protocols: readonly OfferedProtocol[],
    reason: string,
    signal: AbortSignal,
  ): Promise<JoinAnswer> {
    return untilAborted(this.calls.make("join", { memberId, protocols, reason }), signal);
  }

  sync(
    session: GroupSession,
    _protocolName: string,
    assignments: ReadonlyMap<string, GroupAssignment>,
    signal: AbortSignal,
  ): Promise<SyncAnswer> {
    return untilAborted(this.calls.make("sync", { session, assignments }), signal);
  }

  heartbeat(session: GroupSession, signal: AbortSignal): Promise<number> {
    return untilAborted(this.calls.make("heartbeat", { session }), signal);
  }

  leave(memberId: string, reason: string): Promise<void> {
    return this.calls.make("leave", { memberId, reason });
  }

  forgetCoordinator(): void {
    this.forgotten++;
  }

  /** Lets the member in as a follower, with these partitions of the topic (two by default). */
  async letIn(
    memberId: string,
    generationId: number,
    indices: readonly number[] = [0, 1],
  ): Promise<GroupSession> {
    const join = await this.calls.next<JoinAnswer>("join");
    join.answer({ ...joined(memberId, generationId), protocolName: this.#protocolName });
    const sync = await this.calls.next<SyncAnswer>("sync");
    sync.answer({ errorCode: 0, assignment: encodeAssignment(new Map([["orders", indices]])) });
    const assigned = await this.calls.next<void>("assigned");
    return assigned.detail["session"] as GroupSession;
  }

  /** Answers the next heartbeat, going on in time to when it is due. */
  async answerHeartbeat(errorCode: number): Promise<void> {
    await settle();
    this.clock.advance(3_000);
    (await this.calls.next<number>("heartbeat")).answer(errorCode);
    await settle();
  }
}

export function joined(memberId: string, generationId: number): JoinAnswer {
  return {
    errorCode: 0,
    generationId,
    protocolName: "range",
    leader: "somebody else",
    memberId,
    skipAssignment: false,
    members: [],
  };
}

export function refused(errorCode: number, memberId: string = ""): JoinAnswer {
  return { ...joined(memberId, -1), errorCode };
}

export function partitionsOf(call: Call<unknown>): readonly PartitionId[] {
  return call.detail["partitions"] as readonly PartitionId[];
}

export function indicesOf(call: Call<unknown>): readonly number[] {
  return partitionsOf(call)
    .map(({ index }) => index)
    .toSorted((a, b) => a - b);
}

/** Lets every promise that can go on do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return abortable(promise, signal);
}
