import type { Clock } from "../clock.ts";
import type { MemberState, ProcessorPhase, Vitals } from "../backend/vitals.ts";
import { LagHistory } from "./lag-history.ts";
import { Observed } from "./observation.ts";
import { pollTimeoutOf, type ResolvedHealthRules } from "./rules.ts";

/** What a check is for: whether the process should be started anew, or whether it does its work. */
export type Probe = "liveness" | "readiness";

/** One thing that is looked at. */
export interface HealthCheck {
  readonly name: "polling" | "membership" | "processor" | "assignment" | "coordinator" | "shutdown" | "lag";
  readonly probe: Probe;
  readonly ok: boolean;
  /** When it became what it is, as ISO 8601. */
  readonly since: string;
  /** A sentence without its period. */
  readonly why: string;
}

/** How one consumer is. */
export interface ConsumerHealth {
  readonly alive: boolean;
  /** A consumer that is not alive is not ready. */
  readonly ready: boolean;
  readonly checks: readonly HealthCheck[];
}

type Verdict = Pick<HealthCheck, "name" | "probe" | "ok" | "why">;

const FINEST_SAMPLE_MS = 20;
const COARSEST_SAMPLE_MS = 1_000;
const SAMPLES_PER_LIMIT = 20;

function seconds(milliseconds: number): string {
  return `${(Math.round(milliseconds / 100) / 10).toLocaleString("en-US")} s`;
}

/**
 * Judges one consumer by its vitals. It knows no thread: whoever has it calls `sample` at least every `sampleMs`, since times
 * count from when something was seen first, and asks for the checks when somebody wants to know.
 */
export class HealthMonitor {
  /** How often to sample, in ms: with it a silence is noticed a twentieth of its limit late, and at most a second. */
  readonly sampleMs: number;
  readonly #vitals: Vitals;
  readonly #rules: ResolvedHealthRules;
  readonly #clock: Clock;
  readonly #pollTimeoutMs: number;
  readonly #lags: LagHistory | undefined;
  readonly #polls: Observed<number>;
  readonly #member: Observed<MemberState>;
  readonly #assigned: Observed<boolean>;
  readonly #answers: Observed<number | undefined>;
  readonly #phase: Observed<ProcessorPhase>;
  /** Since when the coordinator has answered without a pause that is longer than the grace. */
  #answeringSinceMs: number;
  #wasAssigned = false;
  #polledSinceExpelled = true;
  /** What each check came to, and since when. */
  readonly #verdicts = new Map<HealthCheck["name"], { readonly ok: boolean; readonly since: string }>();

  constructor(vitals: Vitals, rules: ResolvedHealthRules, clock: Clock) {
    const nowMs = clock.monotonicMs();
    this.#vitals = vitals;
    this.#rules = rules;
    this.#clock = clock;
    this.#pollTimeoutMs = pollTimeoutOf(rules, vitals.maxPollIntervalMs);
    this.sampleMs = Math.max(
      FINEST_SAMPLE_MS,
      Math.min(COARSEST_SAMPLE_MS, Math.min(this.#pollTimeoutMs, rules.graceMs) / SAMPLES_PER_LIMIT),
    );
    this.#lags = rules.lag === undefined ? undefined : new LagHistory(rules.lag);
    this.#polls = new Observed(vitals.polls, nowMs);
    this.#member = new Observed(vitals.member, nowMs);
    this.#assigned = new Observed(false, nowMs);
    this.#answers = new Observed(vitals.answers, nowMs);
    this.#phase = new Observed(vitals.phase, nowMs);
    this.#answeringSinceMs = nowMs;
    this.sample();
  }

  /** Sees what has changed. */
  sample(): void {
    this.checks();
  }

  #look(): void {
    const vitals = this.#vitals;
    const nowMs = this.#clock.monotonicMs();
    const hasPolled = this.#polls.see(vitals.polls, nowMs);
    const isNews = this.#member.see(vitals.member, nowMs);
    if (this.#member.value !== "expelled") this.#polledSinceExpelled = true;
    else if (isNews) this.#polledSinceExpelled = false;
    else if (hasPolled) this.#polledSinceExpelled = true;
    const { partitions } = vitals;
    const isIn = this.#member.value === "member" || this.#member.value === "none";
    this.#assigned.see(isIn && (partitions > 0 || (this.#rules.allowStandby && isIn)), nowMs);
    if (this.#assigned.value) this.#wasAssigned = true;
    const silentForMs = this.#answers.forMs(nowMs);
    if (this.#answers.see(vitals.answers, nowMs) && silentForMs > this.#rules.graceMs) {
      this.#answeringSinceMs = nowMs;
    }
    this.#phase.see(vitals.phase, nowMs);
    this.#lags?.see(vitals.lag, nowMs);
  }

  /** How the consumer is now. */
  health(): ConsumerHealth {
    const checks = this.checks();
    return {
      alive: checks.every(({ ok, probe }) => ok || probe !== "liveness"),
      ready: checks.every(({ ok }) => ok),
      checks,
    };
  }

  /** All checks, as they are now. */
  checks(): readonly HealthCheck[] {
    this.#look();
    const nowMs = this.#clock.monotonicMs();
    const since = new Date(this.#clock.nowMs()).toISOString();
    return [
      this.#polling(nowMs),
      this.#membership(nowMs),
      this.#processor(),
      this.#assignment(nowMs),
      this.#coordinator(nowMs),
      this.#shutdown(),
      ...this.#lag(nowMs),
    ].map((verdict) => {
      const before = this.#verdicts.get(verdict.name);
      const now = before?.ok === verdict.ok ? before : { ok: verdict.ok, since };
      this.#verdicts.set(verdict.name, now);
      return { ...verdict, since: now.since };
    });
  }

  #polling(nowMs: number): Verdict {
    const silentMs = this.#polls.forMs(nowMs);
    const ok = silentMs <= this.#pollTimeoutMs;
    const why = ok
      ? `the main thread polled ${seconds(silentMs)} ago`
      : `the main thread has not polled for ${seconds(silentMs)}, more than ${seconds(this.#pollTimeoutMs)}`;
    return { name: "polling", probe: "liveness", ok, why };
  }

  #membership(nowMs: number): Verdict {
    const check = { name: "membership", probe: "liveness" } as const;
    const state = this.#member.value;
    if (state === "failed") {
      return { ...check, ok: false, why: "the consumer has failed for good; its log says why" };
    }
    if (state === "expelled" && !this.#polledSinceExpelled) {
      const why =
        "the member has left the group because the main thread had not polled for max.poll.interval.ms";
      return { ...check, ok: false, why };
    }
    if (state !== "lost" && state !== "expelled") {
      return { ...check, ok: true, why: WHY_OF_MEMBER[state] };
    }
    const outMs = this.#member.forMs(nowMs);
    const out = `the member was thrown out of the group ${seconds(outMs)} ago`;
    // Brokers that do not answer are no reason to start anew; once they do, the member has its time to get back in.
    const { graceMs, rejoinTimeoutMs } = this.#rules;
    const isAnswered = this.#answers.value === undefined || this.#answers.forMs(nowMs) <= graceMs;
    const tryingMs = Math.min(outMs, nowMs - this.#answeringSinceMs);
    if (isAnswered && tryingMs > rejoinTimeoutMs) {
      return { ...check, ok: false, why: `${out} and does not get back in` };
    }
    return { ...check, ok: true, why: `${out} and tries to get back in` };
  }

  #processor(): Verdict {
    const ok = this.#phase.value !== "failed";
    return { name: "processor", probe: "liveness", ok, why: WHY_OF_PHASE[this.#phase.value] };
  }

  #assignment(nowMs: number): Verdict {
    const check = { name: "assignment", probe: "readiness" } as const;
    const { partitions } = this.#vitals;
    if (this.#assigned.value)
      return { ...check, ok: true, why: `it has ${counted(partitions, "partition")}` };
    if (!this.#wasAssigned) return { ...check, ok: false, why: "it has had no partition yet" };
    const withoutMs = this.#assigned.forMs(nowMs);
    const ok = withoutMs <= this.#rules.graceMs;
    const why = `it has had no partition for ${seconds(withoutMs)}`;
    return { ...check, ok, why: ok ? `${why}, as in a rebalance` : why };
  }

  #coordinator(nowMs: number): Verdict {
    const check = { name: "coordinator", probe: "readiness" } as const;
    if (this.#answers.value === undefined) return { ...check, ok: true, why: "there is none to ask" };
    const silentMs = this.#answers.forMs(nowMs);
    const ok = silentMs <= this.#rules.graceMs;
    const why = ok
      ? `it answered ${seconds(silentMs)} ago`
      : `the group's coordinator has not answered for ${seconds(silentMs)}`;
    return { ...check, ok, why };
  }

  #shutdown(): Verdict {
    const phase = this.#phase.value;
    const ok = phase === "idle" || phase === "running";
    return { name: "shutdown", probe: "readiness", ok, why: WHY_OF_PHASE[phase] };
  }

  #lag(nowMs: number): Verdict[] {
    const rule = this.#rules.lag;
    if (this.#lags === undefined || rule === undefined) return [];
    const { lag } = this.#vitals;
    const ok = !this.#lags.isStuck(lag, nowMs);
    const has = lag === undefined ? "the lag is not known" : `the lag is ${counted(lag, "message")}`;
    const why = ok ? has : `${has} and has not got less for ${seconds(rule.notShrinkingForMs)}`;
    return [{ name: "lag", probe: "readiness", ok, why }];
  }
}

const WHY_OF_MEMBER: Readonly<Record<Exclude<MemberState, "lost" | "expelled" | "failed">, string>> = {
  none: "it has not subscribed",
  joining: "it joins the group",
  member: "it is a member of the group",
  left: "it has left the group",
};

const WHY_OF_PHASE: Readonly<Record<ProcessorPhase, string>> = {
  idle: "it has not started",
  running: "it runs",
  stopping: "it shuts down",
  ended: "it has ended",
  failed: "it has ended with an error; its log says which",
};

function counted(count: number, what: string): string {
  return `${count.toLocaleString("en-US")} ${what}${count === 1 ? "" : "s"}`;
}

const monitors = new WeakMap<Vitals, Map<string, HealthMonitor>>();

/** The one monitor of these rules for a consumer, for those that come and go while it lives. */
export function monitorOf(vitals: Vitals, rules: ResolvedHealthRules, clock: Clock): HealthMonitor {
  const ofConsumer = monitors.get(vitals) ?? new Map<string, HealthMonitor>();
  monitors.set(vitals, ofConsumer);
  const key = JSON.stringify(rules);
  const monitor = ofConsumer.get(key) ?? new HealthMonitor(vitals, rules, clock);
  ofConsumer.set(key, monitor);
  return monitor;
}

/** Samples on and on, until it is disposed of. */
export function sampleOn(clock: Clock, monitor: HealthMonitor): Disposable {
  const again = (): void => {
    monitor.sample();
    timer = clock.setTimeout(again, monitor.sampleMs);
  };
  let timer = clock.setTimeout(again, monitor.sampleMs);
  return { [Symbol.dispose]: () => timer.cancel() };
}
