import type { Vitals } from "../backend/vitals.ts";
import type { Clock } from "../clock.ts";
import type { Commit } from "../commit/commit.ts";
import type { CommitPolicy } from "../commit/policy.ts";
import type { Logger } from "../logger.ts";
import type { Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { Metrics } from "../metrics/metrics.ts";

/** What the processor lends to a strategy when the chain is put to work. */
export interface StrategyRuntime {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** The processor's commit policy, for strategies that hold messages back in its rhythm. */
  readonly commitPolicy: CommitPolicy;
  /** What health checks see of the consumer; undefined where no processor runs the strategy. */
  readonly vitals?: Vitals | undefined;
  /**
   * Asks for a poll of the chain as soon as the event loop has its turn (within a millisecond on an idle loop). Call
   * it when something that was asynchronous has come to an end. Cheap when called often; may be called at any time,
   * also after the strategy was closed.
   */
  wake(): void;
  /** Asks for a poll of the chain when the clock's `monotonicMs()` has reached `monotonicMs`. The earliest one counts. */
  wakeAt(monotonicMs: number): void;
}

/**
 * One step of a chain. Each message goes from `submit` of a step to `submit` of its `next`.
 *
 * What the processor promises, and a strategy may rely on:
 * - `attach` comes first, once, before any other call; the processor attaches the whole chain by following `next`.
 * - No two calls run at the same time, but while a `join` is pending, `terminate` may be called, and `poll` is: on `wake`,
 *   at `wakeAt`, and every few milliseconds, so that what the next step rejected can go on.
 * - After `close` there is no `submit`. After `terminate` there is no call at all.
 *
 * What a strategy must do:
 * - hand each message to `next` (or commit it) once, in the order per partition in which it came, also those that are
 *   filtered, without overtaking;
 * - when `next.submit` throws {@link MessageRejected}: keep what it wanted to hand on, and either throw it on (then the
 *   same message is submitted again, and the work for it must not be done twice) or return and try again in `poll`;
 * - let every other error of `next` through;
 * - leave `next` alone once its `join` has resolved, also in a `poll` that comes before one's own join has.
 *
 * (Arroyo's `ProcessingStrategy`.)
 */
export interface ProcessingStrategy<in T> {
  /** What it is called in errors, metrics and logs; its class's name if it has none. */
  readonly name?: string | undefined;
  /** The step behind this one. The processor walks the chain along it. */
  readonly next?: ProcessingStrategy<never> | undefined;
  /** Takes the runtime. */
  attach?(runtime: StrategyRuntime): void;
  /**
   * Takes a message, never blocks.
   *
   * @throws MessageRejected: not now, submit the same message again later (after a poll).
   * @throws InvalidMessage: a message (this one, or an earlier one) can never be processed. If it is not this one, this
   * one was not taken and is submitted again.
   */
  readonly submit: (message: Submitted<T>) => void;
  /**
   * Does what is due (finished work, time limits, what was rejected before) and polls `next`. Never blocks. Called at
   * least once per time slice, and soon after `wake` and `wakeAt`.
   *
   * @throws InvalidMessage as `submit`.
   */
  poll(): void;
  /** No more messages will come. Never blocks, does not wait. */
  close(): void;
  /** Abandons what is in flight: nothing of it goes on or is committed, ever. Passes it on to `next`. Never blocks. */
  terminate(): void;
  /**
   * After `close`: finishes what was submitted, closes and joins `next`, and resolves. When `deadline` aborts it
   * resolves as soon as it can, without what is not done by then. It may be called again after it rejected with an
   * InvalidMessage, and goes on where it was.
   *
   * @throws InvalidMessage as `submit`; call it again, with what is left of the deadline.
   */
  join(deadline: AbortSignal): Promise<void>;
}

/** Makes the chain for an assignment. (Arroyo's `ProcessingStrategyFactory`.) */
export interface ProcessingStrategyFactory<in T> {
  /**
   * A new chain for the partitions that this member has now, each with the offset that is read next.
   * `commit` belongs to this assignment and does nothing once it has ended.
   *
   * A member that stays without partitions for some seconds gets a chain too, for an empty map, so that its health check
   * goes on. It may throw then: the member goes without.
   */
  createWithPartitions(
    commit: Commit,
    partitions: ReadonlyMap<Partition, number>,
  ): ProcessingStrategy<T> | Promise<ProcessingStrategy<T>>;
  /** If present, a change that only adds partitions keeps the running chain and calls this instead. */
  updatePartitions?(partitions: ReadonlyMap<Partition, number>): void;
  /** Called once when the processor has ended, also after a crash. */
  shutdown?(): void | Promise<void>;
}
