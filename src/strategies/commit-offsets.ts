import type { Commit } from "../commit/commit.ts";
import type { Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { MetricName } from "../metrics/names.ts";
import { Lifecycle } from "./lifecycle.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";

const LATENCY_EVERY_MS = 1_000;
const NO_OFFSETS: ReadonlyMap<Partition, number> = new Map();

/**
 * The end of a chain: commits what reaches it, since everything before it is done then. (Arroyo's `CommitOffsets`.)
 */
export class CommitOffsets implements ProcessingStrategy<unknown> {
  readonly name = "CommitOffsets";
  readonly #commit: Commit;
  readonly #lifecycle: Lifecycle = new Lifecycle("CommitOffsets");
  /** What is passed to `commit`, which reads it at once: a Map for each message would cost more than all the rest. */
  readonly #offsets = new Map<Partition, number>();
  #partition: Partition | undefined;
  #runtime: StrategyRuntime = detachedRuntime;
  /** Looked at in `poll` only, so that no message costs a look at the clock. */
  #latencyDue = true;
  #latencyDueAtMs = 0;

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
  }

  submit(message: Submitted<unknown>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (this.#latencyDue) this.#noteLatency(message);
    const partition = message.partition;
    if (partition === undefined) {
      this.#commit(message.committable);
      return;
    }
    if (partition !== this.#partition) {
      this.#offsets.clear();
      this.#partition = partition;
    }
    this.#offsets.set(partition, message.nextOffset);
    this.#commit(this.#offsets);
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    if (!this.#latencyDue) this.#latencyDue = this.#runtime.clock.monotonicMs() >= this.#latencyDueAtMs;
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    this.#lifecycle.terminate();
  }

  /** Commits what is done, whatever the commit policy says. */
  join(_deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => this.#commit(NO_OFFSETS, { force: true }));
  }

  #noteLatency(message: Submitted<unknown>): void {
    if (message.timestampMs === undefined) return;
    const { clock, metrics } = this.#runtime;
    metrics.timing(MetricName.LATENCY, (clock.nowMs() - message.timestampMs) / 1_000);
    this.#latencyDue = false;
    this.#latencyDueAtMs = clock.monotonicMs() + LATENCY_EVERY_MS;
  }
}
