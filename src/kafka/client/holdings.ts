import type { GroupSession } from "./group-session.ts";
import type { HandOvers } from "./hand-overs.ts";
import type { MembershipEvents } from "./membership.ts";
import {
  partitionKey,
  type AssignedPartition,
  type ConsumerEvent,
  type FetchPosition,
  type PartitionId,
} from "./protocol.ts";
import { threadsMs } from "./threads-clock.ts";

export interface HoldingsOptions {
  readonly fetcher: {
    start(positions: readonly FetchPosition[]): void;
    stop(partitions: readonly PartitionId[]): void;
  };
  /** The id of a topic, as far as it is known now. */
  readonly topicIdOf: (topic: string) => string | undefined;
  readonly handOvers: HandOvers;
  /** Offsets that wait for the next automatic commit. */
  readonly stored: {
    flush(timeoutMs: number): Promise<void>;
    clear(partitions: readonly PartitionId[]): void;
  };
  /** Told whenever partitions have gone. */
  readonly commits: { reassigned(): void };
  /** Runs while the main thread has partitions to poll for. */
  readonly watch: { start(): void; stop(): void };
  /** Finds out where partitions are read from; `found` is called with some of them at a time. */
  readonly resolve: (
    session: GroupSession,
    partitions: readonly PartitionId[],
    found: (positions: readonly AssignedPartition[]) => void,
    signal: AbortSignal,
  ) => Promise<void>;
  readonly send: (event: ConsumerEvent) => void;
  readonly fatal: (error: unknown) => void;
}

/** One partition, from its assignment to its end. */
interface Held extends PartitionId {
  /** The assignment that brought it. */
  readonly assignment: number;
  /** The look-up of its position. */
  readonly lookup: Lookup;
  /** Whether the main thread was told of it. */
  announced: boolean;
  /** The epoch that it is fetched under, once it is. */
  epoch: number | undefined;
  /** It is being handed over: what becomes of its log is the next owner's. */
  isLeaving: boolean;
  /** The topic that it is fetched from; unknown before, and where the brokers had not told it then. */
  topicId?: string | undefined;
}

/** The look-up of an assignment's positions. */
interface Lookup {
  /** How many partitions it still looks for. */
  open: number;
  readonly given: AbortController;
}

/**
 * What the group has given to this member: which partitions, since which assignment, and whether the main thread knows.
 * They come and go one by one; whatever happens to one does not touch the others.
 */
export class Holdings implements Pick<MembershipEvents, "assigned" | "revoke" | "lost"> {
  readonly #options: HoldingsOptions;
  readonly #held = new Map<string, Held>();
  #lastId = 0;
  #memberId = "";
  #watching = false;
  #takes = true;

  constructor(options: HoldingsOptions) {
    this.#options = options;
  }

  /** Everything that is held, whether or not the main thread was told of it yet. */
  get partitions(): readonly PartitionId[] {
    return [...this.#held.values()].map(({ topic, index }) => ({ topic, index }));
  }

  /** The assignment that a partition belongs to now; undefined when it is not ours. */
  assignmentOf(key: string): number | undefined {
    return this.#held.get(key)?.assignment;
  }

  /** The epoch that a partition is fetched under; undefined when it is not ours, or not for long. */
  epochOf(partition: PartitionId): number | undefined {
    const held = this.#held.get(partitionKey(partition));
    return held?.isLeaving === true ? undefined : held?.epoch;
  }

  /** The topic that a partition is fetched from: a topic that is made again has the name, but not the id. */
  topicIdOf(partition: PartitionId): string | undefined {
    return this.#held.get(partitionKey(partition))?.topicId;
  }

  /** Starts or moves the fetching of what is ours; the rest is passed over. */
  fetch(positions: readonly FetchPosition[]): void {
    const ours: FetchPosition[] = [];
    for (const position of positions) {
      const held = this.#held.get(partitionKey(position));
      if (held === undefined) continue;
      held.epoch = position.epoch;
      held.topicId = position.topicId ?? this.#options.topicIdOf(position.topic);
      ours.push(position);
    }
    if (ours.length > 0) this.#options.fetcher.start(ours);
  }

  assigned(session: GroupSession, added: readonly PartitionId[]): void {
    this.#options.send({
      type: "metric",
      kind: "increment",
      name: "arroyo.consumer.kafka.rebalance",
      value: 1,
    });
    this.#memberId = session.memberId;
    if (!this.#takes || added.length === 0) return;
    const assignment = ++this.#lastId;
    const lookup: Lookup = { open: added.length, given: new AbortController() };
    for (const { topic, index } of added) {
      this.#held.set(partitionKey({ topic, index }), newlyHeld({ topic, index }, assignment, lookup));
    }
    void this.#look(session, added, assignment, lookup);
  }

  /**
   * What was read of a partition means nothing any more (its topic was made again, its log was cut): the main thread loses
   * it, so that nothing of it is committed, and is given it again at another position.
   */
  async restart(position: AssignedPartition, reason: string): Promise<void> {
    const { topic, index } = position;
    const before = this.#held.get(partitionKey(position));
    if (before?.announced !== true || before.isLeaving || !this.#takes) return;
    this.#forget([before]);
    const assignment = ++this.#lastId;
    const lookup: Lookup = { open: 1, given: new AbortController() };
    const held = newlyHeld({ topic, index }, assignment, lookup);
    this.#held.set(partitionKey(position), held);
    await this.#options.handOvers.ask(++this.#lastId, (id) =>
      this.#options.send({ type: "lost", id, partitions: [{ topic, index }], reason }),
    );
    // It may have gone meanwhile.
    if (this.#held.get(partitionKey(position)) !== held || !this.#takes) return;
    held.announced = true;
    this.#watch(true);
    this.#options.send({
      type: "assigned",
      id: assignment,
      memberId: this.#memberId,
      partitions: [position],
    });
  }

  async revoke(
    _session: GroupSession,
    partitions: readonly PartitionId[],
    drainMs: number,
    commitMs: number,
  ): Promise<void> {
    await this.#handOver(this.#those(partitions), drainMs, commitMs);
  }

  async lost(_session: GroupSession, partitions: readonly PartitionId[], reason: string): Promise<void> {
    const gone = this.#those(partitions);
    const known = gone.filter((held) => held.announced);
    this.#forget(gone);
    this.#options.send({ type: "metric", kind: "increment", name: "arroyo.consumer.kafka.lost", value: 1 });
    if (known.length === 0) return;
    await this.#options.handOvers.ask(++this.#lastId, (id) =>
      this.#options.send({
        type: "lost",
        id,
        partitions: known.map(({ topic, index }) => ({ topic, index })),
        reason,
      }),
    );
  }

  /** Hands over everything, as in a revocation, and takes nothing any more until {@link clear}. */
  async giveUp(drainMs: number, commitMs: number): Promise<void> {
    this.#takes = false;
    await this.#handOver([...this.#held.values()], drainMs, commitMs);
  }

  /** The membership has ended: forgets whatever is left, and is ready for the next one. */
  clear(): void {
    this.#forget([...this.#held.values()]);
    this.#takes = true;
  }

  /** Nothing is looked up or announced any more; what is held can still be committed. */
  close(): void {
    this.#takes = false;
    this.#watch(false);
    for (const held of this.#held.values()) held.lookup.given.abort();
  }

  async #handOver(going: readonly Held[], drainMs: number, commitMs: number): Promise<void> {
    const known = going.filter((held) => held.announced);
    // The main thread must not be told of them in the middle of the drain: it would go on with what has gone.
    this.#forget(going.filter((held) => !held.announced));
    if (known.length > 0) {
      for (const held of known) held.isLeaving = true;
      this.#options.fetcher.stop(known);
      await this.#options.handOvers.ask(++this.#lastId, (id) =>
        this.#options.send({
          type: "revoke",
          id,
          partitions: known.map(({ topic, index }) => ({ topic, index })),
          drainMs,
          commitMs,
          sentAtMs: threadsMs(),
        }),
      );
      await this.#options.stored.flush(commitMs);
    }
    this.#forget(known);
  }

  async #look(
    session: GroupSession,
    partitions: readonly PartitionId[],
    assignment: number,
    lookup: Lookup,
  ): Promise<void> {
    const { signal } = lookup.given;
    try {
      await this.#options.resolve(
        session,
        partitions,
        (positions) => {
          if (!signal.aborted) this.#announce(session, assignment, positions);
        },
        signal,
      );
    } catch (error) {
      if (!signal.aborted) this.#options.fatal(error);
    }
  }

  #announce(session: GroupSession, assignment: number, positions: readonly AssignedPartition[]): void {
    const ours = positions.filter((position) => {
      const held = this.#held.get(partitionKey(position));
      // It may have gone meanwhile, and even have come again.
      if (held?.assignment !== assignment || held.announced) return false;
      held.announced = true;
      return true;
    });
    if (ours.length === 0) return;
    this.#watch(true);
    this.#options.send({ type: "assigned", id: assignment, memberId: session.memberId, partitions: ours });
  }

  #those(partitions: readonly PartitionId[]): readonly Held[] {
    return partitions.flatMap((partition) => this.#held.get(partitionKey(partition)) ?? []);
  }

  /** Only what is still the same: a partition may have gone and come again while it was drained. */
  #forget(gone: readonly Held[]): void {
    const forgotten = gone.filter((held) => this.#held.get(partitionKey(held)) === held);
    if (forgotten.length === 0) return;
    for (const held of forgotten) {
      this.#held.delete(partitionKey(held));
      held.lookup.open--;
      if (held.lookup.open === 0) held.lookup.given.abort();
    }
    this.#options.fetcher.stop(forgotten);
    this.#options.stored.clear(forgotten);
    this.#options.commits.reassigned();
    if (![...this.#held.values()].some((held) => held.announced)) this.#watch(false);
  }

  #watch(on: boolean): void {
    if (this.#watching === on) return;
    this.#watching = on;
    if (on) this.#options.watch.start();
    else this.#options.watch.stop();
  }
}

function newlyHeld({ topic, index }: PartitionId, assignment: number, lookup: Lookup): Held {
  return { topic, index, assignment, lookup, announced: false, epoch: undefined, isLeaving: false };
}
