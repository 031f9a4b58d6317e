import { touchHealthFile } from "../health/file.ts";
import type { Submitted } from "../message/message.ts";
import { MetricName } from "../metrics/names.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";

const TOUCH_EVERY_MS = 1_000;

/**
 * Touches a file about once a second for as long as the processor polls the chain, for a liveness probe to look at
 * (`arroyo healthcheck PATH`). Put it first. It goes on during a drain and while the member has no partitions; it
 * stops when the main thread is blocked. A file that cannot be written is an error. (Arroyo's `Healthcheck`.)
 */
export class Healthcheck<T> implements ProcessingStrategy<T> {
  readonly name = "Healthcheck";
  readonly next: ProcessingStrategy<never>;
  readonly #next: ProcessingStrategy<T>;
  readonly #path: string;
  readonly #lifecycle: Lifecycle = new Lifecycle("Healthcheck");
  readonly #outlet: Outlet<T>;
  #runtime: StrategyRuntime = detachedRuntime;
  #touchAtMs = -Infinity;

  constructor(path: string, next: ProcessingStrategy<T>) {
    this.next = next;
    this.#next = next;
    this.#path = path;
    this.#outlet = new Outlet(next);
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    this.#next.submit(message);
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    this.#next.poll();
    const nowMs = this.#runtime.clock.monotonicMs();
    if (nowMs < this.#touchAtMs) return;
    touchHealthFile(this.#path);
    this.#runtime.metrics.increment(MetricName.HEALTHCHECK_TOUCH);
    this.#touchAtMs = nowMs + TOUCH_EVERY_MS;
    this.#runtime.wakeAt(this.#touchAtMs);
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    if (this.#lifecycle.terminate()) this.#outlet.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(() => this.#outlet.finish(deadline));
  }
}
