import { InvalidMessage, MessageRejected } from "../../src/errors.ts";
import type { Logger, LogFields } from "../../src/logger.ts";
import { BrokerMessage, type Submitted } from "../../src/message/message.ts";
import { RunTaskInWorkers, type RunTaskInWorkersOptions } from "../../src/strategies/run-task-in-workers.ts";
import type { ProcessingStrategy } from "../../src/strategies/strategy.ts";
import { WorkerPool, type WorkerPoolOptions } from "../../src/workers/pool.ts";
import { workerTask, type WorkerTask } from "../../src/workers/task.ts";
import { P0, Sink, TestRuntime, attach, noDeadline } from "../strategies/fixtures.ts";
import type * as tasks from "./tasks.ts";

export const TASKS: URL = new URL("./tasks.ts", import.meta.url);

/** Tasks of test/workers/tasks.ts, by name. */
export const task: ReturnType<typeof workerTask<typeof tasks>> = workerTask<typeof tasks>();

/** The task that returns its payload: a generic function, whose types nothing can infer. */
export function same<T>(): WorkerTask<T, T> {
  return task(TASKS, "same") as WorkerTask<T, T>;
}

/** Hears which offsets tasks are at, from when it is made. */
export class Announcements implements Disposable {
  readonly #channel = new BroadcastChannel("arroyo-test-tasks");
  readonly #heard = new Set<number>();
  #heardMore = Promise.withResolvers<void>();

  constructor() {
    this.#channel.onmessage = ({ data }: { data: unknown }) => {
      this.#heard.add(data as number);
      this.#heardMore.resolve();
    };
  }

  /** Resolves when a task has begun the message at this offset. */
  async begun(offset: number): Promise<void> {
    while (!this.#heard.has(offset)) {
      await this.#heardMore.promise;
      this.#heardMore = Promise.withResolvers();
    }
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }
}

/** Lets tasks go on that wait for it. */
export function goOn(): void {
  const channel = new BroadcastChannel("arroyo-test-go");
  channel.postMessage("go");
  channel.close();
}

/** A logger that remembers. */
export class RecordingLogger implements Logger {
  readonly lines: { readonly level: string; readonly fields: LogFields; readonly message: string }[] = [];
  #waiting: { readonly text: string; readonly found: () => void }[] = [];

  debug(fields: LogFields, message: string): void {
    this.#note("debug", fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#note("info", fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#note("warn", fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#note("error", fields, message);
  }

  /** Resolves when a line with this text has been logged. */
  async logged(text: string): Promise<void> {
    if (this.has(text)) return;
    await new Promise<void>((found) => this.#waiting.push({ text, found }));
  }

  has(text: string): boolean {
    return this.lines.some(({ message }) => message.includes(text));
  }

  #note(level: string, fields: LogFields, message: string): void {
    this.lines.push({ level, fields, message });
    for (const { text, found } of this.#waiting) if (message.includes(text)) found();
  }
}

/** A runtime whose wakes can be waited for. */
export class WakingRuntime extends TestRuntime {
  override readonly logger: RecordingLogger = new RecordingLogger();
  #woken = Promise.withResolvers<void>();

  override wake(): void {
    super.wake();
    this.#woken.resolve();
  }

  /** Resolves at the next wake, or at once if there was one since the last call. */
  async woken(): Promise<void> {
    await this.#woken.promise;
    this.#woken = Promise.withResolvers();
  }
}

/** What a processor does with a RunTaskInWorkers, as far as it matters here. */
export class Driver<T, U> {
  readonly runtime: WakingRuntime = new WakingRuntime();
  readonly sink: Sink<U> = new Sink<U>();
  readonly step: RunTaskInWorkers<T, U>;
  /** The invalid messages that were reported, in order, with how much had gone on by then. */
  readonly invalid: { readonly error: InvalidMessage; readonly after: number }[] = [];
  #offset = 0;

  constructor(
    pool: WorkerPool,
    options: Pick<RunTaskInWorkersOptions<T, U>, "task"> & Partial<RunTaskInWorkersOptions<T, U>>,
    /** What stands between the step and the sink. */
    between: (sink: Sink<U>) => ProcessingStrategy<U> = (sink) => sink,
  ) {
    this.step = new RunTaskInWorkers<T, U>(
      { pool, maxBatchSize: 3, maxBatchTimeMs: 1_000, ...options },
      between(this.sink),
    );
    attach(this.step, this.runtime);
  }

  /** What has gone on: payloads, in order. */
  get results(): unknown[] {
    return this.sink.messages.map(({ payload }) => payload);
  }

  /** Submits payloads as messages at offsets 0, 1, 2 and so on, waiting whenever they are rejected. */
  async submit(...payloads: readonly T[]): Promise<void> {
    for (const payload of payloads) {
      await this.submitMessage(new BrokerMessage(payload, P0, this.#offset, 1_000 + this.#offset));
      this.#offset++;
    }
  }

  async submitMessage(message: Submitted<T>): Promise<void> {
    while (!this.#try(() => this.step.submit(message))) {
      await this.runtime.woken();
      this.poll();
    }
  }

  /** Polls; notes what is invalid, and goes on. */
  poll(): void {
    while (!this.#try(() => this.step.poll()));
  }

  /** Polls at each wake until something is so. Rejects with what a poll throws. */
  async until(condition: () => boolean): Promise<void> {
    for (this.poll(); !condition(); this.poll()) await this.runtime.woken();
  }

  /** Closes and joins, and polls meanwhile. */
  async finish(deadline: AbortSignal = noDeadline()): Promise<void> {
    this.step.close();
    for (;;) {
      try {
        let joined = false;
        const join = this.step.join(deadline).finally(() => {
          joined = true;
          this.runtime.wake();
        });
        // It is awaited below; until then its rejection is nobody's.
        join.catch(() => {});
        while (!joined) {
          await this.runtime.woken();
          if (!joined) this.poll();
        }
        await join;
        return;
      } catch (error) {
        this.#note(error);
      }
    }
  }

  /** Submits everything, and returns what came out. */
  async run(...payloads: readonly T[]): Promise<unknown[]> {
    await this.submit(...payloads);
    await this.finish();
    return this.results;
  }

  /** Returns false if it has to be tried again. */
  #try(call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      if (!MessageRejected.is(error)) this.#note(error);
      return false;
    }
  }

  #note(error: unknown): void {
    if (!InvalidMessage.is(error)) throw error;
    this.invalid.push({ error, after: this.sink.messages.length });
  }
}

/** A pool for tests: of one worker, unless they say otherwise. */
export function makePool(options: Partial<WorkerPoolOptions> = {}): WorkerPool {
  return new WorkerPool({ workers: 1, logger: new RecordingLogger(), ...options });
}
