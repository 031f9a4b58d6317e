import type { WorkerJob } from "../../src/workers/job.ts";
import type { WorkerPool } from "../../src/workers/pool.ts";
import { Shared } from "../../src/workers/protocol.ts";
import { runBatch, type TaskFunction } from "../../src/workers/run-batch.ts";

/**
 * A pool without threads: one "worker", which is this thread, so that suites with a turned clock can run on it. What
 * crosses is written and read as for a real worker.
 */
export class InlinePool {
  readonly workers = 1;
  readonly #task: TaskFunction;
  readonly #queue: WorkerJob[] = [];
  #current: WorkerJob | undefined;

  private constructor(task: TaskFunction) {
    this.#task = task;
  }

  static of(task: TaskFunction): WorkerPool {
    return new InlinePool(task) as unknown as WorkerPool;
  }

  run(job: WorkerJob, first: boolean): void {
    if (first) this.#queue.unshift(job);
    else this.#queue.push(job);
    if (this.#current === undefined) void this.#next();
  }

  cancel(job: WorkerJob): void {
    if (this.#current === job) this.#current = undefined;
    const at = this.#queue.indexOf(job);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  async #next(): Promise<void> {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      this.#current = job;
      const request = { id: 1, ...job.request() };
      const results = await runBatch(request, async () => this.#task, new Int32Array(Shared.LENGTH));
      if (this.#current !== job) continue;
      this.#current = undefined;
      job.done(results);
    }
  }
}
