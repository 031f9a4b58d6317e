import { ConfigurationError } from "../errors.ts";

const DEFAULT_POLL_TIMEOUT_MS = 300_000;
const DEFAULT_GRACE_MS = 60_000;
const DEFAULT_REJOIN_TIMEOUT_MS = 600_000;

/** What a health check calls healthy. Everything has a default that fits a consumer in Kubernetes. */
export interface HealthRules {
  /**
   * Alive: the main thread has polled within so many milliseconds. Default: the consumer's `max.poll.interval.ms`, which is
   * 300,000 unless it was set.
   */
  readonly pollTimeoutMs?: number | undefined;
  /**
   * Ready: without partitions, and without an answer of the group's coordinator, for at most so many milliseconds (a
   * rebalance, a broker that restarts). Default 60,000.
   */
  readonly graceMs?: number | undefined;
  /**
   * Alive: a member that was thrown out of the group is back within so many milliseconds, if the coordinator answers at
   * all: starting anew helps against much, but not against brokers that are down. A rebalance lasts for up to
   * `max.poll.interval.ms`, so have it longer. Default 600,000.
   */
  readonly rejoinTimeoutMs?: number | undefined;
  /** Ready: also a member of the group that has no partition, because there are more members than partitions. Default false. */
  readonly allowStandby?: boolean | undefined;
  /** Ready: the lag is at most `messages`, or has got less within `notShrinkingForMs`. Default: no such rule. */
  readonly lag?: LagRule | undefined;
}

/** When a lag is too large. */
export interface LagRule {
  /** Of all partitions of the consumer together. */
  readonly messages: number;
  /** For how long it may be above without getting less, in ms. */
  readonly notShrinkingForMs: number;
}

/** Rules without gaps, but for the limit that the consumer may give. */
export interface ResolvedHealthRules {
  readonly pollTimeoutMs: number | undefined;
  readonly graceMs: number;
  readonly rejoinTimeoutMs: number;
  readonly allowStandby: boolean;
  readonly lag: LagRule | undefined;
}

function checked(name: string, value: number, least: number): number {
  if (Number.isFinite(value) && value >= least) return value;
  throw new ConfigurationError(`Health rules: ${name} is ${value}, but must be a number from ${least} up.`);
}

/** @throws ConfigurationError for what is not a time. */
export function resolveRules(rules: HealthRules = {}): ResolvedHealthRules {
  const { pollTimeoutMs, graceMs, rejoinTimeoutMs, allowStandby = false, lag } = rules;
  return {
    pollTimeoutMs: pollTimeoutMs === undefined ? undefined : checked("pollTimeoutMs", pollTimeoutMs, 1),
    graceMs: checked("graceMs", graceMs ?? DEFAULT_GRACE_MS, 0),
    rejoinTimeoutMs: checked("rejoinTimeoutMs", rejoinTimeoutMs ?? DEFAULT_REJOIN_TIMEOUT_MS, 0),
    allowStandby,
    lag:
      lag === undefined
        ? undefined
        : {
            messages: checked("lag.messages", lag.messages, 0),
            notShrinkingForMs: checked("lag.notShrinkingForMs", lag.notShrinkingForMs, 1),
          },
  };
}

/** Within what time the main thread has to poll. */
export function pollTimeoutOf(rules: ResolvedHealthRules, maxPollIntervalMs: number | undefined): number {
  return rules.pollTimeoutMs ?? maxPollIntervalMs ?? DEFAULT_POLL_TIMEOUT_MS;
}
