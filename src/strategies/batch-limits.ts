import { ConfigurationError, InvalidStateError } from "../errors.ts";
import type { Message } from "../message/message.ts";
import type { MessageBuffer } from "./buffer.ts";

/** When a batch is full. Whatever comes first. */
export interface BatchLimits<T> {
  /** How many messages a batch has at most; with `computeBatchSize`, how big it gets before it is handed on. */
  readonly maxBatchSize: number;
  /** How long after its first message a batch is handed on at the latest, in ms. */
  readonly maxBatchTimeMs: number;
  /** How long after its latest message a batch is handed on at the latest, in ms. Default: no such limit. */
  readonly maxIdleTimeMs?: number | undefined;
  /** What a message adds to the size of a batch, 0 included. Default: 1 for each. */
  readonly computeBatchSize?: ((message: Message<T>) => number) | undefined;
}

/** @throws ConfigurationError naming the strategy, the limit and what it may be. */
export function checkBatchLimits(strategy: string, limits: BatchLimits<never>): void {
  const { maxBatchSize, maxBatchTimeMs, maxIdleTimeMs } = limits;
  if (!(maxBatchSize > 0)) {
    throw new ConfigurationError(
      `${strategy}: maxBatchSize is ${maxBatchSize}, but must be a number above 0.`,
    );
  }
  for (const [name, value] of Object.entries({ maxBatchTimeMs, maxIdleTimeMs })) {
    if (value !== undefined && !(value >= 0)) {
      throw new ConfigurationError(
        `${strategy}: ${name} is ${value}, but must be a number of milliseconds from 0 up.`,
      );
    }
  }
}

/** A buffer that is full by {@link BatchLimits}. */
export abstract class LimitedBuffer<T, U> implements MessageBuffer<T, U> {
  protected readonly limits: BatchLimits<T>;
  #size = 0;
  // Of its own, since a batch of messages of size 0 is not empty.
  #isEmpty = true;

  constructor(limits: BatchLimits<T>) {
    this.limits = limits;
  }

  abstract readonly value: U;

  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  get isReady(): boolean {
    return this.#size >= this.limits.maxBatchSize;
  }

  get maxTimeMs(): number {
    return this.limits.maxBatchTimeMs;
  }

  get maxIdleTimeMs(): number | undefined {
    return this.limits.maxIdleTimeMs;
  }

  append(message: Message<T>): void {
    // First, so that a message that it finds invalid is not in the batch.
    const size = this.limits.computeBatchSize?.(message) ?? 1;
    if (!(size >= 0)) {
      throw new InvalidStateError(`computeBatchSize returned ${size}, but must return a number from 0 up.`);
    }
    this.add(message);
    this.#size += size;
    this.#isEmpty = false;
  }

  abstract fresh(): MessageBuffer<T, U>;

  protected abstract add(message: Message<T>): void;
}
