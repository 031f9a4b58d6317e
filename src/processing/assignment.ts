import type { Commit } from "../commit/commit.ts";
import { InvalidMessage, InvalidStateError, MessageRejected } from "../errors.ts";
import type { Committable } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { MetricName } from "../metrics/names.ts";
import { OutOfOrder } from "../strategies/lifecycle.ts";
import type { ProcessingStrategy, StrategyRuntime } from "../strategies/strategy.ts";
import { nameOf } from "../strategies/watched-steps.ts";
import type { ProcessingContext } from "./context.ts";
import { outcomeOf, turnOfEventLoop, type Outcome } from "./waits.ts";

/** How long after its deadline a join may take to notice it. */
const JOIN_GRACE_MS = 100;
/** How often the chain is polled during a join when nobody asks for it: a rejection may end without a wake. */
const JOIN_POLL_EVERY_MS = 5;

/**
 * One chain of strategies, from its making to its end, and what it has said is done. Its `commit` does nothing any more
 * once it has ended, whatever comes in late.
 */
export class Assignment<T> {
  /** The offsets at which it started, one for each partition that it ever had. */
  readonly startOffsets: Map<Partition, number>;
  readonly commit: Commit;
  readonly #context: ProcessingContext<T>;
  /** Everything before these offsets is done. They never go back. */
  readonly #done = new Map<Partition, number>();
  readonly #committed = new Map<Partition, number>();
  #strategy: ProcessingStrategy<T> | undefined;
  #ended = false;
  #lost = false;
  #leaving = false;
  #advance = 0;
  /** Interrupts a drain that is under way. */
  #terminated: (() => void) | undefined;

  /** @param onDue called when a commit must not wait for its time. */
  constructor(
    context: ProcessingContext<T>,
    startOffsets: ReadonlyMap<Partition, number>,
    onDue: () => void,
  ) {
    this.#context = context;
    this.startOffsets = new Map(startOffsets);
    const { everyMessages = Infinity } = context.commitPolicy;
    this.commit = (offsets, options) => {
      if (this.#ended) {
        this.#dropLate(offsets);
        return;
      }
      for (const [partition, offset] of offsets) {
        const before = this.#done.get(partition);
        if (offset <= (before ?? this.startOffsets.get(partition) ?? -1)) continue;
        this.#advance += before === undefined ? 1 : offset - before;
        this.#done.set(partition, offset);
      }
      if (this.#advance >= everyMessages || options?.force === true) onDue();
    };
  }

  /** Whether nothing is committed through it any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether partitions of it go to others, or have gone: they handle again what is not committed. */
  get leaving(): boolean {
    return this.#leaving || this.#lost;
  }

  /** Partitions are about to go to others. */
  leave(): void {
    this.#leaving = true;
  }

  /** Whether something is done that was not committed yet, as far as is known without looking at every partition. */
  get advanced(): boolean {
    return this.#advance > 0;
  }

  /** Puts a chain to work. */
  start(strategy: ProcessingStrategy<T>): void {
    const { clock, metrics, logger, commitPolicy, vitals, wakeUp } = this.#context;
    const runtime: StrategyRuntime = {
      clock,
      metrics,
      logger,
      commitPolicy,
      vitals,
      wake: () => wakeUp.wake(),
      wakeAt: (monotonicMs) => wakeUp.at(monotonicMs),
    };
    this.#strategy = strategy;
    try {
      for (let step: ProcessingStrategy<never> | undefined = strategy; step !== undefined; step = step.next) {
        step.attach?.(runtime);
      }
    } catch (error) {
      this.terminate();
      throw error;
    }
  }

  get strategy(): ProcessingStrategy<T> {
    return this.#strategy!;
  }

  /** @throws InvalidMessage, and what ends the processor. */
  poll(): void {
    try {
      this.strategy.poll();
    } catch (error) {
      if (!MessageRejected.is(error)) throw error;
      throw new InvalidStateError(
        `${nameOf(this.strategy)}.poll() let MessageRejected through: a strategy keeps what its next step rejects, ` +
          "and tries again at its next poll.",
        { cause: error },
      );
    }
  }

  /**
   * Closes and joins the chain. Resolves to whether everything that was submitted is done; if not, the deadline came
   * before, or it was terminated meanwhile. Rejects with what ends the processor; the chain is terminated then.
   */
  async drain(deadline: AbortSignal): Promise<boolean> {
    const { clock, metrics, logger } = this.#context;
    const startedMs = clock.monotonicMs();
    let complete = false;
    try {
      this.strategy.close();
      while (!(await this.#join(deadline)));
      complete = !this.#ended && !deadline.aborted;
    } catch (error) {
      this.terminate();
      throw error;
    } finally {
      const tookMs = clock.monotonicMs() - startedMs;
      metrics.addTime(MetricName.JOIN_TIME, tookMs);
      metrics.timing(MetricName.CLOSE_STRATEGY, tookMs / 1_000);
    }
    if (deadline.aborted && !this.#lost) {
      metrics.increment(MetricName.JOIN_TIMEOUT);
      logger.warn(
        { strategy: nameOf(this.strategy), lastedMs: Math.round(clock.monotonicMs() - startedMs) },
        "The strategies did not finish in time: what is not done will be handled again.",
      );
    }
    this.#ended = true;
    return complete;
  }

  /** Abandons the chain: nothing that comes out of it any more is committed. */
  terminate(): void {
    if (this.#ended) return;
    this.#ended = true;
    try {
      this.#strategy?.terminate();
    } catch (error) {
      this.#context.logger.error({ err: error }, "A strategy threw while it was terminated.");
    }
    this.#terminated?.();
  }

  /** Abandons the chain because partitions are somebody else's already: nothing of theirs is committed any more. */
  lose(partitions: Iterable<Partition>): void {
    this.#lost = true;
    for (const partition of partitions) {
      this.#done.delete(partition);
      this.startOffsets.delete(partition);
    }
    this.terminate();
  }

  /** The first offset of a partition that is not done. */
  firstUndone(partition: Partition): number | undefined {
    return this.#done.get(partition) ?? this.startOffsets.get(partition);
  }

  /** Everything before these offsets is done. */
  get done(): Committable {
    return this.#done;
  }

  /** What is done and not committed, up to the limit of each partition, and whether a limit held something back. */
  uncommitted(limit: (partition: Partition) => number): {
    readonly offsets: Map<Partition, number>;
    readonly limited: boolean;
  } {
    const offsets = new Map<Partition, number>();
    let limited = false;
    for (const [partition, done] of this.#done) {
      const offset = Math.min(done, limit(partition));
      if (offset < done) limited = true;
      if (offset > (this.#committed.get(partition) ?? -1)) offsets.set(partition, offset);
    }
    return { offsets, limited };
  }

  /** A commit of these offsets starts: the commit policy counts anew. */
  committing(): void {
    this.#advance = 0;
  }

  committed(offsets: Committable): void {
    for (const [partition, offset] of offsets) this.#committed.set(partition, offset);
  }

  /** One call of `join`. Resolves to whether the drain has come to its end. */
  async #join(deadline: AbortSignal): Promise<boolean> {
    const { clock, wakeUp } = this.#context;
    let outcome: Outcome | undefined;
    const settle = (result: Outcome): void => {
      outcome ??= result;
      wakeUp.interrupt();
    };
    this.#terminated = () => settle({ failed: false });
    deadline.addEventListener("abort", () => wakeUp.interrupt(), { once: true });
    void outcomeOf(this.strategy.join(deadline)).then(settle);
    let polls = true;
    for (let giveUpMs = Infinity; outcome === undefined;) {
      await wakeUp.pause(Math.min(clock.monotonicMs() + JOIN_POLL_EVERY_MS, giveUpMs));
      // Strategies end their joins one after another: a poll must not come between.
      await turnOfEventLoop();
      if (outcome !== undefined) break;
      const nowMs = clock.monotonicMs();
      if (deadline.aborted) giveUpMs = Math.min(giveUpMs, nowMs + JOIN_GRACE_MS);
      if (nowMs >= giveUpMs) {
        this.terminate();
        break;
      }
      wakeUp.take(nowMs);
      if (polls) polls = this.#pollInJoin();
    }
    this.#terminated = undefined;
    if (this.#ended || outcome?.failed !== true) return true;
    if (!InvalidMessage.is(outcome.error)) throw outcome.error;
    this.#context.reportInvalid(outcome.error);
    return false;
  }

  /** Returns whether further polls make sense. */
  #pollInJoin(): boolean {
    try {
      this.poll();
    } catch (error) {
      // Something in the chain has joined its next step and is not through with its own end yet.
      if (error instanceof OutOfOrder && error.call === "poll") return false;
      if (!InvalidMessage.is(error)) throw error;
      this.#context.reportInvalid(error);
    }
    return true;
  }

  #dropLate(offsets: Committable): void {
    if (offsets.size === 0) return;
    this.#context.metrics.increment(MetricName.COMMIT_DROPPED, offsets.size);
  }
}
