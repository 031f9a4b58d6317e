import type { Clock, ClockTimer } from "../clock.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { MetricName } from "../metrics/names.ts";

/** How much of a producer is on its way. */
export interface ProducerLoad {
  readonly messages: number;
  readonly bytes: number;
  readonly batches: number;
}

const FLUSH_EVERY_MS = 1_000;

/**
 * A producer's metrics: summed up, and told once a second while there is something to tell. Batches are counted, never
 * single messages, but for those that were refused.
 */
export class ProducerMetrics {
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #load: () => ProducerLoad;
  #timer: ClockTimer | undefined;
  #delivered = 0;
  #failed = 0;
  #refused = 0;
  #retries = 0;
  /** Of the batch that took the longest. */
  #deliveryMs = -1;

  constructor(metrics: Metrics, clock: Clock, load: () => ProducerLoad) {
    this.#metrics = metrics;
    this.#clock = clock;
    this.#load = load;
  }

  /** Something is on its way: there will be something to tell. */
  busy(): void {
    this.#timer ??= this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.flush();
      if (this.#load().messages > 0) this.busy();
    }, FLUSH_EVERY_MS);
  }

  /** So many messages are delivered, the first of which was produced at that time of the monotonic clock. */
  delivered(messages: number, producedAtMs: number): void {
    this.#delivered += messages;
    this.#deliveryMs = Math.max(this.#deliveryMs, this.#clock.monotonicMs() - producedAtMs);
    this.busy();
  }

  failed(messages: number): void {
    this.#failed += messages;
    this.busy();
  }

  /** A message found the queue full. */
  refused(): void {
    this.#refused++;
    this.busy();
  }

  retried(batches: number): void {
    this.#retries += batches;
    this.busy();
  }

  /** Tells what has come together. */
  flush(): void {
    const { messages, bytes, batches } = this.#load();
    this.#metrics.gauge(MetricName.PRODUCER_QUEUE_MESSAGES, messages);
    this.#metrics.gauge(MetricName.PRODUCER_QUEUE_BYTES, bytes);
    this.#metrics.gauge(MetricName.PRODUCER_BATCHES_IN_FLIGHT, batches);
    if (this.#retries > 0) this.#metrics.increment(MetricName.PRODUCER_RETRIES, this.#retries);
    if (this.#deliveryMs >= 0)
      this.#metrics.timing(MetricName.PRODUCER_DELIVERY_TIME, this.#deliveryMs / 1_000);
    this.#count("success", this.#delivered);
    this.#count("error", this.#failed);
    this.#count("queue_full", this.#refused);
    this.#delivered = this.#failed = this.#refused = this.#retries = 0;
    this.#deliveryMs = -1;
  }

  /** Tells the last, and nothing more. */
  close(): void {
    this.flush();
    this.#timer?.cancel();
  }

  #count(status: string, messages: number): void {
    if (messages > 0) this.#metrics.increment(MetricName.PRODUCER_MESSAGES, messages, { status });
  }
}
