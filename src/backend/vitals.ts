import type { Clock, ClockTimer } from "../clock.ts";

/** Where a consumer is in its group. */
export type MemberState =
  /** Nothing is known: it has not subscribed, or its consumer does not say. */
  | "none"
  /** It asks to be let in for the first time since it subscribed. */
  | "joining"
  | "member"
  /** The group went on without it; it tries to get back in. */
  | "lost"
  /** It left by itself, because the main thread had not polled for `max.poll.interval.ms`. */
  | "expelled"
  /** It can never go on: every poll throws. */
  | "failed"
  | "left";

/** Where a processor is in its life. */
export type ProcessorPhase = "idle" | "running" | "stopping" | "ended" | "failed";

const MEMBER_STATES: readonly MemberState[] = [
  "none",
  "joining",
  "member",
  "lost",
  "expelled",
  "failed",
  "left",
];
const PHASES: readonly ProcessorPhase[] = ["idle", "running", "stopping", "ended", "failed"];

const POLLS = 0;
const MEMBER = 1;
const PARTITIONS = 2;
const ANSWERS = 3;
const PHASE = 4;
const LAG = 5;
const MAX_POLL_INTERVAL = 6;
const WORDS = 7;

const UNKNOWN = -1;
const ALIVE_EVERY_MS = 500;
const MAX_INT = 2 ** 31 - 1;

function bounded(value: number): number {
  return Math.min(MAX_INT, Math.max(0, Math.round(value)));
}

/**
 * What can be seen of a consumer from every thread, also while the main thread is blocked: a few words of shared memory,
 * written by whoever knows (the main thread its polls and its assignment, the I/O thread the membership), read by health
 * checks and the stuck detector. Every value is at most one step behind; none is torn.
 */
export class Vitals {
  /** What another thread makes its own `Vitals` of. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT);
    this.#words = new Int32Array(this.buffer);
    if (buffer !== undefined) return;
    this.#set(ANSWERS, UNKNOWN);
    this.#set(LAG, UNKNOWN);
  }

  /** Goes up with each sign of life of the main thread, and wraps around. It is always the first word. */
  get polls(): number {
    return this.#get(POLLS);
  }

  polled(): void {
    Atomics.add(this.#words, POLLS, 1);
  }

  /** For something asynchronous that is part of a poll: until it is disposed of, the event loop's turns count as polls. */
  pollingOn(clock: Clock): Disposable {
    let timer: ClockTimer;
    const again = (): void => {
      this.polled();
      timer = clock.setTimeout(again, ALIVE_EVERY_MS);
    };
    again();
    return { [Symbol.dispose]: () => timer.cancel() };
  }

  get member(): MemberState {
    return MEMBER_STATES[this.#get(MEMBER)]!;
  }

  set member(state: MemberState) {
    this.#set(MEMBER, MEMBER_STATES.indexOf(state));
  }

  /** How many partitions the main thread has. */
  get partitions(): number {
    return this.#get(PARTITIONS);
  }

  set partitions(count: number) {
    this.#set(PARTITIONS, bounded(count));
  }

  /** Goes up with each answer of the group's coordinator; undefined for a consumer that has none. */
  get answers(): number | undefined {
    const answers = this.#get(ANSWERS);
    return answers === UNKNOWN ? undefined : answers;
  }

  answered(): void {
    const answers = this.#get(ANSWERS);
    this.#set(ANSWERS, answers === MAX_INT ? 1 : answers + 1);
  }

  /** From now on `answers` is counted. */
  expectAnswers(): void {
    if (this.#get(ANSWERS) === UNKNOWN) this.#set(ANSWERS, 0);
  }

  get phase(): ProcessorPhase {
    return PHASES[this.#get(PHASE)]!;
  }

  set phase(phase: ProcessorPhase) {
    this.#set(PHASE, PHASES.indexOf(phase));
  }

  /** Messages that were not delivered yet, of all partitions together (up to 2^31); undefined while it is not known. */
  get lag(): number | undefined {
    const lag = this.#get(LAG);
    return lag === UNKNOWN ? undefined : lag;
  }

  set lag(messages: number | undefined) {
    this.#set(LAG, messages === undefined ? UNKNOWN : bounded(messages));
  }

  /** `max.poll.interval.ms`; undefined for a consumer that has no such limit. */
  get maxPollIntervalMs(): number | undefined {
    return this.#get(MAX_POLL_INTERVAL) || undefined;
  }

  set maxPollIntervalMs(milliseconds: number) {
    this.#set(MAX_POLL_INTERVAL, bounded(milliseconds));
  }

  #get(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
}
