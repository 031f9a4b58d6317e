import type { PollOptions } from "../backend/consumer.ts";
import { RecoverableError } from "../errors.ts";
import type { BrokerMessage } from "../message/message.ts";
import { MetricName } from "../metrics/names.ts";
import type { ProcessingContext } from "./context.ts";
import { turnOfEventLoop } from "./waits.ts";

const NONE: readonly never[] = [];

/** The processor's way to the consumer's `poll`: counts its time, and can be left when it does not come back. */
export class Poller<T> {
  readonly #context: Pick<ProcessingContext<T>, "consumer" | "vitals" | "clock" | "metrics" | "logger">;
  #polledAtMs = -Infinity;
  #pending = false;
  readonly #abandoned = Promise.withResolvers<void>();

  constructor(context: Pick<ProcessingContext<T>, "consumer" | "vitals" | "clock" | "metrics" | "logger">) {
    this.#context = context;
  }

  /** When it polled last, on the monotonic clock. */
  get polledAtMs(): number {
    return this.#polledAtMs;
  }

  /** Whether a poll has not come back yet. */
  get pending(): boolean {
    return this.#pending;
  }

  async poll(options: PollOptions): Promise<readonly BrokerMessage<T>[]> {
    const { clock, metrics, logger } = this.#context;
    const startedMs = clock.monotonicMs();
    this.#countForConsumer();
    this.#pending = true;
    try {
      // Awaited as it is: a promise around each poll kept what it brought in memory until the next full collection, and
      // collecting garbage took a quarter of the main thread's time.
      return await this.#context.consumer.poll(options);
    } catch (error) {
      if (!RecoverableError.is(error)) throw error;
      logger.debug({ err: error }, "The consumer reported something that goes away by itself.");
      await turnOfEventLoop();
      return NONE;
    } finally {
      this.#pending = false;
      this.#polledAtMs = clock.monotonicMs();
      this.#countForConsumer();
      metrics.addTime(MetricName.POLL_TIME, this.#polledAtMs - startedMs);
    }
  }

  /** What a consumer does not tell itself. */
  #countForConsumer(): void {
    const { consumer, vitals } = this.#context;
    if (consumer.vitals !== undefined) return;
    vitals.polled();
    if (!consumer.closed) vitals.partitions = consumer.tell().size;
  }

  /** Resolves when a poll is not waited for any longer. */
  get abandoned(): Promise<void> {
    return this.#abandoned.promise;
  }

  /** Goes on without the poll that is under way, and without whoever awaits it. */
  abandon(): void {
    this.#abandoned.resolve();
  }
}
