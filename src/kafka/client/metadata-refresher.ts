import type { Clock, ClockTimer } from "../../clock.ts";
import type { Backoff } from "./backoff.ts";

export interface MetadataRefresherOptions {
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** Resolves once the metadata is fresh. */
  readonly refresh: () => Promise<void>;
  /** Called after each refresh. Returns whether what was missing is still missing. */
  readonly refreshed: () => boolean;
}

/**
 * Refreshes metadata while something in it is missed. However many ask in however short a time, there is one refresh
 * under way at most, and a growing delay from one to the next until nothing is missing any more.
 */
export class MetadataRefresher {
  readonly #options: MetadataRefresherOptions;
  #isWanted = false;
  #isUnderWay = false;
  #timer: ClockTimer | undefined;
  #isClosed = false;
  #begun = 0;
  #ended = 0;

  constructor(options: MetadataRefresherOptions) {
    this.#options = options;
  }

  /** Asks for a refresh that begins after this call. Returns its number. */
  want(): number {
    this.#isWanted = true;
    const number = this.#begun + 1;
    if (!this.#isUnderWay && this.#timer === undefined) this.#begin();
    return number;
  }

  /** Whether the refresh of this number is over. */
  isOver(number: number): boolean {
    return this.#ended >= number;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #begin(): void {
    if (this.#isClosed) return;
    this.#isWanted = false;
    this.#isUnderWay = true;
    this.#begun += 1;
    this.#options.refresh().then(
      () => this.#end(this.#options.refreshed()),
      () => this.#end(true),
    );
  }

  #end(isMissing: boolean): void {
    this.#isUnderWay = false;
    this.#ended = this.#begun;
    if (this.#isClosed) return;
    if (isMissing) this.#isWanted = true;
    else this.#options.backoff.reset();
    // Also after a success: who is told the same again at once must not make a request each time.
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#timer = undefined;
      if (this.#isWanted) this.#begin();
    }, this.#options.backoff.next());
  }
}
