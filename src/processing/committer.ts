import { MetricName } from "../metrics/names.ts";
import type { Partition } from "../message/partition.ts";
import type { Assignment } from "./assignment.ts";
import type { ProcessingContext } from "./context.ts";
import { ProcessorChannel } from "./events.ts";
import { outcomeOf, type Outcome } from "./waits.ts";

function throwIfFailed(outcome: Outcome): void {
  if (outcome.failed) throw outcome.error;
}

/**
 * Commits what an assignment says is done, by the commit policy, one commit at a time, while processing goes on.
 */
export class Committer<T> {
  readonly #context: ProcessingContext<T>;
  readonly #limit: (partition: Partition) => number;
  #committedAtMs: number;
  #inFlight: Promise<Outcome> | undefined;
  #again: Assignment<T> | undefined;
  /** Whether the last commit did not cover all that was done. */
  #limited = false;

  /** @param limit gives the offset that a partition may not be committed past for now. */
  constructor(context: ProcessingContext<T>, limit: (partition: Partition) => number) {
    this.#context = context;
    this.#limit = limit;
    this.#committedAtMs = context.clock.monotonicMs();
  }

  /** When the next commit is due by time, on the monotonic clock; not as long as another one is under way. */
  dueAtMs(assignment: Assignment<T>): number {
    const { everyMs } = this.#context.commitPolicy;
    if (everyMs === undefined || !assignment.advanced || this.#inFlight !== undefined) return Infinity;
    return this.#committedAtMs + everyMs;
  }

  commitIfDue(assignment: Assignment<T>, nowMs: number): void {
    if (nowMs >= this.dueAtMs(assignment)) this.commit(assignment);
  }

  /** The limits have moved: commits what was held back by them. */
  limitsMoved(assignment: Assignment<T>): void {
    if (this.#limited) this.commit(assignment);
  }

  /** Commits as soon as the commit that is under way has ended. An error ends the processor. */
  commit(assignment: Assignment<T>): void {
    if (this.#inFlight !== undefined) this.#again = assignment;
    else void this.#start(assignment);
  }

  /** Resolves when everything that is done is committed, up to the limits. Rejects when it could not be. */
  async flush(assignment: Assignment<T>): Promise<void> {
    while (this.#inFlight !== undefined) throwIfFailed(await this.#inFlight);
    throwIfFailed(await this.#start(assignment));
  }

  #start(assignment: Assignment<T>): Promise<Outcome> {
    const inFlight = outcomeOf(this.#commit(assignment)).then((outcome) => {
      this.#inFlight = undefined;
      const again = this.#again;
      this.#again = undefined;
      if (outcome.failed) this.#context.fail(outcome.error);
      else if (again !== undefined) this.commit(again);
      // The loop may be waiting for longer than until the next commit by time.
      else if (assignment.advanced) this.#context.wakeUp.wake();
      return outcome;
    });
    this.#inFlight = inFlight;
    return inFlight;
  }

  async #commit(assignment: Assignment<T>): Promise<void> {
    const { clock, consumer, metrics, logger, events } = this.#context;
    this.#committedAtMs = clock.monotonicMs();
    assignment.committing();
    const { offsets, limited } = assignment.uncommitted(this.#limit);
    this.#limited = limited;
    if (offsets.size === 0) return;
    try {
      consumer.stageOffsets(offsets);
      const committed = await consumer.commitOffsets();
      assignment.committed(committed);
      events.publish(ProcessorChannel.COMMITTED, { offsets: committed });
    } catch (error) {
      metrics.increment(MetricName.COMMIT_STATUS, 1, { status: "error" });
      if (!assignment.leaving) throw error;
      logger.warn(
        { err: error },
        "A commit failed in a rebalance: the new owner handles again what it covers.",
      );
      return;
    }
    metrics.increment(MetricName.COMMIT_STATUS, 1, { status: "success" });
  }
}
