import { WorkerError, type InvalidMessage } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { isFiltered, type Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { MetricName } from "../metrics/names.ts";
import type { BlockSize } from "./block-size.ts";
import { BLOCK_FULL, BlockWriter } from "./block-writer.ts";
import type { WorkerJob } from "./job.ts";
import type { WorkerPool } from "./pool.ts";
import type { RunRequest, RunResults, TaskName } from "./protocol.ts";
import { Tag } from "./tags.ts";
import { unpackThrown, type Thrown } from "./thrown.ts";
import { ValueReader } from "./value-reader.ts";
import { ValueWriter } from "./value-writer.ts";

/** What batches of one strategy have in common. */
export interface BatchContext {
  readonly task: TaskName;
  readonly input: BlockSize;
  readonly output: BlockSize;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Called when there is something to hand on. */
  readonly arrived: () => void;
  /** Called when a batch was split after so many messages, since a block was full. */
  readonly overflowed: (which: "input" | "output", messages: number) => void;
}

/** Messages as they lie in a block. */
interface Written {
  readonly block: BlockWriter;
  readonly values: ValueWriter;
}

/** What became of a message: what goes on, or why it is invalid. */
export type Outcome<T, U> =
  | { readonly message: Submitted<T>; readonly result: Submitted<U>; readonly invalid: undefined }
  | { readonly message: Submitted<T>; readonly result: undefined; readonly invalid: InvalidMessage };

/**
 * A batch on its whole way: filled message by message, done by a worker, and then handed on result by result.
 *
 * The messages are kept until their results have gone on: these take partition, offset and timestamp from them, and
 * a batch whose worker died is written again.
 */
export class Batch<T, U> implements WorkerJob {
  readonly #context: BatchContext;
  readonly #messages: Submitted<T>[] = [];
  #written: Written | undefined;
  #bytes = 0;
  /** The message whose result goes on next. */
  #position = 0;
  #results: ValueReader | undefined;
  /** The first message whose result has not come: where that begins which a worker has, or is to do. */
  #resultsEnd = 0;
  #failure: Error | undefined;
  #needsWorker = false;
  #inWork = false;

  constructor(context: BatchContext) {
    this.#context = context;
  }

  get metrics(): Metrics {
    return this.#context.metrics;
  }

  get logger(): Logger {
    return this.#context.logger;
  }

  /** How many messages there are. */
  get size(): number {
    return this.#messages.length;
  }

  /** How many bytes they took when they were written first. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds a message. Returns false when there is no room for it any more; the first one has room, whatever its size, if
   * the block's size is automatic.
   *
   * @throws WorkerError for a message that is larger than a fixed block, or that cannot cross to a worker.
   */
  add(message: Submitted<T>): boolean {
    const { input } = this.#context;
    this.#written ??= written(input);
    const { block, values } = this.#written;
    if (this.size === 0 && !input.fixed) block.limit = Infinity;
    try {
      values.message(message);
    } catch (cause) {
      if (cause === BLOCK_FULL && this.size > 0) return false;
      throw cause === BLOCK_FULL ? tooLarge(message, input.maxBytes) : unclonable(message, cause);
    }
    block.limit = input.maxBytes;
    this.#messages.push(message);
    this.#bytes = block.at;
    this.#needsWorker ||= !isFiltered(message);
    return true;
  }

  /** Has the batch done, or what is left of it. Filtered messages alone need no worker. */
  run(pool: WorkerPool): void {
    if (this.#needsWorker) {
      this.#inWork = true;
      // What is left goes first: the results of all other batches wait for it.
      pool.run(this, this.#resultsEnd > 0);
    } else {
      this.#written = undefined;
      this.#resultsEnd = this.size;
      this.#context.arrived();
    }
  }

  request(): Omit<RunRequest, "id"> {
    const { task, output } = this.#context;
    const { block, values } = this.#written ?? this.#writeAgain();
    this.#written = undefined;
    return {
      task,
      count: this.size - this.#resultsEnd,
      block: block.take(),
      partitions: values.partitions,
      output: { bytes: output.bytes, maxBytes: output.maxBytes, fixed: output.fixed },
    };
  }

  describe(index: number): string {
    return position(this.#messages[this.#resultsEnd + index]!);
  }

  done(results: RunResults): void {
    this.#inWork = false;
    const { output, metrics } = this.#context;
    metrics.timing(MetricName.WORKERS_OUTPUT_MESSAGES, results.count);
    metrics.timing(MetricName.WORKERS_OUTPUT_BYTES, results.bytes);
    if (results.full) this.#context.overflowed("output", results.count);
    if (output.saw(results.bytes)) metrics.increment(MetricName.WORKERS_OUTPUT_RESIZE);
    this.#results = new ValueReader(results.block, results.partitions);
    this.#resultsEnd += results.count;
    this.#context.arrived();
  }

  failed(error: Error, index: number): void {
    this.#inWork = false;
    this.#failure = error;
    this.logger.error({ err: error }, `RunTaskInWorkers failed at ${this.describe(index)}.`);
    this.#context.arrived();
  }

  /** Whether its results, or those of its rest, are still to come. */
  get inWork(): boolean {
    return this.#inWork;
  }

  /** Whether something is there to be handed on, or the failure in its place. */
  get ready(): boolean {
    return this.#failure !== undefined || this.#position < this.#resultsEnd;
  }

  /** Whether everything has been handed on. */
  get finished(): boolean {
    return this.#position === this.size;
  }

  /**
   * What became of the next message, which is handed on with this. Only when `ready`.
   *
   * @throws whatever the task threw for it, or the failure of the batch; these come again with each call.
   */
  next(): Outcome<T, U> {
    if (this.#failure !== undefined) throw this.#failure;
    const message = this.#messages[this.#position]!;
    const results = this.#results;
    if (results === undefined) {
      this.#position++;
      return { message, result: message as Submitted<never>, invalid: undefined };
    }
    const tag = results.peek();
    const value = results.value();
    if (tag === Tag.ERROR) {
      this.#failure = unpackThrown(value as Thrown);
      this.logger.error({ err: this.#failure }, `A task failed in a worker at ${position(message)}.`);
      throw this.#failure;
    }
    if (tag === Tag.LEFT_OUT) {
      return { message, result: undefined, invalid: unpackThrown(value as Thrown) as InvalidMessage };
    }
    this.#position++;
    if (tag === Tag.INVALID) {
      return { message, result: undefined, invalid: unpackThrown(value as Thrown) as InvalidMessage };
    }
    return { message, result: message.replace(value) as Submitted<U>, invalid: undefined };
  }

  /** The rest, after an overflow of the output, or the whole after the death of a worker. */
  #writeAgain(): Written {
    const again = written(this.#context.input);
    again.block.limit = Infinity;
    for (let i = this.#resultsEnd; i < this.size; i++) again.values.message(this.#messages[i]!);
    return again;
  }
}

function written(size: BlockSize): Written {
  const block = new BlockWriter(size.bytes, size.maxBytes);
  return { block, values: new ValueWriter(block) };
}

function position(message: Submitted<unknown>): string {
  if (message.partition !== undefined) return positionOf(message.partition, message.offset);
  const until = Array.from(message.committable, ([partition, offset]) => positionOf(partition, offset));
  return `a derived message that commits ${until.join(", ") || "nothing"}`;
}

function positionOf({ topic, index }: Partition, offset: number): string {
  return `${topic.name}[${index}] offset ${offset}`;
}

function tooLarge(message: Submitted<unknown>, maxBytes: number): WorkerError {
  return new WorkerError(
    `The message at ${position(message)} is too large: it does not fit into inputBlockBytes (${maxBytes}) even alone. ` +
      "Raise it, or leave it out to have blocks grow by themselves.",
  );
}

function unclonable(message: Submitted<unknown>, cause: unknown): WorkerError {
  return new WorkerError(
    `The message at ${position(message)} cannot be sent to a worker: structured clone does not take its payload ` +
      `(functions, promises and the like cannot cross): ${cause instanceof Error ? cause.message : String(cause)}`,
    { cause },
  );
}
