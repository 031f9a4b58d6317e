import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { RunRequest, RunResults } from "./protocol.ts";

/** What a strategy asks a pool to do: one batch, or what is left of one. */
export interface WorkerJob {
  /** Where deaths of workers during this job are counted and told. */
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** What to send, but for the id. Made anew for each try: a block that was transferred is gone. */
  request(): Omit<RunRequest, "id">;
  /** Which message stands at an index, for people. */
  describe(index: number): string;
  /** Called once, unless the job is cancelled before. */
  done(results: RunResults): void;
  /** Called once, instead of `done`: the job has failed for good, at the message with this index. */
  failed(error: Error, index: number): void;
}
