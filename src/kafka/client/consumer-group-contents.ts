import type { ConsumerGroupHeartbeatRequest, TopicPartitions } from "./consumer-group-apis.ts";
import type { ConsumerGroupSession } from "./consumer-group-session.ts";

export interface ContentsOptions {
  readonly rackId: string | null;
  readonly rebalanceTimeoutMs: number;
  /** Null: the coordinator chooses. */
  readonly serverAssignor: string | null;
}

/**
 * What heartbeats say: everything when a member joins and when it is not sure what the coordinator has heard, otherwise
 * only what has changed since.
 */
export class HeartbeatContents {
  readonly #options: ContentsOptions;
  /** What the coordinator knows; undefined: perhaps nothing. */
  #told: { readonly names: string; readonly owned: string } | undefined;

  constructor(options: ContentsOptions) {
    this.#options = options;
  }

  next(
    session: ConsumerGroupSession,
    names: readonly string[],
    owned: readonly TopicPartitions[],
  ): ConsumerGroupHeartbeatRequest {
    const told = this.#told;
    const isFull = told === undefined;
    const { rackId, rebalanceTimeoutMs, serverAssignor } = this.#options;
    return {
      groupId: session.groupId,
      memberId: session.memberId,
      memberEpoch: session.generationId,
      instanceId: session.groupInstanceId,
      rackId: isFull ? rackId : null,
      rebalanceTimeoutMs: isFull ? rebalanceTimeoutMs : -1,
      subscribedTopicNames: isFull || told.names !== JSON.stringify(names) ? names : null,
      serverAssignor: isFull ? serverAssignor : null,
      topicPartitions: isFull || told.owned !== JSON.stringify(owned) ? owned : null,
    };
  }

  /** The coordinator has answered a request that said this, or that it had not changed. */
  answered(names: readonly string[], owned: readonly TopicPartitions[]): void {
    this.#told = { names: JSON.stringify(names), owned: JSON.stringify(owned) };
  }

  /** Nobody knows what the coordinator has heard. */
  restart(): void {
    this.#told = undefined;
  }
}
