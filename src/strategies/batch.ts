import type { InvalidMessage } from "../errors.ts";
import { isFiltered, type Message, type Submitted } from "../message/message.ts";
import { type BatchLimits, checkBatchLimits, LimitedBuffer } from "./batch-limits.ts";
import { BufferStep } from "./buffer.ts";
import { withoutItem } from "./invalid.ts";
import type { ProcessingStrategy } from "./strategy.ts";

/** When a batch is complete. */
export interface BatchOptions<T> extends BatchLimits<T> {}

/**
 * Collects messages into batches, up to a size or a time, and hands each batch on as one message, whose commit covers
 * all of them. (Arroyo's `BatchStep`.)
 *
 * The batch keeps the messages as they came, with partition and offset. So a step behind this one may throw
 * {@link InvalidMessage} about one of them: that one goes to the dead letter queue, and the batch comes again without
 * it. `UnbatchStep` takes a batch apart again.
 *
 * What is said of {@link BufferStep} about filtered messages and back-pressure holds here.
 */
export class BatchStep<T> extends BufferStep<T, readonly Message<T>[]> {
  /** @throws ConfigurationError for a limit that is none. */
  constructor(options: BatchOptions<T>, next: ProcessingStrategy<readonly Message<T>[]>) {
    checkBatchLimits("BatchStep", options);
    super(new BatchBuffer(options), next);
  }

  override get name(): string {
    return "BatchStep";
  }

  protected override without(
    flushed: Submitted<readonly Message<T>[]>,
    error: InvalidMessage,
  ): Submitted<readonly Message<T>[]> | undefined {
    return isFiltered(flushed) ? undefined : withoutItem(flushed, error);
  }
}

class BatchBuffer<T> extends LimitedBuffer<T, readonly Message<T>[]> {
  readonly value: Message<T>[] = [];

  fresh(): BatchBuffer<T> {
    return new BatchBuffer(this.limits);
  }

  protected add(message: Message<T>): void {
    this.value.push(message);
  }
}
