import { MetricName } from "../metrics/names.ts";
import type { ProcessingContext } from "./context.ts";
import { ProcessorChannel } from "./events.ts";

/** From when on it counts as a pause. */
const PAUSE_AFTER_MS = 5_000;
/** A rejection from a user's function ends without a wake: it is tried again in steps that grow to this. */
const MAX_RETRY_MS = 10;

type BackpressureContext = Pick<ProcessingContext<never>, "clock" | "metrics" | "logger" | "events">;

/** The time during which a message is held because it was rejected. */
export class Backpressure {
  readonly #context: BackpressureContext;
  #sinceMs: number | undefined;
  #countedMs = 0;
  #paused = false;
  #retryMs = 1;

  constructor(context: BackpressureContext) {
    this.#context = context;
  }

  get active(): boolean {
    return this.#sinceMs !== undefined;
  }

  /** A message was rejected. */
  begin(): void {
    if (this.#sinceMs !== undefined) return;
    this.#sinceMs = this.#context.clock.monotonicMs();
    this.#countedMs = this.#sinceMs;
  }

  /** When the message is tried again, on the monotonic clock, if nobody asks for it before. */
  retryAtMs(): number {
    const retryMs = this.#retryMs;
    this.#retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    return this.#context.clock.monotonicMs() + retryMs;
  }

  /** Called now and then while it lasts, so that a long one shows in the metrics. */
  count(): void {
    if (this.#sinceMs === undefined) return;
    const { clock, metrics, logger } = this.#context;
    const nowMs = clock.monotonicMs();
    metrics.addTime(MetricName.BACKPRESSURE_TIME, nowMs - this.#countedMs);
    this.#countedMs = nowMs;
    if (this.#paused || nowMs - this.#sinceMs < PAUSE_AFTER_MS) return;
    this.#paused = true;
    metrics.increment(MetricName.PAUSE);
    this.#context.events.publish(ProcessorChannel.BACKPRESSURE, { active: true });
    logger.debug(
      {},
      "A strategy has rejected a message for five seconds: nothing is taken from the consumer.",
    );
  }

  /** The message was taken, or is not ours any more. */
  end(): void {
    if (this.#sinceMs === undefined) return;
    this.count();
    if (this.#paused) {
      this.#context.metrics.increment(MetricName.RESUME);
      this.#context.events.publish(ProcessorChannel.BACKPRESSURE, { active: false });
    }
    this.#sinceMs = undefined;
    this.#paused = false;
    this.#retryMs = 1;
  }
}
