import type { Clock, ClockTimer } from "../../clock.ts";
import type { Sending } from "./produce-request.ts";

/** A Produce request from its beginning to its end. */
export interface RequestUnderWay {
  readonly nodeId: number;
  readonly sinceMs: number;
  /** What waits for its answer. */
  sendings: readonly Sending[];
}

/** A broker that has not answered for so long may have been replaced; and again after as long. */
const SLOW_MS = 5_000;

/** The requests that have not come to their end. */
export class RequestsUnderWay {
  readonly #clock: Clock;
  readonly #onSlow: () => void;
  readonly #requests = new Set<RequestUnderWay>();
  readonly #counts = new Map<number, number>();
  #timer: ClockTimer | undefined;

  /** `onSlow` is called every few seconds while there is a request that has been under way for as long. */
  constructor(clock: Clock, onSlow: () => void) {
    this.#clock = clock;
    this.#onSlow = onSlow;
  }

  /** How many there are to a broker. */
  count(nodeId: number): number {
    return this.#counts.get(nodeId) ?? 0;
  }

  begin(nodeId: number, sendings: readonly Sending[]): RequestUnderWay {
    const request = { nodeId, sinceMs: this.#clock.monotonicMs(), sendings };
    this.#requests.add(request);
    this.#counts.set(nodeId, this.count(nodeId) + 1);
    this.#timer ??= this.#watch();
    return request;
  }

  end(request: RequestUnderWay): void {
    this.#requests.delete(request);
    this.#counts.set(request.nodeId, this.count(request.nodeId) - 1);
  }

  /** Takes out of their requests what has another leader now. */
  takeMoved(leaderOf: (sending: Sending) => number | undefined): readonly Sending[] {
    const moved: Sending[] = [];
    for (const request of this.#requests) {
      const stays = (sending: Sending): boolean => (leaderOf(sending) ?? request.nodeId) === request.nodeId;
      if (request.sendings.every(stays)) continue;
      moved.push(...request.sendings.filter((sending) => !stays(sending)));
      request.sendings = request.sendings.filter(stays);
    }
    return moved;
  }

  close(): void {
    this.#timer?.cancel();
  }

  #watch(): ClockTimer {
    return this.#clock.setTimeout(() => {
      const nowMs = this.#clock.monotonicMs();
      this.#timer = this.#requests.size > 0 ? this.#watch() : undefined;
      // A timer may be early by a fraction of a millisecond.
      if ([...this.#requests].some(({ sinceMs }) => nowMs - sinceMs > SLOW_MS - 1)) this.#onSlow();
    }, SLOW_MS);
  }
}
