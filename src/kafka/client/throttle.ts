import type { Clock, ClockTimer } from "../../clock.ts";

/** No quota asks for a longer pause (its window is 11 s by default): what says so is not an answer as it was sent. */
const MAX_THROTTLE_MS = 60_000;

/** The pause that a broker asks for in its answers (`throttle_time_ms`): no request goes out before it is over (KIP-219). */
export class Throttle {
  readonly #clock: Clock;
  #pause: PromiseWithResolvers<void> | undefined;
  #untilMs = 0;
  #timer: ClockTimer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Settles when the pause is over, or another has taken its place; undefined while there is none. */
  get pause(): Promise<void> | undefined {
    return this.#pause?.promise;
  }

  /** An answer has asked for a pause. The one that ends last counts. */
  begin(throttleTimeMs: number): void {
    if (throttleTimeMs <= 0) return;
    const nowMs = this.#clock.monotonicMs();
    const untilMs = nowMs + Math.min(throttleTimeMs, MAX_THROTTLE_MS);
    if (this.#pause !== undefined && untilMs <= this.#untilMs) return;
    this.#untilMs = untilMs;
    this.end();
    const pause = (this.#pause = Promise.withResolvers<void>());
    this.#timer = this.#clock.setTimeout(() => {
      this.#pause = undefined;
      pause.resolve();
    }, untilMs - nowMs);
  }

  end(): void {
    this.#timer?.cancel();
    this.#pause?.resolve();
    this.#pause = undefined;
  }
}
