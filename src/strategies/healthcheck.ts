import { touchHealthFile } from "../health/file.ts";
import { monitorOf, type HealthMonitor } from "../health/monitor.ts";
import { resolveRules, type HealthRules, type ResolvedHealthRules } from "../health/rules.ts";
import type { Submitted } from "../message/message.ts";
import { MetricName } from "../metrics/names.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";

const TOUCH_EVERY_MS = 1_000;

/** Which file a {@link Healthcheck} touches, and when. */
export interface HealthcheckOptions {
  readonly path: string;
  /** Touch the file only while this probe of a `HealthServer` with the same rules would be answered with 200. */
  readonly probe: "livez" | "readyz";
  /** The defaults are those of a `HealthServer`. */
  readonly rules?: HealthRules | undefined;
}

/**
 * Touches a file about once a second for as long as the processor polls the chain, for a liveness probe to look at
 * (`arroyo healthcheck PATH`). Put it first. It goes on during a drain and while the member has no partitions; it
 * stops when the main thread is blocked. A file that cannot be written is an error. (Arroyo's `Healthcheck`.)
 *
 * With options in the place of the path, it touches the file only while a probe over HTTP would succeed.
 */
export class Healthcheck<T> implements ProcessingStrategy<T> {
  readonly name = "Healthcheck";
  readonly next: ProcessingStrategy<never>;
  readonly #next: ProcessingStrategy<T>;
  readonly #path: string;
  readonly #lifecycle: Lifecycle = new Lifecycle("Healthcheck");
  readonly #outlet: Outlet<T>;
  readonly #probe: HealthcheckOptions["probe"] | undefined;
  readonly #rules: ResolvedHealthRules;
  #runtime: StrategyRuntime = detachedRuntime;
  #monitor: HealthMonitor | undefined;
  #touchAtMs = -Infinity;

  /** @throws ConfigurationError for rules that make no sense. */
  constructor(file: string | HealthcheckOptions, next: ProcessingStrategy<T>) {
    const options = typeof file === "string" ? undefined : file;
    this.next = next;
    this.#next = next;
    this.#path = typeof file === "string" ? file : file.path;
    this.#probe = options?.probe;
    this.#rules = resolveRules(options?.rules);
    this.#outlet = new Outlet(next);
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
    const { vitals, clock } = runtime;
    if (this.#probe === undefined || vitals === undefined) return;
    // A chain lasts for one assignment, but what the rules go by lasts for longer.
    this.#monitor = monitorOf(vitals, this.#rules, clock);
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
    if (this.#isHealthy()) {
      touchHealthFile(this.#path);
      this.#runtime.metrics.increment(MetricName.HEALTHCHECK_TOUCH);
    }
    this.#touchAtMs = nowMs + TOUCH_EVERY_MS;
    this.#runtime.wakeAt(this.#touchAtMs);
  }

  #isHealthy(): boolean {
    if (this.#monitor === undefined) return true;
    const { alive, ready } = this.#monitor.health();
    return this.#probe === "livez" ? alive : ready;
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
