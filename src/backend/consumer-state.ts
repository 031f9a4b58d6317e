import { InvalidStateError } from "../errors.ts";
import type { Partition } from "../message/partition.ts";
import type { TopicSubscription } from "./consumer.ts";

/** Where a consumer is, as far as it decides which calls make sense. */
export interface ConsumerState {
  closed(): boolean;
  /** Whether it has a subscription, or has still to give back what an earlier one brought. */
  canPoll(): boolean;
  subscribed(): boolean;
  polling(): boolean;
  has(partition: Partition): boolean;
}

/**
 * The calls that make no sense in some state, the same for every consumer: each error says what to do instead.
 *
 * All methods throw InvalidStateError.
 */
export class ConsumerStateChecks {
  readonly #state: ConsumerState;

  constructor(state: ConsumerState) {
    this.#state = state;
  }

  open(call: string): void {
    if (this.#state.closed()) throw new InvalidStateError(`${call}() after close(): make a new consumer.`);
  }

  assigned(call: string, partitions: readonly Partition[]): void {
    this.open(call);
    for (const partition of partitions) {
      if (!this.#state.has(partition)) {
        throw new InvalidStateError(
          `${call}(): ${partition} is not assigned to this consumer now; tell() gives the partitions that are.`,
        );
      }
    }
  }

  subscribe(topics: TopicSubscription): void {
    this.open("subscribe");
    if (this.#state.subscribed()) {
      throw new InvalidStateError(
        "This consumer is subscribed already: call unsubscribe() before subscribing again.",
      );
    }
    if (!(topics instanceof RegExp) && topics.length === 0) {
      throw new InvalidStateError(
        "subscribe() needs at least one topic: an empty list would read nothing, for ever.",
      );
    }
  }

  poll(): void {
    this.open("poll");
    if (!this.#state.canPoll()) {
      throw new InvalidStateError("This consumer is not subscribed: call subscribe() before poll().");
    }
    if (this.#state.polling()) {
      throw new InvalidStateError("poll() is running already: await it before polling again.");
    }
  }
}
