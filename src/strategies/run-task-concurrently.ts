import {
  ArroyoError,
  ConfigurationError,
  DeadlineError,
  ErrorCode,
  InvalidMessage,
  InvalidStateError,
  MESSAGE_REJECTED,
  MessageRejected,
} from "../errors.ts";
import { FILTERED_PAYLOAD, type FilteredPayload } from "../message/filtered.ts";
import { DerivedMessage, isFiltered, type Message, type Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { Drain } from "./drain.ts";
import { Fifo } from "./fifo.ts";
import { isAbout, takeOverCommit, withoutItem } from "./invalid.ts";
import { type MessageKey, normalKey } from "./keyed.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import { type RetryOptions, RetryPolicy } from "./retry.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";
import { Task, type TaskFunction, TaskRunner } from "./task-runner.ts";

/** How {@link RunTaskConcurrently} runs its function. */
export interface RunTaskConcurrentlyOptions<T> {
  /** How many tasks run at once. */
  readonly concurrency: number;
  /**
   * How many more messages are taken that wait for their turn, or whose result waits for that of an earlier one. Default
   * four times `concurrency`.
   */
  readonly maxPending?: number | undefined;
  /**
   * Messages with the same key are processed one at a time, in order; those with none (`null`, `undefined`) as soon as
   * there is room. Default: none has a key.
   */
  readonly key?: ((message: Message<T>) => MessageKey) | undefined;
  /** What to do about a task that fails. Default: it is not tried again, and its error ends the processor. */
  readonly retry?: RetryOptions | undefined;
}

const STRATEGY = "RunTaskConcurrently";

/**
 * Runs an async function on messages, many at once, and hands their results on as payloads, in the order of the
 * messages. For work that waits for others: databases, services. (Arroyo's `RunTaskInThreads`.)
 *
 * - While `concurrency` tasks run and `maxPending` more messages wait, new ones are rejected.
 * - InvalidMessage from a task goes to the dead letter queue, in its turn. A task for a batch may throw it about one of
 *   the batch's messages: it is run again for the rest of the batch.
 * - Any other error ends the processor, unless `retry` has an answer to it, after the results of what came before it
 *   have gone on.
 * - Each task has an AbortSignal, which aborts when its result is not wanted any more: at the deadline of the drain,
 *   and when the partitions are lost. Give it to what the task waits for.
 * - Filtered messages go round the function, in their turn; those that come one after another go on as one.
 */
export class RunTaskConcurrently<T, U> implements ProcessingStrategy<T> {
  readonly name: string = STRATEGY;
  readonly next: ProcessingStrategy<U>;
  readonly #maxTasks: number;
  readonly #key: ((message: Message<T>) => MessageKey) | undefined;
  readonly #lifecycle: Lifecycle = new Lifecycle(STRATEGY);
  readonly #outlet: Outlet<U>;
  readonly #drain = new Drain();
  readonly #runner: TaskRunner<T, U>;
  /** What was taken and has not gone on, in order. */
  readonly #queue = new Fifo<Task<T, U> | FilteredRun>();
  #tasks = 0;
  #last: Task<T, U> | FilteredRun | undefined;
  #runtime: StrategyRuntime = detachedRuntime;
  /** The last InvalidMessage that came instead of an answer about the result that was offered. */
  #unplaced: InvalidMessage | undefined;

  /** @throws ConfigurationError for a number that is out of its range. */
  constructor(
    fn: TaskFunction<T, U>,
    options: RunTaskConcurrentlyOptions<T>,
    next: ProcessingStrategy<NoInfer<U>>,
  ) {
    const { concurrency, maxPending = 4 * concurrency, key, retry } = options;
    if (!(Number.isInteger(concurrency) && concurrency > 0)) {
      throw new ConfigurationError(
        `${STRATEGY}: concurrency is ${concurrency}, but must be a whole number from 1 up.`,
      );
    }
    if (!(Number.isInteger(maxPending) && maxPending >= 0)) {
      throw new ConfigurationError(
        `${STRATEGY}: maxPending is ${maxPending}, but must be a whole number from 0 up.`,
      );
    }
    this.next = next;
    this.#maxTasks = concurrency + maxPending;
    this.#key = key;
    this.#outlet = new Outlet(next);
    this.#runner = new TaskRunner({
      strategy: STRATEGY,
      fn,
      concurrency,
      retry: retry && new RetryPolicy(STRATEGY, retry),
      onSettled: (task) => this.#settled(task),
    });
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
    this.#outlet.attach(runtime);
    this.#runner.attach(runtime);
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (isFiltered(message)) {
      this.#submitFiltered(message);
      return;
    }
    if (this.#tasks >= this.#maxTasks) {
      this.#handOn();
      if (this.#tasks >= this.#maxTasks) throw MESSAGE_REJECTED;
    }
    const task = new Task<T, U>(message, this.#key && normalKey(STRATEGY, this.#key(message)));
    this.#push(task);
    this.#tasks++;
    this.#runner.add(task);
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    try {
      this.#outlet.poll();
      this.#handOn();
    } finally {
      this.#drain.notify();
    }
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    if (!this.#lifecycle.terminate()) return;
    this.#runner.abandon(new ArroyoError(ErrorCode.CLOSED, `${STRATEGY} was terminated.`));
    this.#queue.clear();
    this.#drain.notify();
    this.#outlet.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      await this.#drain.until(() => this.#lifecycle.terminated || this.#handOn(), deadline);
      if (this.#queue.length > 0) this.#abandon();
      await this.#outlet.finish(deadline);
    });
  }

  #submitFiltered(message: Message<FilteredPayload>): void {
    if (this.#queue.length === 0) this.next.submit(message);
    else if (this.#last instanceof FilteredRun) this.#last.add(message);
    else this.#push(new FilteredRun(message));
  }

  #push(entry: Task<T, U> | FilteredRun): void {
    this.#queue.push(entry);
    this.#last = entry;
  }

  #shift(): void {
    if (this.#queue.shift() instanceof Task) this.#tasks--;
    if (this.#queue.length === 0) this.#last = undefined;
    this.#unplaced = undefined;
  }

  #settled(task: Task<T, U>): void {
    // The others wait for that one anyway.
    if (this.#queue.peek() !== task) return;
    this.#runtime.wake();
    this.#drain.notify();
  }

  /** Hands on what is done, in order. Returns whether nothing is left. */
  #handOn(): boolean {
    for (let first = this.#queue.peek(); first !== undefined; first = this.#queue.peek()) {
      if (first instanceof Task) {
        if (first.failed) this.#fail(first);
        if (first.outgoing === undefined) return false;
        this.#reportInvalid(first);
      }
      try {
        this.next.submit(first.outgoing as Submitted<U>);
      } catch (error) {
        if (MessageRejected.is(error)) return false;
        if (InvalidMessage.is(error)) this.#takeOut(first, error);
        throw error;
      }
      this.#shift();
    }
    return true;
  }

  /** Which message it was is of use: it comes again after a new start. */
  #fail({ message, error }: Task<T, U>): never {
    const { partition, offset, committable } = message;
    const partitions = partition === undefined ? [...committable.keys()].map(String) : undefined;
    this.#runtime.logger.error(
      {
        strategy: STRATEGY,
        topic: partition?.topic.name,
        partition: partition?.index,
        offset,
        partitions,
        err: error,
      },
      "A task failed.",
    );
    throw error;
  }

  #reportInvalid(task: Task<T, U>): void {
    const invalid = task.invalid.shift();
    if (invalid === undefined) return;
    this.#runtime.wake();
    throw invalid;
  }

  /** The next step found a result invalid, or an earlier message. */
  #takeOut(entry: Task<T, U> | FilteredRun, error: InvalidMessage): void {
    this.#runtime.wake();
    if (entry instanceof Task) {
      if (isAbout(error, entry.message)) {
        if (takeOverCommit(error)) entry.filter();
        else this.#shift();
        return;
      }
      // The item may still be there in the result. Otherwise only the function can tell what the rest comes to.
      const result = withoutItem(entry.outgoing as Message<U>, error);
      const rest = withoutItem(entry.message, error);
      if (result !== undefined || rest !== undefined) {
        takeOverCommit(error);
        if (result !== undefined) entry.outgoing = result;
        else if (rest === undefined || isFiltered(rest)) entry.filter();
        else this.#runner.again(entry, rest);
        return;
      }
    }
    // About a message further down, then: the result is offered again. But if that gives the same answer, it was about
    // something that went into it.
    const { partition, offset } = error;
    if (this.#unplaced?.partition === partition && this.#unplaced.offset === offset) {
      throw new InvalidStateError(
        `${STRATEGY}: the step behind it says that ${partition} offset ${offset} is invalid, but it was given no message ` +
          "with that position, nor a batch with such a one.",
        { cause: error },
      );
    }
    this.#unplaced = error;
  }

  /** The join ran out of time. */
  #abandon(): void {
    this.#runtime.logger.warn(
      { strategy: STRATEGY, tasks: this.#tasks },
      "The join ran out of time before these tasks were done; their messages are not committed.",
    );
    this.#runner.abandon(new DeadlineError(`${STRATEGY}: the deadline of the drain has passed.`));
    this.#queue.clear();
    this.#tasks = 0;
  }
}

/** Filtered messages that came one after another. */
class FilteredRun {
  #message: Message<FilteredPayload>;
  #committable: Map<Partition, number> | undefined;

  constructor(message: Message<FilteredPayload>) {
    this.#message = message;
  }

  get outgoing(): Message<FilteredPayload> {
    if (this.#committable === undefined) return this.#message;
    return new DerivedMessage(FILTERED_PAYLOAD, this.#committable, this.#message.timestampMs);
  }

  add(message: Message<FilteredPayload>): void {
    const committable = (this.#committable ??= new Map(this.#message.committable));
    if (message.partition !== undefined) committable.set(message.partition, message.nextOffset);
    else for (const [partition, offset] of message.committable) committable.set(partition, offset);
    this.#message = message;
  }
}
