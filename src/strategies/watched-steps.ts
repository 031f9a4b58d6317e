import { InvalidMessage, MessageRejected } from "../errors.ts";
import type { Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { isAbout } from "./invalid.ts";
import type { ProcessingStrategy } from "./strategy.ts";

/** A strategy that is watched from outside: what has come to it, and how it took that. */
export interface WatchedStep {
  readonly name: string;
  /** Partition to the offset up to which messages have come to it. */
  readonly reached: ReadonlyMap<Partition, number>;
  /** Messages that it has taken, filtered ones included. */
  readonly submitted: number;
  /** Times that it has rejected a message. */
  readonly rejected: number;
  /** Whether it rejected the last message that was offered. */
  readonly rejecting: boolean;
}

export function nameOf(strategy: ProcessingStrategy<never>): string {
  return strategy.name ?? strategy.constructor.name;
}

/** Moves offsets on to where a message ends; they never go back. */
export function advance(reached: Map<Partition, number>, message: Submitted<unknown>): void {
  const { partition } = message;
  if (partition !== undefined) {
    if (message.nextOffset > (reached.get(partition) ?? -1)) reached.set(partition, message.nextOffset);
    return;
  }
  for (const [of, offset] of message.committable) {
    if (offset > (reached.get(of) ?? -1)) reached.set(of, offset);
  }
}

/**
 * Watches every strategy of a chain from its first one on, by standing in front of its `submit`. Costs some tens of
 * nanoseconds a message and strategy, so it is for tests and for a page that somebody looks at.
 *
 * @param before called before each submit with the strategy's place in the chain, counted from 0, and whether it is the
 * last one; what it throws the strategy seems to throw.
 */
export function watchSteps(
  first: ProcessingStrategy<never>,
  before: (at: number, isLast: boolean) => void = () => {},
): readonly WatchedStep[] {
  const steps: WatchedStep[] = [];
  for (let step: ProcessingStrategy<never> | undefined = first; step !== undefined; step = step.next) {
    steps.push(watchStep(step, steps.length, before));
  }
  return steps;
}

function watchStep(
  strategy: ProcessingStrategy<never>,
  at: number,
  before: (at: number, isLast: boolean) => void,
): WatchedStep {
  const reached = new Map<Partition, number>();
  const step = { name: nameOf(strategy), reached, submitted: 0, rejected: 0, rejecting: false };
  const submit = strategy.submit.bind(strategy);
  const isLast = strategy.next === undefined;
  const watched = (message: Submitted<never>): void => {
    try {
      before(at, isLast);
      submit(message);
    } catch (error) {
      if (MessageRejected.is(error)) {
        step.rejected++;
        step.rejecting = true;
      } else if (InvalidMessage.is(error) && isAbout(error, message)) {
        // It does not want to see that one again.
        advance(reached, message);
      }
      throw error;
    }
    step.submitted++;
    step.rejecting = false;
    advance(reached, message);
  };
  Object.defineProperty(strategy, "submit", { value: watched, configurable: true });
  return step;
}
