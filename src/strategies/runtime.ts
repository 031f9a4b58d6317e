import { systemClock } from "../clock.ts";
import { ONCE_PER_SECOND } from "../commit/policy.ts";
import { silentLogger } from "../logger.ts";
import { noopMetrics } from "../metrics/metrics.ts";
import type { StrategyRuntime } from "./strategy.ts";

function nothing(): void {}

/** What a strategy runs on until a processor attaches it: the machine's clock, no metrics, no log, nobody to wake. */
export const detachedRuntime: StrategyRuntime = {
  clock: systemClock,
  metrics: noopMetrics,
  logger: silentLogger,
  commitPolicy: ONCE_PER_SECOND,
  wake: nothing,
  wakeAt: nothing,
};
