import type { Message } from "../message/message.ts";
import { type BatchLimits, checkBatchLimits, LimitedBuffer } from "./batch-limits.ts";
import { BufferStep } from "./buffer.ts";
import type { ProcessingStrategy } from "./strategy.ts";
import { assertSync, type Sync } from "./sync.ts";

/** When a {@link Reduce} is complete, and how it adds up. */
export interface ReduceOptions<T, U> extends BatchLimits<T> {
  /**
   * Adds a message to what was made of those before it, and returns the new value. May throw InvalidMessage: then the
   * value stays as it was.
   */
  readonly accumulator: (accumulated: U, message: Message<T>) => Sync<U>;
  /** The value that a batch starts with. Called for each batch, so that it may be changed in place. */
  readonly initialValue: () => Sync<U>;
}

/**
 * Makes one value of many messages, up to a size or a time, and hands it on as one message, whose commit covers all of
 * them. (Arroyo's `Reduce`.)
 *
 * ```ts
 * new Reduce({
 *   maxBatchSize: 1_000,
 *   maxBatchTimeMs: 5_000,
 *   initialValue: () => new Map<string, number>(),
 *   accumulator: (counts, message: Message<string>) =>
 *     counts.set(message.payload, (counts.get(message.payload) ?? 0) + 1),
 * }, next)
 * ```
 *
 * What is said of {@link BufferStep} about filtered and invalid messages and back-pressure holds here.
 */
export class Reduce<T, U> extends BufferStep<T, U> {
  /** @throws ConfigurationError for a limit that is none. */
  constructor(options: ReduceOptions<T, U>, next: ProcessingStrategy<NoInfer<U>>) {
    checkBatchLimits("Reduce", options);
    super(new ReduceBuffer(options), next);
  }

  override get name(): string {
    return "Reduce";
  }
}

class ReduceBuffer<T, U> extends LimitedBuffer<T, U> {
  readonly #options: ReduceOptions<T, U>;
  #value: U;

  constructor(options: ReduceOptions<T, U>) {
    super(options);
    this.#options = options;
    this.#value = checked(options.initialValue());
  }

  get value(): U {
    return this.#value;
  }

  fresh(): ReduceBuffer<T, U> {
    return new ReduceBuffer(this.#options);
  }

  protected add(message: Message<T>): void {
    this.#value = checked(this.#options.accumulator(this.#value, message));
  }
}

function checked<U>(value: Sync<U>): U {
  if (typeof value === "object") assertSync("Reduce", value);
  return value as U;
}
