import { LeaderEpochs } from "../records/leader-epochs.ts";
import type { Backoff } from "./backoff.ts";
import type { BudgetAccount } from "./fetch-budget.ts";
import type { FetchBroker } from "./fetch-broker.ts";
import type { FetchLane } from "./fetch-lane.ts";
import type { Leader } from "./metadata.ts";
import type { FetchPosition, PartitionId } from "./protocol.ts";
import type { FetchResponse } from "./fetch-response.ts";

/** A Fetch that was sent. Partitions that still point to it take its answer; the others have moved on meanwhile. */
export interface Flight {
  readonly partitions: readonly FetchPartition[];
  /** By when the broker should have answered, if it is well. */
  readonly dueAtMs: number;
  /** Whether the broker may keep it until there is something to send, as far as is known. */
  readonly isHeld: boolean;
  readonly outcome: Promise<FlightOutcome>;
}

export type FlightOutcome = { readonly response: FetchResponse } | { readonly error: unknown };

/** One partition that is being fetched: where it is, who has it, and what is the matter with it. */
export class FetchPartition implements PartitionId {
  readonly topic: string;
  readonly index: number;
  readonly account: BudgetAccount;
  readonly backoff: Backoff;
  /** Of the assignment or seek. Another one has an object of its own, so what is under way for this one is dropped. */
  readonly epoch: number;
  /** What is asked for next. */
  offset: number;
  /** Of the record before `offset`; -1 when it is not known. Lets the leader find out that the log was cut (KIP-320). */
  lastEpoch: number;
  /** Of what was handed over. */
  readonly epochs: LeaderEpochs;
  /** The end of what can be read, as of the last answer; -1 before the first. */
  endOffset = -1;
  /** The same answer's, for statistics. */
  highWatermark = -1;
  lastStableOffset = -1;
  /** When the leader said so, on the monotonic clock. */
  endAtMs: number = -Infinity;
  /** Nothing has been answered for it yet. */
  isNew = true;
  /** Fetching has ended: nothing is sent or handed over any more. */
  ended = false;

  topicId: string | undefined;
  /** The topic that the position belongs to, where that was known before it was first fetched. */
  readonly pinnedTopicId: string | undefined;
  leader: Leader | undefined;
  /** A replica nearby that the leader has named (KIP-392), until some time. */
  replica: { readonly nodeId: number; readonly untilMs: number } | undefined;
  /** Where it is fetched from; undefined while nobody is known. */
  broker: FetchBroker | undefined;
  /** The metadata is as fresh as it gets, although the position's leader epoch is newer than it. */
  epochIsDoubtful = false;

  flight: Flight | undefined;
  /** What `flight` may bring, as it stands in the account. */
  asked = 0;
  /** What of `asked` counts in the window. */
  windowed = 0;
  /** The lane that checks and hands over the last answer. Until it has, no other lane may fetch: order would be lost. */
  handingOver: FetchLane | undefined;

  /** The most that is asked for; grows only when not even one batch fits. */
  limitBytes: number;
  /** How long the answer's cut-off batch is, when that is all that it had. */
  needsBytes = 0;

  retryAtMs = 0;
  /** The last problem; undefined when all is well. */
  trouble: string | undefined;
  troubleSinceMs = 0;
  troubleIsLogged = false;
  unknownSinceMs: number | undefined;
  corruptTries = 0;
  /** The leader has called the offset out of range; the number of the refresh after which it is asked again. */
  outOfRangeProof: number | undefined;
  /**
   * How often an answer with it was too large to be received. It is asked for alone then, with as little as can be: so
   * either others were to blame, or one batch of it is.
   */
  tooLargeTries = 0;
  unexpectedTries = 0;
  unexpectedSinceMs = 0;

  constructor(position: FetchPosition, account: BudgetAccount, backoff: Backoff, limitBytes: number) {
    this.topic = position.topic;
    this.index = position.index;
    this.account = account;
    this.backoff = backoff;
    this.limitBytes = limitBytes;
    this.epoch = position.epoch;
    this.offset = position.offset;
    this.lastEpoch = position.leaderEpoch;
    this.epochs = new LeaderEpochs(position.offset, position.leaderEpoch);
    this.pinnedTopicId = position.topicId;
  }

  /** Whether there is more to read, as far as is known. */
  get isBehind(): boolean {
    return this.offset < this.endOffset;
  }

  /** For log lines and messages. */
  toString(): string {
    return `${this.topic}[${this.index}]`;
  }
}
