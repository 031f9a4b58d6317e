import { InvalidMessage, MESSAGE_REJECTED } from "../errors.ts";
import { isFiltered, type DerivedMessage, type Message, type Submitted } from "../message/message.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";
import { assertSync, type Sync } from "./sync.ts";

/**
 * Runs a synchronous function on each message and hands its result on as the payload. (Arroyo's `RunTask`.)
 *
 * The function runs once per message, also under back-pressure. It may throw
 * - {@link InvalidMessage}: the message goes to the dead letter queue, and is committed in its turn;
 * - MessageRejected: not now; it is asked about the same message again, a few milliseconds later;
 * - anything else, which ends the processor.
 *
 * Filtered messages go round the function. An async function does not compile, and is refused at run time
 * (InvalidStateError): use `RunTaskConcurrently`.
 */
export class RunTask<T, U> implements ProcessingStrategy<T> {
  readonly name = "RunTask";
  readonly next: ProcessingStrategy<never>;
  readonly #next: ProcessingStrategy<U>;
  readonly #function: (message: Message<T>) => Sync<U>;
  readonly #lifecycle: Lifecycle = new Lifecycle("RunTask");
  readonly #outlet: Outlet<U>;
  /** The derived message that the function has run for, but that the next step did not take, and its result. */
  #untaken: { readonly message: Message<T>; readonly result: Message<U> } | undefined;

  constructor(fn: (message: Message<T>) => Sync<U>, next: ProcessingStrategy<NoInfer<U>>) {
    this.next = next;
    this.#next = next;
    this.#function = fn;
    this.#outlet = new Outlet(next);
  }

  attach(runtime: StrategyRuntime): void {
    this.#outlet.attach(runtime);
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (this.#outlet.waiting && !this.#outlet.retry()) throw MESSAGE_REJECTED;
    if (isFiltered(message)) {
      this.#next.submit(message);
    } else if (message.partition === undefined) {
      this.#submitDerived(message);
    } else {
      this.#outlet.push(message.replace(this.#run(message)));
    }
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    this.#outlet.poll();
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    if (this.#lifecycle.terminate()) this.#outlet.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(() => this.#outlet.finish(deadline));
  }

  #run(message: Message<T>): U {
    let result: Sync<U>;
    try {
      result = this.#function(message);
    } catch (error) {
      if (InvalidMessage.is(error)) this.#outlet.standIn(message, error);
      throw error;
    }
    if (typeof result === "object") assertSync(this.name, result);
    return result as U;
  }

  /**
   * A derived message stays with the step that made it until the next step has taken it: only that step knows the parts,
   * and can leave out one that turns out to be invalid. The result is kept meanwhile.
   */
  #submitDerived(message: DerivedMessage<T>): void {
    const untaken = this.#untaken;
    this.#untaken = undefined;
    const result: Message<U> =
      untaken !== undefined && untaken.message === message
        ? untaken.result
        : message.replace(this.#run(message));
    try {
      this.#next.submit(result);
    } catch (error) {
      if (!(InvalidMessage.is(error) && error.needsCommit)) this.#untaken = { message, result };
      throw error;
    }
  }
}
