import { ConfigurationError, MESSAGE_REJECTED } from "../errors.ts";
import { FILTERED_PAYLOAD, type FilteredPayload } from "../message/filtered.ts";
import { isFiltered, type Message, type Submitted } from "../message/message.ts";
import { MetricName } from "../metrics/names.ts";
import { Batch, type BatchContext } from "../workers/batch.ts";
import { BlockSize } from "../workers/block-size.ts";
import type { WorkerPool } from "../workers/pool.ts";
import type { WorkerTask } from "../workers/task.ts";
import { takeOverCommit } from "./invalid.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";

const LOG_OVERFLOW_EVERY_MS = 60_000;

const OVERFLOWS = {
  input: {
    metric: MetricName.WORKERS_INPUT_OVERFLOW,
    option: "inputBlockBytes (or maxInputBlockBytes)",
  },
  output: {
    metric: MetricName.WORKERS_OUTPUT_OVERFLOW,
    option: "outputBlockBytes (or maxOutputBlockBytes)",
  },
} as const;

/** How {@link RunTaskInWorkers} runs its task. */
export interface RunTaskInWorkersOptions<in T, out U> {
  /** What to run, see `workerTask`. */
  readonly task: WorkerTask<T, U>;
  /** The workers to run it in. */
  readonly pool: WorkerPool;
  /** A batch goes to a worker when it holds so many messages, */
  readonly maxBatchSize: number;
  /** or this long after its first message, in ms. */
  readonly maxBatchTimeMs: number;
  /**
   * The most bytes that a batch takes on its way to a worker: one that would become larger is split, and a message that is
   * larger by itself is an error. Default: as many as it takes, up to `maxInputBlockBytes`.
   */
  readonly inputBlockBytes?: number | undefined;
  /** The same for the results on their way back. Default: as many as it takes, up to `maxOutputBlockBytes`. */
  readonly outputBlockBytes?: number | undefined;
  /**
   * Bounds blocks whose size is automatic: a batch is split before it grows beyond this; only one single message may be
   * larger. Default 16 MiB.
   */
  readonly maxInputBlockBytes?: number | undefined;
  /** The same for the results on their way back. Default 16 MiB. */
  readonly maxOutputBlockBytes?: number | undefined;
  /**
   * How many batches may be there beyond one for each worker, so that a worker need not wait for its next one; 0 saves
   * memory. Default: one more for each worker. Beyond that, messages are rejected.
   */
  readonly prefetchBatches?: number | undefined;
}

/**
 * Runs a function on worker threads, for work that keeps a processor core busy, and hands its results on in the order in
 * which the messages came. (Arroyo's `RunTaskWithMultiprocessing`.)
 *
 * Messages cross to a worker in batches. Bytes, texts and Kafka payloads are written into one block of memory for the
 * batch, whose ownership then goes over without a copy; the results come back the same way. Any other payload or result
 * is copied by structured clone, so that it loses its class. In the worker the task gets a `Message` with payload,
 * partition, offset and timestamp; one batch is done message by message, also when the task is async.
 *
 * The task may throw
 * - InvalidMessage: the message goes to the dead letter queue, and is committed in its turn. Of a batch of messages
 *   (`BatchStep`) the invalid one is left out, and the task runs again on the rest.
 * - anything else, which surfaces in its turn, as it is, and ends the processor.
 *
 * When a worker dies (it exits, runs out of memory, or throws outside of the task), its batch is done again by another one,
 * at most three times, then a WorkerError surfaces: so the task may run more than once for a message, and its side effects
 * must bear that.
 *
 * A join that runs out of time, and `terminate`, abandon what is in work: a worker stops after the message that it is at, or
 * is ended when that takes longer than half a second, and no result of an old assignment ever comes to a new one.
 */
export class RunTaskInWorkers<T, U> implements ProcessingStrategy<T> {
  readonly name = "RunTaskInWorkers";
  readonly next: ProcessingStrategy<U>;
  readonly #pool: WorkerPool;
  readonly #maxBatchSize: number;
  readonly #maxBatchTimeMs: number;
  /** How many batches there may be. */
  readonly #maxBatches: number;
  readonly #lifecycle: Lifecycle = new Lifecycle("RunTaskInWorkers");
  readonly #outlet: Outlet<U>;
  #runtime: StrategyRuntime = detachedRuntime;
  #context: BatchContext;
  /** The batch that is being filled; not yet one of those below. */
  #open: Batch<T, U> | undefined;
  #openUntilMs = 0;
  /** What is with the pool, or has come back and has not been handed on, in order. */
  readonly #batches: Batch<T, U>[] = [];
  /**
   * What goes on in the place of an invalid message: with the next call, when the error is known to have been seen.
   * Otherwise its commit could be made before there is a dead letter.
   */
  #inPlace: Message<FilteredPayload> | undefined;
  /** When the next overflow may be logged. */
  readonly #nextLogMs = new Map<"input" | "output", number>();
  /** Once a join has begun, it alone hands results on: two callers at once could see two errors in the wrong order. */
  #joining = false;
  /** Ends the wait of a join for the next results. */
  #joinGoesOn: (() => void) | undefined;

  /** @throws ConfigurationError */
  constructor(options: RunTaskInWorkersOptions<T, U>, next: ProcessingStrategy<NoInfer<U>>) {
    const { task, pool, maxBatchSize, maxBatchTimeMs, prefetchBatches = pool.workers } = options;
    if (!Number.isInteger(maxBatchSize) || maxBatchSize < 1)
      refuse("maxBatchSize", maxBatchSize, "from 1 up");
    if (!(maxBatchTimeMs >= 0)) refuse("maxBatchTimeMs", maxBatchTimeMs, "from 0 up");
    if (!Number.isInteger(prefetchBatches) || prefetchBatches < 0) {
      refuse("prefetchBatches", prefetchBatches, "from 0 up");
    }
    this.next = next;
    this.#pool = pool;
    this.#maxBatchSize = maxBatchSize;
    this.#maxBatchTimeMs = maxBatchTimeMs;
    this.#maxBatches = pool.workers + prefetchBatches;
    this.#outlet = new Outlet(next);
    this.#context = {
      task: { module: task.module.href, exportName: task.exportName },
      input: new BlockSize("Input", options.inputBlockBytes, options.maxInputBlockBytes),
      output: new BlockSize("Output", options.outputBlockBytes, options.maxOutputBlockBytes),
      metrics: this.#runtime.metrics,
      logger: this.#runtime.logger,
      arrived: () => this.#arrived(),
      overflowed: (which, messages) => this.#overflowed(which, messages),
    };
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
    this.#context = { ...this.#context, metrics: runtime.metrics, logger: runtime.logger };
    this.#outlet.attach(runtime);
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (this.#open === undefined) {
      if (isFiltered(message) && this.#batches.length === 0) {
        if (this.#outlet.waiting && !this.#outlet.retry()) throw MESSAGE_REJECTED;
        this.next.submit(message);
        return;
      }
      this.#begin();
    }
    if (!this.#open!.add(message)) {
      this.#overflowed("input", this.#open!.size);
      this.#send();
      this.#begin();
      this.#open!.add(message);
    }
    if (this.#open!.size >= this.#maxBatchSize) this.#send();
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    this.#outlet.poll();
    if (!this.#joining) this.#forward();
    if (this.#open !== undefined && this.#runtime.clock.monotonicMs() >= this.#openUntilMs) this.#send();
  }

  close(): void {
    this.#lifecycle.close();
    if (this.#open !== undefined) this.#send();
  }

  terminate(): void {
    if (!this.#lifecycle.terminate()) return;
    this.#abandon();
    this.#joinGoesOn?.();
    this.#outlet.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      await this.#drain(deadline);
      if (!this.#lifecycle.terminated) await this.#outlet.finish(deadline);
    });
  }

  /** Opens a batch. @throws MessageRejected when there are as many as there may be. */
  #begin(): void {
    if (this.#batches.length >= this.#maxBatches) throw MESSAGE_REJECTED;
    this.#open = new Batch(this.#context);
    this.#openUntilMs = this.#runtime.clock.monotonicMs() + this.#maxBatchTimeMs;
    this.#runtime.wakeAt(this.#openUntilMs);
  }

  /** Sends the open batch to the pool. */
  #send(): void {
    const batch = this.#open!;
    this.#open = undefined;
    if (batch.size === 0) return;
    const { metrics } = this.#runtime;
    metrics.timing(MetricName.WORKERS_BATCH_MESSAGES, batch.size);
    metrics.timing(MetricName.WORKERS_BATCH_BYTES, batch.bytes);
    if (this.#context.input.saw(batch.bytes)) metrics.increment(MetricName.WORKERS_INPUT_RESIZE);
    this.#batches.push(batch);
    batch.run(this.#pool);
    this.#gauge();
  }

  /** Counts each batch that was split, and logs one a minute: where blocks are too small, every batch is split. */
  #overflowed(which: "input" | "output", messages: number): void {
    const { metrics, logger, clock } = this.#runtime;
    const { metric, option } = OVERFLOWS[which];
    metrics.increment(metric);
    const nowMs = clock.monotonicMs();
    if (nowMs < (this.#nextLogMs.get(which) ?? 0)) return;
    this.#nextLogMs.set(which, nowMs + LOG_OVERFLOW_EVERY_MS);
    const { maxBytes } = this.#context[which];
    logger.warn(
      { strategy: "RunTaskInWorkers", option, messages, maxBytes },
      which === "input"
        ? "A batch for workers was split, since its messages did not fit into one block: raise the option, or have smaller batches."
        : "A batch was split in its worker, since its results did not fit into one block: raise the option, or have smaller batches.",
    );
  }

  #arrived(): void {
    this.#runtime.wake();
    this.#joinGoesOn?.();
  }

  /** Hands on what has come back, in order, until the next step rejects it. */
  #forward(): void {
    if (this.#outlet.waiting && !this.#outlet.retry()) return;
    if (this.#inPlace !== undefined) {
      const inPlace = this.#inPlace;
      this.#inPlace = undefined;
      this.#outlet.push(inPlace);
      if (this.#outlet.waiting) return;
    }
    for (let batch = this.#batches[0]; batch !== undefined && !batch.inWork; batch = this.#batches[0]) {
      while (batch.ready) {
        this.#handOn(batch);
        if (!this.#outlet.waiting) continue;
        this.#runtime.metrics.increment(MetricName.WORKERS_BACKPRESSURE);
        return;
      }
      if (batch.finished) this.#batches.shift();
      else batch.run(this.#pool);
      this.#gauge();
    }
  }

  #handOn(batch: Batch<T, U>): void {
    const { message, result, invalid } = batch.next();
    if (result !== undefined) {
      this.#outlet.push(result);
      return;
    }
    // Of a batch of messages one was left out: what is left of the batch commits that one too.
    if (takeOverCommit(invalid) && message.partition !== undefined) {
      this.#inPlace = message.replace(FILTERED_PAYLOAD);
    }
    this.#runtime.wake();
    throw invalid;
  }

  /** Hands on everything, unless the deadline aborts before; what is left then is abandoned. */
  async #drain(deadline: AbortSignal): Promise<void> {
    this.#joining = true;
    const goOn = (): void => this.#joinGoesOn?.();
    deadline.addEventListener("abort", goOn);
    try {
      while (this.#batches.length > 0 && !deadline.aborted) {
        await this.#outlet.settle(deadline);
        this.#forward();
        if (this.#batches[0]?.inWork !== true) continue;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#joinGoesOn = resolve;
        await promise;
      }
    } finally {
      deadline.removeEventListener("abort", goOn);
    }
    if (this.#batches.length === 0) return;
    this.#runtime.logger.warn(
      { strategy: "RunTaskInWorkers", batches: this.#batches.length },
      "Work in workers was abandoned, since the time to finish it was over: it is done again by whoever has the partitions.",
    );
    this.#abandon();
  }

  #abandon(): void {
    this.#runtime.metrics.increment(MetricName.WORKERS_ABANDONED, this.#batches.length);
    for (const batch of this.#batches) this.#pool.cancel(batch);
    this.#batches.length = 0;
    this.#open = undefined;
    this.#inPlace = undefined;
    this.#gauge();
  }

  #gauge(): void {
    this.#runtime.metrics.gauge(MetricName.WORKERS_BATCHES_IN_PROGRESS, this.#batches.length);
    this.#runtime.metrics.gauge(MetricName.WORKERS_PROCESSES, this.#pool.workers);
  }
}

function refuse(option: string, value: unknown, range: string): never {
  throw new ConfigurationError(
    `RunTaskInWorkers: ${option} is ${String(value)}, but must be a number ${range}.`,
  );
}
