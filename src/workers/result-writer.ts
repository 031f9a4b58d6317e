import { WorkerError, type InvalidMessage } from "../errors.ts";
import { BLOCK_FULL, BlockWriter } from "./block-writer.ts";
import type { BlockBounds, RunResults } from "./protocol.ts";
import { Tag } from "./tags.ts";
import { ValueWriter } from "./value-writer.ts";

/** Collects what became of the messages of a batch, in the block that goes back. */
export class ResultWriter {
  readonly #bounds: BlockBounds;
  readonly #block: BlockWriter;
  readonly #values: ValueWriter;
  #count = 0;
  #full = false;
  #failed = false;

  constructor(bounds: BlockBounds) {
    this.#bounds = bounds;
    this.#block = new BlockWriter(bounds.bytes, bounds.maxBytes);
    this.#values = new ValueWriter(this.#block);
  }

  /** Whether nothing more may be added. */
  get ended(): boolean {
    return this.#full || this.#failed;
  }

  /** A message that was filtered out further up: its place is kept. */
  filtered(): void {
    this.#write(() => this.#values.filtered());
    this.#count++;
  }

  /** What a task returned. @throws WorkerError when that cannot be sent back. */
  add(result: unknown): void {
    const start = this.#block.at;
    try {
      this.#write(() => this.#values.value(result));
    } catch (cause) {
      throw new WorkerError(
        "The result of a task cannot be sent back from its worker: it is neither bytes, text nor a KafkaPayload, and " +
          "structured clone does not take it (functions, promises and the like cannot cross): " +
          (cause instanceof Error ? cause.message : String(cause)),
        { cause },
      );
    }
    const size = this.#block.at - start;
    if (this.#bounds.fixed && size > this.#bounds.maxBytes) {
      this.#block.at = start;
      throw new WorkerError(
        `The result of a task takes ${size} bytes, but no more than outputBlockBytes (${this.#bounds.maxBytes}) can be ` +
          "sent back at once: raise it, or leave it out to have blocks grow by themselves.",
      );
    }
    this.#count++;
  }

  /** The message is invalid: this instead of its result. */
  invalid(error: InvalidMessage): void {
    this.#write(() => this.#values.thrown(Tag.INVALID, error));
    this.#count++;
  }

  /** A part of the message is invalid; its result is still to come. */
  leftOut(error: InvalidMessage): void {
    this.#write(() => this.#values.thrown(Tag.LEFT_OUT, error));
  }

  /** The task failed: this instead of a result, and the end. */
  failed(error: unknown): void {
    this.#failed = true;
    this.#write(() => this.#values.thrown(Tag.ERROR, error));
    this.#count++;
  }

  finish(id: number): RunResults {
    return {
      kind: "results",
      id,
      count: this.#count,
      block: this.#block.take(),
      bytes: this.#block.at,
      partitions: this.#values.partitions,
      full: this.#full,
    };
  }

  /**
   * What does not fit any more is written all the same, and the batch ends behind it: the task must not run twice for
   * one message.
   */
  #write(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (error !== BLOCK_FULL) throw error;
      this.#full = true;
      this.#block.limit = Infinity;
      write();
    }
  }
}
