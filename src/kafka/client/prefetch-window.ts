import type { Clock } from "../../clock.ts";

/** What it begins with, and does not go below, unless two fetches of a partition would not fit. */
const LEAST_BYTES = 6_291_456;
/** How often it is considered whether the window has the right size. */
const PERIOD_MS = 1_000;
/** A main thread that has had nothing to do for more than this part of a period needs more in advance. */
const STARVED_SHARE = 0.1;
/** One that always had something to do in so many periods might do with less. */
const FED_PERIODS = 10;

/** Somebody who would ask for more. */
export interface Wakeable {
  wake(): void;
}

export interface PrefetchWindowOptions {
  readonly clock: Clock;
  /** `queued.max.messages.kbytes`: the window never gets larger. */
  readonly limitBytes: number;
  /** `max.partition.fetch.bytes`. */
  readonly fetchBytes: number;
}

/**
 * How much of what may be prefetched is worth it. What waits for the main thread costs memory, and has left the caches of the
 * processor when its turn comes (100 B messages are consumed 1.25 times as fast with 6 MB in advance as with 64 MB). So the
 * window is small, and grows only while the main thread finds nothing to do because of it: where brokers are far away,
 * or messages are consumed in bursts.
 *
 * Only what is asked of partitions with more to read counts. The others are always in a request, whatever they might bring.
 */
export class PrefetchWindow {
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #least: number;
  #bytes: number;
  /** It was filled, and is not half empty again. */
  #isFull = false;
  /** It was filled since the main thread had nothing to do the last time. */
  #wasFull = false;
  /** Buffers that were handed over. */
  #handedOver = 0;
  /** Since when the main thread has had nothing to do; it begins with nothing. */
  #emptySinceMs: number | undefined;
  #starvedMs = 0;
  #periodFromMs: number;
  #fedPeriods = 0;
  /** What was asked for, or has come and is to be handed over. */
  #expected = 0;
  readonly #waiting = new Set<Wakeable>();

  constructor({ clock, limitBytes, fetchBytes }: PrefetchWindowOptions) {
    this.#clock = clock;
    this.#limit = limitBytes;
    this.#least = Math.min(limitBytes, Math.max(LEAST_BYTES, 2 * fetchBytes));
    this.#bytes = this.#least;
    this.#periodFromMs = clock.monotonicMs();
    this.#emptySinceMs = this.#periodFromMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** So much was asked for, of a partition with more to read, or has come of it. */
  expect(bytes: number): void {
    this.#expected += bytes;
  }

  unexpect(bytes: number): void {
    this.#expected -= bytes;
  }

  /**
   * How much more may be asked for. Nothing once it is full, until half of it is free: few requests for much cost less than
   * many for little.
   *
   * @param queuedBytes what was handed over and is not consumed.
   */
  room(queuedBytes: number): number {
    this.#adapt();
    if (this.#bytes >= this.#limit) return Infinity;
    const isEmpty = this.#emptySinceMs !== undefined;
    // What the main thread has and cannot use now, since it has paused those partitions, keeps nothing from the others.
    const used = this.#expected + (isEmpty ? 0 : queuedBytes);
    if (used >= this.#bytes) this.#isFull = this.#wasFull = true;
    else if (isEmpty || used <= this.#bytes / 2) this.#isFull = false;
    return this.#isFull ? 0 : this.#bytes - used;
  }

  /** Whoever has found no room is woken when there is some, in the order in which they came. */
  wait(who: Wakeable): void {
    this.#waiting.add(who);
  }

  /** A buffer goes to the main thread. */
  handedOver(): void {
    this.#handedOver += 1;
    if (this.#emptySinceMs === undefined) return;
    const now = this.#clock.monotonicMs();
    if (this.#wasFull) this.#starvedMs += now - this.#emptySinceMs;
    this.#wasFull = false;
    this.#emptySinceMs = undefined;
  }

  /** The main thread has nothing to deliver of so many buffers that it has received. More may be on its way to it. */
  emptied(received: number): void {
    if (received === this.#handedOver) this.#emptySinceMs ??= this.#clock.monotonicMs();
  }

  /** There may be more room. */
  freed(queuedBytes: number): void {
    if (this.#waiting.size === 0 || this.room(queuedBytes) <= 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const who of waiting) who.wake();
  }

  /** Makes the window larger or smaller, if it is time. */
  #adapt(): void {
    const now = this.#clock.monotonicMs();
    const periodMs = now - this.#periodFromMs;
    if (periodMs < PERIOD_MS) return;
    const isStarved = this.#starvedMs / periodMs > STARVED_SHARE;
    this.#fedPeriods = this.#starvedMs === 0 ? this.#fedPeriods + 1 : 0;
    if (isStarved) {
      this.#bytes = Math.min(this.#limit, this.#bytes * 2);
    } else if (this.#fedPeriods === FED_PERIODS) {
      this.#bytes = Math.max(this.#least, this.#bytes / 2);
      this.#fedPeriods = 0;
    }
    this.#periodFromMs = now;
    this.#starvedMs = 0;
  }
}
