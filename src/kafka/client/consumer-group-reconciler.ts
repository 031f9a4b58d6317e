import type { Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import { whenAborted } from "./abortable.ts";
import type { TopicPartitions } from "./consumer-group-apis.ts";
import { ConsumerGroupAssignment, type OwnedPartition } from "./consumer-group-assignment.ts";
import type { ConsumerGroupSession } from "./consumer-group-session.ts";
import { drain, drainTimes } from "./group-drain.ts";
import type { GroupTopics } from "./group-requests.ts";
import { Latch, sleep } from "./latch.ts";
import type { MembershipEvents } from "./membership.ts";
import type { PartitionId } from "./protocol.ts";

/** What a hand-over waits for metadata, at most. */
const FIRST_LOOK_MS = 2_000;
/** How soon a topic whose name is not known is looked for again. */
const LOOK_UP_MS = 250;

/** What a membership under KIP-848 takes from the topics' metadata. */
export interface NamedTopics extends Pick<GroupTopics, "names"> {
  /** The name of the topic that has this id; undefined while it is not known. */
  nameOf(topicId: string): string | undefined;
  /** The id of the topic that has this name; undefined while it is not known. */
  idOf(name: string): string | undefined;
  /** Resolves when the metadata is of after this call. */
  refresh(): Promise<void>;
}

export interface ReconcilerOptions {
  readonly session: ConsumerGroupSession;
  readonly topics: NamedTopics;
  readonly rebalanceTimeoutMs: number;
  readonly events: Pick<MembershipEvents, "assigned" | "revoke" | "lost">;
  /** What is owned has changed: the coordinator waits for that. */
  readonly changed: () => void;
  /** It cannot go on, through no fault of the group's. */
  readonly failed: (error: unknown) => void;
  /** Partitions are being drained, or no more. */
  readonly draining: (isDraining: boolean) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborts when the membership is over. */
  readonly signal: AbortSignal;
}

/**
 * Brings what a member has to what the coordinator wants it to have: hands over first, drained and committed, and tells the
 * coordinator; takes second. What is wanted may change in the middle.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #assignment: ConsumerGroupAssignment;
  #aimed = new Latch();
  #orderedAtMs = 0;
  #running = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#assignment = new ConsumerGroupAssignment((topicId) => options.topics.nameOf(topicId));
  }

  /** What is owned, as the coordinator is told of it. */
  get report(): readonly TopicPartitions[] {
    return this.#assignment.report;
  }

  /** The coordinator wants this; `orderedAtMs` is when the heartbeat was sent that brought it. Rejects never. */
  aim(target: readonly TopicPartitions[], orderedAtMs: number): void {
    this.#assignment.aim(target);
    this.#orderedAtMs = orderedAtMs;
    this.#aimed.set();
    this.#aimed = new Latch();
    if (!this.#running) this.#run().catch(this.#options.failed);
  }

  /** The membership is over. Returns what was held. */
  end(): readonly PartitionId[] {
    return this.#assignment.clear().map(partitionOf);
  }

  async #run(): Promise<void> {
    const { signal, session, events, changed } = this.#options;
    this.#running = true;
    let lookedUpFor: Latch | undefined;
    while (!signal.aborted) {
      const { excess } = this.#assignment;
      const remade = excess.filter((partition) => this.#isRemade(partition));
      if (remade.length > 0) {
        this.#assignment.give(remade);
        await events.lost(session, remade.map(partitionOf), "the topic was deleted and made again");
        changed();
        continue;
      }
      // What is not known may be the topic of what goes, made again. One look must do.
      if (excess.length > 0 && this.#assignment.isUnclear && lookedUpFor !== this.#aimed) {
        lookedUpFor = this.#aimed;
        await this.#lookUp(FIRST_LOOK_MS, 0);
        continue;
      }
      if (excess.length > 0) {
        if (!(await this.#handOver(excess))) break;
        this.#assignment.give(excess);
        changed();
        continue;
      }
      const { missing } = this.#assignment;
      if (missing.length > 0) {
        this.#assignment.take(missing);
        events.assigned(session, missing.map(partitionOf));
        changed();
      } else if (this.#assignment.isUnclear) await this.#lookUp(Infinity, LOOK_UP_MS);
      else break;
    }
    this.#running = false;
  }

  /** Offsets are committed by name: those of the old topic must not become those of the new one. */
  #isRemade({ topicId, topic }: OwnedPartition): boolean {
    const now = this.#options.topics.idOf(topic);
    return now !== undefined && now !== topicId;
  }

  /** Asks for the names of topics that are not known yet, until something else is wanted. */
  async #lookUp(limitMs: number, pauseMs: number): Promise<void> {
    const { topics, clock, signal, logger } = this.#options;
    const aimed = this.#aimed;
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const refreshed = topics.refresh().catch((error: unknown) => {
      logger.debug({ err: error }, "The metadata of a topic that was assigned could not be had.");
    });
    const limit = limitMs === Infinity ? whenAborted(either) : sleep(clock, limitMs, either);
    await Promise.race([refreshed, aimed.promise, limit]);
    if (pauseMs > 0 && this.#assignment.isUnclear && !aimed.isSet && !signal.aborted) {
      await Promise.race([sleep(clock, pauseMs, either), aimed.promise]);
    }
    over.abort();
  }

  /** Resolves to whether it was drained and is still ours to tell of. */
  async #handOver(partitions: readonly OwnedPartition[]): Promise<boolean> {
    const { events, session, clock, rebalanceTimeoutMs, signal, logger, draining } = this.#options;
    // The coordinator counts from when it gave the order.
    const leftMs = Math.max(0, this.#orderedAtMs + rebalanceTimeoutMs - clock.monotonicMs());
    const { groupId } = session;
    const { drainMs } = drainTimes(leftMs);
    logger.info(
      { groupId, partitionCount: partitions.length, timeoutMs: drainMs },
      "Draining: the group gives partitions to others.",
    );
    draining(true);
    const going = partitions.map(partitionOf);
    const isDrained = await drain({ events, session, partitions: going, leftMs, clock, over: signal });
    draining(false);
    return isDrained;
  }
}

function partitionOf({ topic, index }: OwnedPartition): PartitionId {
  return { topic, index };
}
