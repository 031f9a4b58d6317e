import { InvalidMessage, MESSAGE_REJECTED } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { DerivedMessage, isFiltered, type Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { takeOverCommit } from "./invalid.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";

/**
 * Gives a strategy of one's own what every strategy must do about filtered and invalid messages: filtered ones go round
 * it, and an {@link InvalidMessage} that it throws is reported once, with a filtered message going on in its place so
 * that the commit still advances. (Arroyo's `StrategyGuard`.)
 *
 * ```ts
 * new StrategyGuard((next) => new Mine(next), next)
 * ```
 *
 * Only for a strategy that hands each message on before it takes the next one: what goes round it would overtake what
 * is still inside. The built-in strategies need no guard.
 */
export class StrategyGuard<T, U> implements ProcessingStrategy<T> {
  readonly name: string;
  readonly next: ProcessingStrategy<never>;
  readonly #next: ProcessingStrategy<U>;
  readonly #inner: ProcessingStrategy<T>;
  readonly #lifecycle: Lifecycle;
  readonly #outlet: Outlet<U>;
  /** Invalid messages that are still to be committed: partition to the next offset. */
  #invalid = new Map<Partition, number>();

  constructor(build: (next: ProcessingStrategy<U>) => ProcessingStrategy<T>, next: ProcessingStrategy<U>) {
    this.next = next;
    this.#next = next;
    this.#outlet = new Outlet(next);
    this.#inner = build(
      new AfterGuarded(next, {
        finish: (deadline) => this.#finish(deadline),
        terminate: () => this.#outlet.terminate(),
      }),
    );
    this.name = `StrategyGuard(${this.#inner.name ?? this.#inner.constructor.name})`;
    this.#lifecycle = new Lifecycle(this.name);
  }

  attach(runtime: StrategyRuntime): void {
    this.#outlet.attach(runtime);
    for (
      let step: ProcessingStrategy<never> | undefined = this.#inner;
      step !== undefined;
      step = step.next
    ) {
      step.attach?.(runtime);
    }
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (!this.#forwardInvalid()) throw MESSAGE_REJECTED;
    if (isFiltered(message)) this.#next.submit(message);
    else this.#guarded(() => this.#inner.submit(message), message);
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    this.#forwardInvalid();
    this.#guarded(() => this.#inner.poll());
  }

  close(): void {
    this.#lifecycle.close();
    this.#inner.close();
  }

  terminate(): void {
    if (this.#lifecycle.terminate()) this.#inner.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      try {
        await this.#inner.join(deadline);
      } catch (error) {
        throw this.#noted(error);
      }
    });
  }

  #guarded(call: () => void, message?: Submitted<T>): void {
    try {
      call();
    } catch (error) {
      // A part of a derived message: the step that made it knows what else is in it.
      if (message !== undefined && message.partition === undefined) throw error;
      throw this.#noted(error);
    }
  }

  #noted(error: unknown): unknown {
    if (InvalidMessage.is(error) && takeOverCommit(error)) {
      const { partition, offset } = error;
      this.#invalid.set(partition, Math.max(offset + 1, this.#invalid.get(partition) ?? 0));
    }
    return error;
  }

  /** Returns whether nothing is left that has to go on before the next message. */
  #forwardInvalid(): boolean {
    if (this.#outlet.waiting && !this.#outlet.retry()) return false;
    if (this.#invalid.size === 0) return true;
    const committable = this.#invalid;
    this.#invalid = new Map();
    this.#outlet.push(new DerivedMessage(FILTERED_PAYLOAD, committable));
    this.#outlet.throwDeferred();
    return !this.#outlet.waiting;
  }

  async #finish(deadline: AbortSignal): Promise<void> {
    await this.#outlet.settle(deadline);
    this.#forwardInvalid();
    await this.#outlet.finish(deadline);
  }
}

/** What is done in the place of the real next step. */
interface EndOfGuarded {
  finish(deadline: AbortSignal): Promise<void>;
  terminate(): void;
}

/** Stands behind the guarded strategy, so that the real next step is closed only when nothing is left to forward. */
class AfterGuarded<U> implements ProcessingStrategy<U> {
  readonly #next: ProcessingStrategy<U>;
  readonly #end: EndOfGuarded;

  constructor(next: ProcessingStrategy<U>, end: EndOfGuarded) {
    this.#next = next;
    this.#end = end;
  }

  submit(message: Submitted<U>): void {
    this.#next.submit(message);
  }

  poll(): void {
    this.#next.poll();
  }

  close(): void {}

  terminate(): void {
    this.#end.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#end.finish(deadline);
  }
}
