import type { RebalanceCallbacks } from "../backend/consumer.ts";
import { deadlineAfter } from "../clock.ts";
import { DeadlineError, InvalidStateError } from "../errors.ts";
import type { Partition } from "../message/partition.ts";
import { MetricName } from "../metrics/names.ts";
import type { ProcessingStrategy } from "../strategies/strategy.ts";
import { nameOf } from "../strategies/watched-steps.ts";
import { Assignment } from "./assignment.ts";
import type { Committer } from "./committer.ts";
import type { ProcessingContext } from "./context.ts";
import { ProcessorChannel } from "./events.ts";
import type { Inbox } from "./inbox.ts";
import { unlessAborted, within } from "./waits.ts";

/** How long a member may be without partitions before it gets a chain for none, so that its health check goes on. */
const STANDBY_AFTER_MS = 5_000;

interface DrainOptions {
  /** The partitions that will not be ours afterwards. */
  readonly leaving?: readonly Partition[] | undefined;
  /** Default: for as long as the consumer tries. */
  readonly commitTimeoutMs?: number | undefined;
}

/**
 * Follows what the group gives and takes: makes a chain for each assignment, drains it before partitions are handed
 * over, abandons it when they are lost, and sees to it that the partitions that stay go on where they were.
 */
export class Assignments<T> {
  readonly #context: ProcessingContext<T>;
  readonly #inbox: Inbox<T>;
  readonly #committer: Committer<T>;
  /** Aborts when the processor ends: nothing is made any more. */
  readonly #stopping: AbortSignal;
  readonly #partitions = new Set<Partition>();
  #current: Assignment<T> | undefined;
  /** The drain that is under way. */
  #draining: { readonly assignment: Assignment<T>; readonly done: Promise<void> } | undefined;
  #runningCallbacks = 0;
  #standbyAtMs: number;

  constructor(
    context: ProcessingContext<T>,
    parts: { readonly inbox: Inbox<T>; readonly committer: Committer<T>; readonly stopping: AbortSignal },
  ) {
    this.#context = context;
    this.#inbox = parts.inbox;
    this.#committer = parts.committer;
    this.#stopping = parts.stopping;
    this.#standbyAtMs = context.clock.monotonicMs() + STANDBY_AFTER_MS;
  }

  /** The chain that messages go to; undefined while there is none. */
  get current(): Assignment<T> | undefined {
    return this.#current;
  }

  /** Whether a rebalance callback is running, which may take as long as a drain does. */
  get busy(): boolean {
    return this.#runningCallbacks > 0;
  }

  readonly callbacks: Required<RebalanceCallbacks> = {
    onAssign: (partitions) => this.#callback("on_partitions_assigned", () => this.#assigned(partitions)),
    onRevoke: (partitions, deadline) =>
      this.#callback("on_partitions_revoked", () => this.#revoked(partitions, deadline)),
    onLost: (partitions) => this.#callback("on_partitions_lost", async () => this.#lost(partitions)),
  };

  /** Whether a chain has to be made before anything else: for partitions that stayed, or for a member on standby. */
  needsChain(nowMs: number): boolean {
    if (this.#current !== undefined) return false;
    return this.#partitions.size > 0 || nowMs >= this.#standbyAtMs;
  }

  /** Makes the chain that is needed. */
  async makeChain(): Promise<void> {
    if (this.#partitions.size > 0) {
      await this.#create(this.#positions());
      return;
    }
    this.#standbyAtMs = Infinity;
    try {
      await this.#create(new Map());
    } catch (error) {
      this.#context.logger.warn(
        { err: error },
        "createWithPartitions does not work without partitions, so this member has no health check on standby.",
      );
    }
  }

  /**
   * Drains the current chain and commits what it has done. Waits for a drain that is under way.
   *
   * @throws DeadlineError (it rejects) when the commit takes longer than `commitTimeoutMs`.
   */
  async drain(deadline: AbortSignal, commitTimeoutMs: number): Promise<void> {
    // Nothing is awaited where none is under way: a revocation could begin one just then, and the chain be closed twice.
    while (this.#draining !== undefined) await this.#draining.done;
    await this.#drainCurrent(deadline, { commitTimeoutMs });
  }

  /** Abandons the current chain, and commits what it had done before. */
  async terminate(commitTimeoutMs: number): Promise<void> {
    const assignment = this.#current ?? this.#draining?.assignment;
    this.#current = undefined;
    if (assignment === undefined) return;
    assignment.terminate();
    await this.#commitDone(assignment, commitTimeoutMs);
  }

  async #callback(name: string, work: () => Promise<void>): Promise<void> {
    const { clock, metrics, consumer, vitals } = this.#context;
    const startedMs = clock.monotonicMs();
    // A callback is part of a poll, however long it takes.
    using _alive = consumer.vitals === undefined ? vitals.pollingOn(clock) : undefined;
    this.#runningCallbacks++;
    try {
      await work();
    } catch (error) {
      // The group goes on with the rebalance; the loop ends as soon as it has its turn.
      this.#context.fail(error);
    } finally {
      this.#runningCallbacks--;
      const tookMs = clock.monotonicMs() - startedMs;
      metrics.timing(MetricName.CALLBACK, tookMs / 1_000, { callback_name: name });
      metrics.addTime(MetricName.CALLBACK_TIME, tookMs);
    }
  }

  async #assigned(partitions: ReadonlyMap<Partition, number>): Promise<void> {
    const { metrics, factory, logger } = this.#context;
    logger.info(
      { memberId: this.#memberId, partitions: [...partitions.keys()].map(String) },
      "Partitions were assigned.",
    );
    metrics.increment(MetricName.PARTITIONS_ASSIGNED, partitions.size);
    this.#context.events.publish(ProcessorChannel.ASSIGNED, { memberId: this.#memberId, partitions });
    for (const partition of partitions.keys()) this.#partitions.add(partition);
    this.#context.deadLetters?.assigned(partitions);
    if (this.#partitions.size === 0 || this.#stopping.aborted) return;
    if (this.#current !== undefined && factory.updatePartitions !== undefined) {
      for (const [partition, offset] of partitions) this.#current.startOffsets.set(partition, offset);
      factory.updatePartitions(this.#positions(partitions));
      return;
    }
    using deadline = deadlineAfter(this.#context.clock, this.#context.joinTimeoutMs);
    await this.#drainCurrent(deadline);
    if (!this.#stopping.aborted) await this.#create(this.#positions(partitions));
  }

  async #revoked(partitions: readonly Partition[], deadline: AbortSignal): Promise<void> {
    const { clock, events, metrics, logger, joinTimeoutMs } = this.#context;
    logger.info({ memberId: this.#memberId, partitions: partitions.map(String) }, "Partitions are revoked.");
    metrics.increment(MetricName.PARTITIONS_REVOKED, partitions.length);
    const startedMs = clock.monotonicMs();
    using joinTimeout = deadlineAfter(clock, joinTimeoutMs);
    this.#current?.leave();
    try {
      if (this.#draining === undefined) {
        await this.#drainCurrent(AbortSignal.any([deadline, joinTimeout]), { leaving: partitions });
      } else {
        await this.#draining.done;
      }
    } finally {
      this.#remove(partitions);
    }
    logger.info(
      { memberId: this.#memberId, partitions: partitions.map(String) },
      "The revocation is complete.",
    );
    const tookMs = clock.monotonicMs() - startedMs;
    events.publish(ProcessorChannel.REVOKED, { memberId: this.#memberId, partitions, tookMs });
  }

  #lost(partitions: readonly Partition[]): void {
    const { logger, metrics, events } = this.#context;
    logger.warn(
      { partitions: partitions.map(String) },
      "Partitions were lost: they are somebody else's already, and what was not committed will be handled again.",
    );
    metrics.increment(MetricName.PARTITIONS_LOST, partitions.length);
    events.publish(ProcessorChannel.LOST, { memberId: this.#memberId, partitions });
    this.#remove(partitions);
    // A drain that is under way sees to the partitions that stay.
    if (this.#draining !== undefined) {
      this.#draining.assignment.lose(partitions);
      return;
    }
    const assignment = this.#current;
    if (assignment === undefined) return;
    assignment.lose(partitions);
    this.#current = undefined;
    events.publish(ProcessorChannel.CHAIN, { strategy: undefined });
    this.#rewind(assignment);
  }

  #remove(partitions: readonly Partition[]): void {
    for (const partition of partitions) this.#partitions.delete(partition);
    this.#inbox.remove(new Set(partitions));
    this.#context.deadLetters?.removed(partitions);
    if (this.#partitions.size === 0) {
      this.#standbyAtMs = this.#context.clock.monotonicMs() + STANDBY_AFTER_MS;
    }
  }

  async #drainCurrent(deadline: AbortSignal, options: DrainOptions = {}): Promise<void> {
    const assignment = this.#current;
    if (assignment === undefined) return;
    const done = this.#drain(assignment, deadline, options);
    this.#draining = { assignment, done: done.catch(() => {}) };
    try {
      await done;
    } finally {
      this.#draining = undefined;
      this.#current = undefined;
      this.#context.events.publish(ProcessorChannel.CHAIN, { strategy: undefined });
    }
  }

  async #drain(
    assignment: Assignment<T>,
    deadline: AbortSignal,
    { leaving = [], commitTimeoutMs }: DrainOptions,
  ): Promise<void> {
    const { clock, metrics, wakeUp, logger } = this.#context;
    const startedMs = clock.monotonicMs();
    try {
      const complete = await assignment.drain(deadline).catch(async (error: unknown) => {
        // What was done before is done all the same.
        await this.#commitDone(assignment, commitTimeoutMs).catch((commitError: unknown) =>
          logger.error({ err: commitError }, "The last commit failed: what it covers will be handled again."),
        );
        throw error;
      });
      await this.#context.deadLetters?.settle(deadline);
      await this.#commitDone(assignment, commitTimeoutMs);
      if (!complete) this.#rewind(assignment, new Set(leaving));
    } finally {
      wakeUp.clear();
      metrics.addTime(MetricName.SHUTDOWN_TIME, clock.monotonicMs() - startedMs);
    }
  }

  async #commitDone(assignment: Assignment<T>, timeoutMs: number | undefined): Promise<void> {
    const flushed = this.#committer.flush(assignment);
    if (timeoutMs === undefined) await flushed;
    else if (!(await within(flushed, timeoutMs, this.#context.clock))) {
      flushed.catch(() => {});
      throw new DeadlineError(
        `The last commit was not acknowledged within ${timeoutMs} ms: what it covers will be handled again.`,
      );
    }
  }

  /** What was submitted and is not done has to be read again, for the partitions that stay. */
  #rewind(assignment: Assignment<T>, leaving: ReadonlySet<Partition> = new Set()): void {
    const offsets = new Map<Partition, number>();
    for (const partition of this.#partitions) {
      const offset = leaving.has(partition) ? undefined : assignment.firstUndone(partition);
      if (offset !== undefined) offsets.set(partition, offset);
    }
    if (offsets.size === 0 || this.#stopping.aborted) return;
    this.#inbox.remove(new Set(offsets.keys()));
    this.#context.consumer.seek(offsets);
  }

  async #create(partitions: ReadonlyMap<Partition, number>): Promise<void> {
    const { clock, metrics, factory, logger } = this.#context;
    const startedMs = clock.monotonicMs();
    const assignment: Assignment<T> = new Assignment(this.#context, partitions, () =>
      this.#committer.commit(assignment),
    );
    const strategy = await this.#unlessStopping(
      factory.createWithPartitions(assignment.commit, partitions),
      assignment,
    );
    metrics.timing(MetricName.CREATE_STRATEGY, (clock.monotonicMs() - startedMs) / 1_000);
    if (strategy === undefined) return;
    assignment.start(strategy);
    this.#current = assignment;
    this.#context.events.publish(ProcessorChannel.CHAIN, { strategy });
    // The poll that brought the assignment would go on waiting for messages, and the strategies for their first poll.
    this.#context.wakeUp.wake();
    logger.debug({ strategy: nameOf(strategy), partitionCount: partitions.size }, "The strategies are made.");
  }

  /** What the factory gives; undefined if the processor has to end before: a chain that comes later is terminated. */
  async #unlessStopping(
    made: ProcessingStrategy<T> | Promise<ProcessingStrategy<T>>,
    assignment: Assignment<T>,
  ): Promise<ProcessingStrategy<T> | undefined> {
    if (!isPromise(made)) return checked(made);
    const checking = made.then(checked);
    const strategy = await unlessAborted(checking, this.#stopping);
    if (strategy !== undefined) return strategy;
    checking
      .then((late) => {
        assignment.start(late);
        assignment.terminate();
      })
      .catch((error: unknown) =>
        this.#context.logger.error({ err: error }, "createWithPartitions failed in the shutdown."),
      );
    return undefined;
  }

  /** The partitions that this member has now, each with the offset that is submitted next. */
  #positions(assigned: ReadonlyMap<Partition, number> = new Map()): ReadonlyMap<Partition, number> {
    const told = this.#context.consumer.tell();
    const positions = new Map<Partition, number>();
    for (const partition of this.#partitions) {
      const offset = this.#inbox.firstOffset(partition) ?? told.get(partition) ?? assigned.get(partition);
      if (offset !== undefined) positions.set(partition, offset);
    }
    return positions;
  }

  get #memberId(): string {
    return this.#context.consumer.memberId;
  }
}

/** For factories that are not checked by a compiler. */
function checked<T>(strategy: ProcessingStrategy<T> | undefined): ProcessingStrategy<T> {
  if (typeof strategy === "object" && typeof strategy.submit === "function") return strategy;
  throw new InvalidStateError("createWithPartitions returned no strategy: is there a return missing?");
}

function isPromise<R>(value: R | Promise<R>): value is Promise<R> {
  return typeof value === "object" && value !== null && "then" in value;
}
