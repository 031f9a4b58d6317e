import type { Vitals } from "../backend/vitals.ts";
import type { Clock, ClockTimer } from "../clock.ts";

const MIN_SAMPLE_MS = 20;
const MAX_SAMPLE_MS = 1_000;
const SAMPLES_PER_LIMIT = 20;
/** An event loop that turns answers within this. */
const ANSWER_MS = 250;
/** A stack that is not there by then comes when a native call returns. */
const STACK_MS = 1_000;

/** What the main thread does while it does not poll. */
export type StuckState =
  /** Its event loop runs: it awaits something that does not come. */
  | { readonly kind: "waiting" }
  /** It is blocked, in a native call: there is no stack before that returns. */
  | { readonly kind: "native" }
  | { readonly kind: "blocked"; readonly stack: string };

export interface StuckWatchOptions {
  readonly vitals: Vitals;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Asks the main thread for a sign of life; `answered` is called when it comes. */
  readonly ask: (answered: () => void) => void;
  /** Takes the main thread's stack, as soon as it can be had. */
  readonly takeStack: (taken: (stack: string) => void) => Disposable;
  /** Once per episode; for a native call a second time, when the stack is there. */
  readonly stuck: (state: StuckState, isFirst: boolean) => void;
  /** It polls again, after so many milliseconds without. */
  readonly free: (silentMs: number) => void;
}

/** One time that the main thread did not poll for longer than the limit. */
class Episode implements Disposable {
  readonly #options: StuckWatchOptions;
  #timer: ClockTimer;
  #stack: Disposable | undefined;
  #isTold = false;
  #isOver = false;

  constructor(options: StuckWatchOptions) {
    this.#options = options;
    this.#timer = options.clock.setTimeout(() => this.#takeStack(), ANSWER_MS);
    options.ask(() => {
      if (this.#isOver || this.#stack !== undefined) return;
      this.#timer.cancel();
      this.#tell({ kind: "waiting" });
    });
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer.cancel();
    this.#stack?.[Symbol.dispose]();
  }

  #takeStack(): void {
    const { clock, vitals } = this.#options;
    const { polls } = vitals;
    this.#timer = clock.setTimeout(() => this.#tell({ kind: "native" }), STACK_MS);
    this.#stack = this.#options.takeStack((stack) => {
      // It may have come free just before it was stopped: then the stack says nothing.
      if (this.#isOver || vitals.polls !== polls) return;
      this.#timer.cancel();
      this.#tell({ kind: "blocked", stack });
    });
  }

  #tell(state: StuckState): void {
    const isFirst = !this.#isTold;
    this.#isTold = true;
    this.#options.stuck(state, isFirst);
  }
}

/** Sees from another thread when the main thread has stopped polling, and finds out where it is: once each time. */
export class StuckWatch {
  readonly #options: StuckWatchOptions;
  readonly #sampleMs: number;
  #seen: number;
  #seenAtMs: number;
  #timer: ClockTimer;
  #episode: Episode | undefined;

  constructor(options: StuckWatchOptions) {
    const { vitals, timeoutMs, clock } = options;
    this.#options = options;
    this.#sampleMs = Math.min(MAX_SAMPLE_MS, Math.max(MIN_SAMPLE_MS, timeoutMs / SAMPLES_PER_LIMIT));
    this.#seen = vitals.polls;
    this.#seenAtMs = clock.monotonicMs();
    this.#timer = clock.setTimeout(() => this.#sample(), this.#sampleMs);
  }

  stop(): void {
    this.#timer.cancel();
    this.#episode?.[Symbol.dispose]();
    this.#episode = undefined;
  }

  #sample(): void {
    const { vitals, timeoutMs, clock, free } = this.#options;
    const { polls } = vitals;
    const nowMs = clock.monotonicMs();
    if (polls !== this.#seen) {
      if (this.#episode !== undefined) {
        this.#episode[Symbol.dispose]();
        this.#episode = undefined;
        free(nowMs - this.#seenAtMs);
      }
      this.#seen = polls;
      this.#seenAtMs = nowMs;
    } else if (this.#episode === undefined && nowMs - this.#seenAtMs >= timeoutMs) {
      this.#episode = new Episode(this.#options);
    }
    this.#timer = clock.setTimeout(() => this.#sample(), this.#sampleMs);
  }
}
