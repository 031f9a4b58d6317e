import type { LagRule } from "./rules.ts";

const SAMPLES = 20;

/** Whether a lag gets less, from samples of as long as the rule looks back. */
export class LagHistory {
  readonly #rule: LagRule;
  #samples: { readonly atMs: number; readonly lag: number }[] = [];

  constructor(rule: LagRule) {
    this.#rule = rule;
  }

  /** A lag that is not above the limit, or is not known, starts the time anew. */
  see(lag: number | undefined, nowMs: number): void {
    if (lag === undefined || lag <= this.#rule.messages) {
      this.#samples = [];
      return;
    }
    const last = this.#samples.at(-1);
    if (last === undefined || nowMs - last.atMs >= this.#rule.notShrinkingForMs / SAMPLES) {
      this.#samples.push({ atMs: nowMs, lag });
    }
    // One sample is kept that is as old as the rule looks back.
    while (this.#samples.length > 1 && nowMs - this.#samples[1]!.atMs >= this.#rule.notShrinkingForMs) {
      this.#samples.shift();
    }
  }

  /** Whether it has been above the limit for the whole time, up to `lag`, the present one, and never less than at its start. */
  isStuck(lag: number | undefined, nowMs: number): boolean {
    const [oldest] = this.#samples;
    if (oldest === undefined || lag === undefined || lag <= this.#rule.messages) return false;
    if (nowMs - oldest.atMs < this.#rule.notShrinkingForMs || lag < oldest.lag) return false;
    return this.#samples.every((sample) => sample.lag >= oldest.lag);
  }
}
