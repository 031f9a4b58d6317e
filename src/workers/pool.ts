import type { ResourceLimits } from "node:worker_threads";
import { systemClock, type Clock, type ClockTimer } from "../clock.ts";
import { ConfigurationError, InvalidStateError, WorkerError } from "../errors.ts";
import { limitedLogger, type LimitedLogger } from "../log-limit.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import { MetricName } from "../metrics/names.ts";
import type { WorkerJob } from "./job.ts";
import type { RunResults, TaskName } from "./protocol.ts";
import { StallWatch } from "./stall-watch.ts";
import type { WorkerTask } from "./task.ts";
import { WorkerThread, type WorkerEnd } from "./worker-thread.ts";

/** How often a batch is done again after the worker that had it died. */
const MAX_REDOS = 3;

/** How long a worker whose batch was cancelled may go on with the message that it is at before it is ended. */
const CANCEL_GRACE_MS = 500;

const MAX_ID = 2 ** 31 - 1;

/** How a {@link WorkerPool} is made. */
export interface WorkerPoolOptions {
  /** How many worker threads: about as many as there are cores to spare. Each takes some 40 MB, and what tasks load. */
  readonly workers: number;
  /**
   * Run in each worker before its first batch; it may be async. Made with `workerTask`. A worker whose initializer
   * throws takes no work: the batch that it was meant to do fails with a WorkerError.
   */
  readonly initializer?: WorkerTask<unknown, unknown> | undefined;
  /**
   * A worker that is at one message for longer than this is ended, and the batch fails with a WorkerError. In ms,
   * default 180,000 (as in Arroyo).
   */
  readonly stallTimeoutMs?: number | undefined;
  /** Limits of each worker's memory: one that goes beyond them dies alone, and not the process with it. */
  readonly resourceLimits?: ResourceLimits | undefined;
  /** For what happens while a worker is idle; all else goes to the logger of the strategy. Default: standard error. */
  readonly logger?: Logger | undefined;
  /** For the stall timeout. Default: the machine's clock. */
  readonly clock?: Clock | undefined;
}

interface QueuedJob {
  readonly job: WorkerJob;
  deaths: number;
}

/** A worker, and what it does now. */
interface Post {
  readonly thread: WorkerThread;
  readonly watch: StallWatch;
  /** The id of what it does now, also when that was cancelled; 0 when it is idle. */
  id: number;
  /** Undefined when it is idle, or when its job was cancelled or has failed. */
  queued: QueuedJob | undefined;
  /** Ends it if it goes on with a cancelled job for too long. */
  grace: ClockTimer | undefined;
}

/**
 * Worker threads that run tasks for `RunTaskInWorkers`. Make it once and hand it to each strategy that the factory
 * creates: it outlives assignments, so that a rebalance does not start workers anew. Several strategies may share one.
 * Dispose of it when the processor has ended. (Arroyo's `MultiprocessingPool`.)
 *
 * A worker that dies is replaced when there is work for it; its batch is done again, at most three times, so
 * side effects of a task may repeat.
 */
export class WorkerPool implements AsyncDisposable {
  readonly workers: number;
  readonly stallTimeoutMs: number;
  readonly #initializer: TaskName | undefined;
  readonly #resourceLimits: ResourceLimits | undefined;
  readonly #logger: LimitedLogger;
  readonly #clock: Clock;
  readonly #posts = new Set<Post>();
  #queue: QueuedJob[] = [];
  #nextId = 1;
  #started = 0;
  #closing: Promise<void> | undefined;

  /** @throws ConfigurationError */
  constructor(options: WorkerPoolOptions) {
    const { workers, stallTimeoutMs = 180_000, initializer } = options;
    if (!Number.isInteger(workers) || workers < 1) {
      throw new ConfigurationError(
        `WorkerPool: workers is ${workers}, but must be a whole number from 1 up.`,
      );
    }
    if (!(stallTimeoutMs > 0)) {
      throw new ConfigurationError(`WorkerPool: stallTimeoutMs is ${stallTimeoutMs}, but must be above 0.`);
    }
    this.workers = workers;
    this.stallTimeoutMs = stallTimeoutMs;
    this.#initializer = initializer && {
      module: initializer.module.href,
      exportName: initializer.exportName,
    };
    this.#resourceLimits = options.resourceLimits;
    this.#logger = limitedLogger(options.logger ?? stderrLogger, systemClock);
    this.#clock = options.clock ?? systemClock;
    for (let i = 0; i < workers; i++) this.#start();
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Ends the workers, whatever they do, and resolves when they have ended. Batches that were not done fail with an
   * InvalidStateError.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#endAll());
  }

  async #endAll(): Promise<void> {
    const unfinished = [...this.#posts].flatMap(({ queued }) => queued ?? []).concat(this.#queue);
    this.#queue = [];
    const ended = Array.from(this.#posts, (post) => this.#end(post));
    for (const { job } of unfinished) {
      job.failed(new InvalidStateError("The WorkerPool was closed before the work was done."), 0);
    }
    await Promise.all(ended);
    this.#logger.flush();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Has a job done as soon as a worker is free.
   *
   * @internal
   * @param first whether it goes before all others: it is what is left of a job whose results are waited for.
   */
  run(job: WorkerJob, first: boolean = false): void {
    if (this.closed) {
      throw new InvalidStateError(
        "The WorkerPool is closed: dispose of it only when no strategy uses it any more.",
      );
    }
    if (first) this.#queue.unshift({ job, deaths: 0 });
    else this.#queue.push({ job, deaths: 0 });
    this.#assign();
  }

  /**
   * Forgets a job: neither of its callbacks will be called. A worker that is at it stops after the message that it is at,
   * or is ended.
   *
   * @internal
   */
  cancel(job: WorkerJob): void {
    this.#queue = this.#queue.filter((queued) => queued.job !== job);
    for (const post of this.#posts) {
      if (post.queued?.job !== job) continue;
      post.thread.cancel(post.id);
      this.#release(post);
      post.grace = this.#clock.setTimeout(() => void this.#end(post), CANCEL_GRACE_MS);
    }
  }

  #assign(): void {
    while (this.#queue.length > 0) {
      const post = this.#idle();
      if (post === undefined) return;
      this.#send(post, this.#queue.shift()!);
    }
  }

  #idle(): Post | undefined {
    for (const post of this.#posts) if (post.id === 0) return post;
    return this.#posts.size < this.workers ? this.#start() : undefined;
  }

  #send(post: Post, queued: QueuedJob): void {
    post.queued = queued;
    post.id = this.#nextId;
    this.#nextId = this.#nextId === MAX_ID ? 1 : this.#nextId + 1;
    try {
      post.thread.run({ id: post.id, ...queued.job.request() });
    } catch (error) {
      this.#release(post);
      post.id = 0;
      queued.job.failed(asWorkerError(error), 0);
      return;
    }
    post.watch.start();
  }

  #start(): Post {
    const thread = new WorkerThread({
      name: `arroyo-worker-${++this.#started}`,
      initializer: this.#initializer,
      resourceLimits: this.#resourceLimits,
      onResults: (results) => this.#onResults(post, results),
      onEnd: (end) => this.#onEnd(post, end),
    });
    const watch = new StallWatch(
      this.#clock,
      this.stallTimeoutMs,
      () => thread.begun,
      () => this.#onStall(post),
    );
    const post: Post = { thread, watch, id: 0, queued: undefined, grace: undefined };
    this.#posts.add(post);
    return post;
  }

  /** What the worker does now is nobody's any more. */
  #release(post: Post): QueuedJob | undefined {
    const { queued } = post;
    post.queued = undefined;
    post.watch.stop();
    post.thread.rest();
    return queued;
  }

  /** Ends a worker; whatever comes from it from now on is nobody's. Another one takes its place if there is work. */
  #end(post: Post): Promise<void> {
    this.#release(post);
    this.#forget(post);
    this.#assign();
    return post.thread.terminate();
  }

  /** Returns whether the worker was one of the pool's until now. */
  #forget(post: Post): boolean {
    post.grace?.cancel();
    return this.#posts.delete(post);
  }

  #onResults(post: Post, results: RunResults): void {
    if (!this.#posts.has(post)) return;
    post.id = 0;
    post.grace?.cancel();
    post.grace = undefined;
    const queued = this.#release(post);
    // The worker's next batch before anything else: it would stand idle meanwhile.
    this.#assign();
    queued?.job.done(results);
  }

  #onStall(post: Post): void {
    const { begun } = post.thread;
    const { job } = post.queued!;
    void this.#end(post);
    job.metrics.increment(MetricName.WORKER_STALLED);
    job.failed(
      new WorkerError(
        `A worker did not go on for ${this.stallTimeoutMs} ms (stallTimeoutMs) ${at(job, begun - 1)}, and was ended.`,
      ),
      Math.max(0, begun - 1),
    );
  }

  #onEnd(post: Post, end: WorkerEnd): void {
    if (!this.#forget(post)) return;
    const queued = this.#release(post);
    if (queued === undefined) this.#endedIdle(end);
    else if (end.wasReady) this.#died(queued, end);
    else this.#notStarted(queued, end);
    this.#assign();
  }

  #endedIdle({ error, wasReady }: WorkerEnd): void {
    this.#logger.error(
      { err: error },
      wasReady
        ? "A worker died while it was idle, or with work that was given up; it is replaced when there is work."
        : "A worker could not be started.",
    );
  }

  #notStarted({ job }: QueuedJob, { error }: WorkerEnd): void {
    const what =
      this.#initializer === undefined ? "" : ` (its initializer is ${this.#initializer.exportName})`;
    job.failed(
      new WorkerError(`A worker could not be started${what}: ${error.message}`, { cause: error }),
      0,
    );
  }

  #died(queued: QueuedJob, { error, index }: WorkerEnd): void {
    const { job } = queued;
    const where = at(job, index);
    queued.deaths++;
    job.metrics.increment(MetricName.WORKER_DIED);
    if (queued.deaths <= MAX_REDOS) {
      job.logger.warn(
        { err: error, deaths: queued.deaths },
        `A worker died ${where}; its batch is done again.`,
      );
      this.#queue.unshift(queued);
      return;
    }
    job.failed(
      new WorkerError(
        `A worker died ${where}, and so did ${MAX_REDOS} others that had the same batch before: ${error.message}`,
        { cause: error },
      ),
      Math.max(0, index),
    );
  }
}

function asWorkerError(cause: unknown): WorkerError {
  return new WorkerError("A batch cannot be sent to a worker.", { cause });
}

function at(job: WorkerJob, index: number): string {
  return index < 0 ? "before it had begun a message" : `at ${job.describe(index)}`;
}
