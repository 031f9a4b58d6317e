import type { Partition } from "../message/partition.ts";
import type { ProcessingStrategy } from "../strategies/strategy.ts";
import { watchSteps, type WatchedStep } from "../strategies/watched-steps.ts";
import type { StepState } from "./state.ts";

/** What is in flight in each step of a chain, and how it takes what comes. */
export class ChainView {
  readonly #steps: readonly WatchedStep[];
  #before: readonly Pick<WatchedStep, "submitted" | "rejected">[];

  constructor(first: ProcessingStrategy<never>) {
    this.#steps = watchSteps(first);
    this.#before = this.#steps.map(() => ({ submitted: 0, rejected: 0 }));
  }

  /**
   * @param committed what the last step has said is done, by partition
   * @param seconds since the last call
   */
  take(committed: ReadonlyMap<Partition, number>, seconds: number): readonly StepState[] {
    const states = this.#steps.map((step, at): StepState => {
      const before = this.#before[at]!;
      const next = this.#steps[at + 1]?.reached;
      return {
        name: step.name,
        // The last one keeps nothing: what has come to it waits for its commit.
        inFlight: distance(step.reached, next ?? committed),
        perSecond: Math.round((step.submitted - before.submitted) / seconds),
        rejectedPerSecond: Math.round((step.rejected - before.rejected) / seconds),
        rejecting: step.rejecting,
      };
    });
    this.#before = this.#steps.map(({ submitted, rejected }) => ({ submitted, rejected }));
    return states;
  }
}

/** How far one is ahead of the other, over the partitions that both know, or that only the first one does. */
function distance(ahead: ReadonlyMap<Partition, number>, behind: ReadonlyMap<Partition, number>): number {
  let sum = 0;
  for (const [partition, offset] of ahead) sum += Math.max(0, offset - (behind.get(partition) ?? offset));
  return sum;
}
