import type { Clock } from "../../clock.ts";

/** What it begins with, and does not go below, unless two fetches of a partition would not fit. */
const LEAST_BYTES = 8_388_608;
/** The same where both threads are to decompress: this one must always have some to do it with, and the other enough. */
const LEAST_SHARED_BYTES = 33_554_432;
/** The part of the window that is enough for the main thread. */
const ENOUGH_SHARE = 0.5;
/** How often it is considered whether the window has the right size. */
const PERIOD_MS = 1_000;
/** A main thread that has had nothing to do for more than this part of a period needs more in advance. */
const STARVED_SHARE = 0.1;
/**
 * A main thread that has something to do, and takes fewer bytes than these in a millisecond, is busy with other things than
 * reading them. One that does nothing with 0.8 kB messages but to decompress and decode them takes twice as many.
 */
const SLOW_BYTES_PER_MS = 333_333;
/** It cannot be told from less time than this. */
const LEAST_BUSY_MS = 100;
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
 * processor when its turn comes (100 B messages are consumed 1.25 times as fast with 8 MB in advance as with 64 MB). So the
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
  /** How long it had nothing to do in this period, for whatever reason, and what it has consumed. */
  #emptyMs = 0;
  #consumedBytes = 0;
  #isMainSlow = false;
  #takesLong = false;
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

  /**
   * Whether records should be decompressed before they are handed over. As a rule the main thread does that, batch by batch,
   * which takes half as much CPU time, since only one at a time has to be in memory. But this thread has time where the
   * other takes longer to handle records than to read them; and with a codec that takes long, where it has enough as they come.
   *
   * @param queuedBytes what was handed over and is not consumed.
   */
  shouldDecompress(queuedBytes: number): boolean {
    this.#adapt();
    return this.#isMainSlow || (this.#takesLong && queuedBytes >= this.#bytes * ENOUGH_SHARE);
  }

  /** Records have come that take long to decompress. */
  decompressingTakesLong(): void {
    if (this.#takesLong) return;
    this.#takesLong = true;
    this.#bytes = Math.max(this.#bytes, this.#floor);
  }

  get #floor(): number {
    const isShared = this.#takesLong && !this.#isMainSlow;
    return isShared ? Math.min(this.#limit, Math.max(this.#least, LEAST_SHARED_BYTES)) : this.#least;
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
    this.#emptyMs += now - Math.max(this.#emptySinceMs, this.#periodFromMs);
    this.#wasFull = false;
    this.#emptySinceMs = undefined;
  }

  /** The main thread has nothing to deliver of so many buffers that it has received. More may be on its way to it. */
  emptied(received: number): void {
    if (received === this.#handedOver) this.#emptySinceMs ??= this.#clock.monotonicMs();
  }

  consumed(bytes: number): void {
    this.#consumedBytes += bytes;
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
    if (this.#emptySinceMs !== undefined)
      this.#emptyMs += now - Math.max(this.#emptySinceMs, this.#periodFromMs);
    const busyMs = periodMs - this.#emptyMs;
    this.#isMainSlow = busyMs >= LEAST_BUSY_MS && this.#consumedBytes < busyMs * SLOW_BYTES_PER_MS;
    const isStarved = this.#starvedMs / periodMs > STARVED_SHARE;
    this.#fedPeriods = this.#starvedMs === 0 ? this.#fedPeriods + 1 : 0;
    if (isStarved) {
      this.#bytes = Math.min(this.#limit, this.#bytes * 2);
    } else if (this.#fedPeriods === FED_PERIODS) {
      this.#bytes = Math.max(this.#floor, this.#bytes / 2);
      this.#fedPeriods = 0;
    }
    this.#periodFromMs = now;
    this.#starvedMs = 0;
    this.#emptyMs = 0;
    this.#consumedBytes = 0;
  }
}
