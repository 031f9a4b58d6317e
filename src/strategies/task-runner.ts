import { InvalidMessage, InvalidStateError, MessageRejected } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { isFiltered, type Message, type Submitted } from "../message/message.ts";
import { MetricName } from "../metrics/names.ts";
import { Fifo } from "./fifo.ts";
import { isAbout, takeOverCommit, withoutItem } from "./invalid.ts";
import { type Keyed, KeyedOrder, type MessageKey } from "./keyed.ts";
import { backOff, type RetryPolicy } from "./retry.ts";
import { detachedRuntime } from "./runtime.ts";
import type { StrategyRuntime } from "./strategy.ts";

/** An async function that is run for a message. */
export type TaskFunction<T, U> = (message: Message<T>, signal: AbortSignal) => PromiseLike<U>;

/** One message and what becomes of it. */
export class Task<T, U> implements Keyed<Task<T, U>> {
  readonly key: Exclude<MessageKey, Uint8Array>;
  readonly controller: AbortController = new AbortController();
  following: Task<T, U> | undefined;
  /** Its place among all tasks of its runner. */
  place = -1;
  /** A batch loses the items that turn out to be invalid. */
  message: Message<T>;
  /** What goes on in the end. */
  outgoing: Submitted<U> | undefined;
  failed = false;
  error: unknown;
  /** To be reported before it goes on. */
  readonly invalid: InvalidMessage[] = [];

  constructor(message: Message<T>, key: Exclude<MessageKey, Uint8Array>) {
    this.message = message;
    this.key = key;
  }

  fail(error: unknown): void {
    this.failed = true;
    this.error = error;
  }

  /** Nothing of the message is to be processed: a filtered one goes on in its place. */
  filter(): void {
    this.outgoing = this.message.replace(FILTERED_PAYLOAD);
  }
}

export interface TaskRunnerOptions<T, U> {
  readonly strategy: string;
  readonly fn: TaskFunction<T, U>;
  readonly concurrency: number;
  readonly retry: RetryPolicy | undefined;
  readonly onSettled: (task: Task<T, U>) => void;
}

/**
 * Runs tasks: so many at once, one at a time per key, each tried again as the policy says. Never rejects: how a task
 * ended is in the task. After a failure only tasks that come before it are started: they must be done for it to surface.
 */
export class TaskRunner<T, U> {
  readonly #options: TaskRunnerOptions<T, U>;
  readonly #order = new KeyedOrder<Task<T, U>>();
  /** May go as soon as there is room. */
  readonly #ready = new Fifo<Task<T, U>>();
  readonly #running = new Set<Task<T, U>>();
  #runtime: StrategyRuntime = detachedRuntime;
  #lastPlace = 0;
  /** No task behind this place is started any more. */
  #lastToStart = Infinity;

  constructor(options: TaskRunnerOptions<T, U>) {
    this.#options = options;
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
  }

  add(task: Task<T, U>): void {
    if (task.place < 0) task.place = ++this.#lastPlace;
    if (!this.#order.enter(task)) return;
    this.#ready.push(task);
    this.#fill();
  }

  /** Runs a task once more that had ended, on what is left of its batch. */
  again(task: Task<T, U>, message: Message<T>): void {
    task.message = message;
    task.outgoing = undefined;
    this.add(task);
  }

  /** Aborts what runs, and starts nothing more. What ends from now on is dropped and counted. */
  abandon(reason: Error): void {
    this.#lastToStart = -Infinity;
    this.#ready.clear();
    for (const task of this.#running) task.controller.abort(reason);
  }

  #fill(): void {
    while (this.#running.size < this.#options.concurrency) {
      const task = this.#ready.shift();
      if (task === undefined) return;
      if (task.place > this.#lastToStart) continue;
      this.#running.add(task);
      // The logger and the metrics are somebody else's code, and may throw.
      this.#run(task).catch((error: unknown) => {
        task.fail(error);
        this.#lastToStart = Math.min(this.#lastToStart, task.place);
        this.#options.onSettled(task);
      });
    }
  }

  async #run(task: Task<T, U>): Promise<void> {
    let attempts = 0;
    while (task.outgoing === undefined && !task.failed) {
      try {
        const result = await this.#options.fn(task.message, task.controller.signal);
        task.outgoing = task.message.replace(result);
      } catch (error) {
        attempts = await this.#failedOnce(task, error, attempts + 1);
      }
    }
    this.#running.delete(task);
    if (task.controller.signal.aborted) {
      this.#runtime.metrics.increment(MetricName.LATE_RESULTS, 1, { strategy: this.#options.strategy });
      return;
    }
    if (task.failed) this.#lastToStart = Math.min(this.#lastToStart, task.place);
    // Behind those that wait for room already.
    const following = this.#order.leave(task);
    if (following !== undefined) this.#ready.push(following);
    this.#fill();
    this.#options.onSettled(task);
  }

  /** Ends the task, or waits for the time of the next try. Returns how many tries count from then on. */
  async #failedOnce(task: Task<T, U>, error: unknown, attempts: number): Promise<number> {
    const { retry } = this.#options;
    const { signal } = task.controller;
    try {
      if (InvalidMessage.is(error)) {
        this.#invalid(task, error);
        return 0;
      }
      if (MessageRejected.is(error)) throw this.#misuse("threw MessageRejected. Use retry for that", error);
      if (signal.aborted || retry === undefined || !retry.isRetryable(error)) throw error;
      if (attempts >= retry.maxAttempts) {
        if (!retry.invalidates) throw error;
        this.#exhausted(task, error, attempts);
        return attempts;
      }
    } catch (thrown) {
      task.fail(thrown);
      return attempts;
    }
    const { clock, logger, metrics } = this.#runtime;
    const delayMs = retry.delayMs(attempts);
    logger.debug(
      { strategy: this.#options.strategy, attempts, delayMs, err: error },
      "A task failed and is tried again.",
    );
    metrics.increment(MetricName.TASK_RETRIES, 1, { strategy: this.#options.strategy });
    await backOff(clock, delayMs, signal);
    if (signal.aborted) task.fail(error);
    return attempts;
  }

  /** The function found its message invalid, or an item of its batch: then the rest of the batch is tried. */
  #invalid(task: Task<T, U>, error: InvalidMessage): void {
    if (isAbout(error, task.message)) {
      task.filter();
    } else {
      const rest = withoutItem(task.message, error);
      if (rest === undefined) {
        throw this.#misuse(
          `threw InvalidMessage about ${error.partition} offset ${error.offset}, which is not the message that it was given, nor in its batch`,
          error,
        );
      }
      if (isFiltered(rest)) task.filter();
      else task.message = rest;
    }
    takeOverCommit(error);
    task.invalid.push(error);
  }

  /** Every try was in vain, and that makes the message invalid; of a batch, every item. */
  #exhausted(task: Task<T, U>, cause: unknown, attempts: number): void {
    const { message } = task;
    const items: readonly Message<unknown>[] =
      message.partition === undefined && Array.isArray(message.payload) ? message.payload : [message];
    // The words of the error may hold anything, a payload included: its name must do.
    const name = cause instanceof Error ? cause.name : typeof cause;
    const reason = `${this.#options.strategy} gave up after ${attempts} attempts (${name})`;
    for (const item of items) {
      if (item.partition === undefined) {
        throw this.#misuse(
          `failed ${attempts} times, but onExhausted: "invalid" needs a message with a position, or a batch of such`,
          cause,
        );
      }
    }
    for (const item of items) {
      task.invalid.push(InvalidMessage.from(item, { reason, cause, needsCommit: false }));
    }
    task.filter();
  }

  #misuse(what: string, cause: unknown): InvalidStateError {
    return new InvalidStateError(`${this.#options.strategy}: its function ${what}.`, { cause });
  }
}
