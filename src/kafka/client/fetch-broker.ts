import type { ClockTimer } from "../../clock.ts";
import type { FetchContext } from "./fetch-context.ts";
import { FetchLane } from "./fetch-lane.ts";
import type { FetchTroubles } from "./fetch-troubles.ts";
import type { FetchPartition } from "./fetch-partition.ts";

/** How long the side lane lets a broker wait at most. */
const SIDE_WAIT_MS = 100;
/** By how much it is back before the main lane, which then takes its partitions over. */
const SIDE_MARGIN_MS = 5;
/** How often answers are looked for that should have come. */
const WATCH_INTERVAL_MS = 2_000;
/** How late an answer may be before the leaders are looked up anew: perhaps others have found the broker dead. */
const OVERDUE_MS = 3_000;

/** A partition and what is asked of it. */
export interface Ask {
  readonly partition: FetchPartition;
  readonly maxBytes: number;
}

export interface FetchPlan {
  readonly maxWaitMs: number;
  /** Whether the broker may keep the request until there is something to send, as far as is known. */
  readonly isHeld: boolean;
  readonly asks: readonly Ask[];
}

/**
 * The partitions that are fetched from one broker, in the order of their turn, and the two lanes that fetch them.
 *
 * A broker answers one request per connection at a time, and holds a Fetch without data for `fetch.wait.max.ms`. A
 * partition that regains room, is sought or is assigned in that time would have to wait for the rest of it. So there is a
 * second connection, the side lane, that fetches what the main lane's request does not cover, while (and only while) the
 * main one is held. Both are timed to end together, and then the main lane takes over everything. The alternatives: to
 * break the connection costs a handshake for each seek; shorter waits cost requests all the time and are still a delay.
 */
export class FetchBroker {
  readonly nodeId: number;
  /** The last attempt to fetch from it has failed. */
  isLost = false;
  readonly #context: FetchContext;
  readonly #partitions = new Set<FetchPartition>();
  readonly #main: FetchLane;
  readonly #side: FetchLane;
  #notBeforeMs = 0;
  #wakeTimer: ClockTimer | undefined;
  #wakeAtMs = Infinity;
  #watchTimer: ClockTimer | undefined;

  constructor(nodeId: number, context: FetchContext, troubles: FetchTroubles) {
    this.nodeId = nodeId;
    this.#context = context;
    this.#main = new FetchLane(this, context, troubles, "fetch");
    this.#side = new FetchLane(this, context, troubles, "fetch-side");
  }

  get partitions(): ReadonlySet<FetchPartition> {
    return this.#partitions;
  }

  add(partition: FetchPartition): void {
    partition.broker = this;
    this.#partitions.add(partition);
    this.wake();
  }

  remove(partition: FetchPartition): void {
    partition.broker = undefined;
    this.#partitions.delete(partition);
    this.land(partition);
  }

  /** Others have their turn first. */
  moveToEnd(partition: FetchPartition): void {
    if (this.#partitions.delete(partition)) this.#partitions.add(partition);
  }

  /** The partition does not wait for the answer to its request (any more). */
  land(partition: FetchPartition): void {
    partition.flight = undefined;
    const { budget, window } = this.#context;
    budget.unexpect(partition.account, partition.asked);
    window.unexpect(partition.windowed);
    partition.asked = 0;
    partition.windowed = 0;
    // It may have come to nothing, and no credit comes of that.
    window.freed(budget.queued);
  }

  /** Something has changed that may allow another request. */
  wake(): void {
    this.#main.wake();
    this.#side.wake();
  }

  /** Nothing is sent to this broker for a while. */
  holdOff(delayMs: number): void {
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#context.clock.monotonicMs() + delayMs);
  }

  /** What a lane may ask for now; undefined for nothing. Whoever is not ready yet wakes the lanes when it is. */
  plan(lane: FetchLane): FetchPlan | undefined {
    const { clock, config, budget, window } = this.#context;
    const now = clock.monotonicMs();
    if (now < this.#notBeforeMs) {
      this.#wakeAt(this.#notBeforeMs);
      return undefined;
    }
    let maxWaitMs = config["fetch.wait.max.ms"];
    if (lane === this.#side) {
      const held = this.#main.flight;
      if (held?.isHeld !== true) return undefined;
      maxWaitMs = Math.min(SIDE_WAIT_MS, Math.floor(held.dueAtMs - now) - SIDE_MARGIN_MS);
      if (maxWaitMs <= 0) return undefined;
    }
    let asks: Ask[] = [];
    let isBehind = false;
    let isWaiting = false;
    let room = window.room(budget.queued);
    for (const partition of this.#partitions) {
      if (partition.flight !== undefined) continue;
      if (partition.handingOver !== undefined && partition.handingOver !== lane) continue;
      if (partition.retryAtMs > now) {
        this.#wakeAt(partition.retryAtMs);
        continue;
      }
      const ask = this.#ask(partition);
      if (ask === undefined) continue;
      if (partition.isBehind) {
        if (room <= 0) {
          window.wait(this);
          isWaiting = true;
          continue;
        }
        room -= ask.maxBytes;
      }
      if (partition.tooLargeTries > 0) {
        asks = [{ ...ask, maxBytes: 1 }];
        maxWaitMs = 0;
        break;
      }
      asks.push(ask);
      if (partition.isBehind) isBehind = true;
      // The first answer tells where the end is: for that, nobody should have to wait.
      if (partition.isNew) maxWaitMs = 0;
    }
    if (asks.length === 0) return undefined;
    if (isWaiting && !isBehind && maxWaitMs > 0) {
      // There may be room for the others at any time: then one lane has to be free, and the other soon.
      if (lane === this.#side) return undefined;
      maxWaitMs = Math.min(maxWaitMs, SIDE_WAIT_MS);
    }
    const isHeld = maxWaitMs > 0 && (!isBehind || config["fetch.min.bytes"] > 1);
    return { maxWaitMs, isHeld, asks };
  }

  /**
   * What may be asked of a partition. Not before half of what it may hold is free (or a whole fetch fits): many small
   * requests would cost more than they bring.
   */
  #ask(partition: FetchPartition): Ask | undefined {
    const { account, limitBytes, needsBytes } = partition;
    const allowance = this.#context.budget.allowance(account, partition.isBehind);
    const room = allowance - account.used;
    if (account.used > 0 && room < Math.min(limitBytes, allowance / 2)) return undefined;
    const fits = Math.max(1, Math.floor(room));
    const maxBytes = Math.max(Math.min(limitBytes, fits), needsBytes);
    return { partition, maxBytes };
  }

  /** While requests are under way, looks from time to time whether one is overdue. */
  watch(): void {
    this.#watchTimer ??= this.#context.clock.setTimeout(() => {
      this.#watchTimer = undefined;
      const flights = [this.#main.flight, this.#side.flight].filter((flight) => flight !== undefined);
      if (flights.length === 0 || this.#context.closed.aborted) return;
      const now = this.#context.clock.monotonicMs();
      if (flights.some((flight) => now >= flight.dueAtMs + OVERDUE_MS)) this.#context.refresh();
      this.watch();
    }, WATCH_INTERVAL_MS);
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#wakeAtMs) return;
    this.#wakeTimer?.cancel();
    this.#wakeAtMs = atMs;
    this.#wakeTimer = this.#context.clock.setTimeout(
      () => {
        this.#wakeAtMs = Infinity;
        this.wake();
      },
      Math.max(0, atMs - this.#context.clock.monotonicMs()),
    );
  }

  close(): void {
    this.#wakeTimer?.cancel();
    this.#watchTimer?.cancel();
    this.#main.close();
    this.#side.close();
  }
}
