import type { ProcessingStrategy } from "../strategies/strategy.ts";
import { ContractLedger, type ContractMessages } from "./contract-ledger.ts";
import { ContractNext } from "./contract-next.ts";
import { type DriverOptions, StrategyDriver } from "./strategy-driver.ts";

/** What the strategy under test is made with. */
export interface ContractSubject<in T> {
  /** The step behind it. */
  readonly next: ProcessingStrategy<unknown>;
  /** To be called with the payload of each message by the function that the strategy runs, if it runs one. */
  readonly work: (payload: T) => void;
  /** The same for an async function, or for whatever else the strategy waits for before it hands a message on. */
  readonly asyncWork: (payload: T) => Promise<void>;
}

/** Kinds of messages for {@link ContractRun.submit}. */
export const VALID = "vvvvvvvvvvvv";
export const MIXED = "vvfvvvffvvvv";

/** Longer than anything in a strategy may take, in ms of the run's clock. */
export const LONG_MS = 5_000;

/** A case of the contract before it has become one: what it says, and what it does. */
export type Case = readonly [name: string, run: () => Promise<void>];

/** Makes the strategy anew, for a run of its own. */
export type Start<T> = (driving?: DriverOptions) => ContractRun<T>;

/** A strategy between a driver and a next step, for one run. */
export class ContractRun<T> {
  readonly ledger: ContractLedger<T>;
  readonly next: ContractNext;
  readonly strategy: ProcessingStrategy<T>;
  readonly driver: StrategyDriver<T>;
  /** Called in the strategy's function, with the message's number and how many calls there were before. */
  onWork: ((n: number, count: number) => void) | undefined;
  /** What async work waits for. */
  waitFor: (n: number) => Promise<void> = () => Promise.resolve();

  constructor(
    make: (subject: ContractSubject<T>) => ProcessingStrategy<T>,
    messages: ContractMessages<T>,
    driving?: DriverOptions,
  ) {
    this.ledger = new ContractLedger(messages);
    this.next = new ContractNext(this.ledger);
    this.strategy = make({
      next: this.next,
      work: (payload) => void this.#work(payload),
      asyncWork: async (payload) => this.waitFor(this.#work(payload)),
    });
    this.driver = new StrategyDriver(this.strategy, driving);
    this.driver.onReported = (error) => this.ledger.noteReport(error);
  }

  /** Whether there is a next step to look at; the end of a chain has none. */
  get hasNext(): boolean {
    return this.strategy.next !== undefined;
  }

  /** Submits messages: `v` is one with a payload, `f` one that was filtered further up. */
  async submit(kinds: string): Promise<void> {
    const { ledger } = this;
    await this.driver.submit(
      (function* () {
        for (const kind of kinds) yield ledger.next(kind === "f");
      })(),
    );
  }

  /** Submits, drains, and sees that everything is done. */
  async through(kinds: string): Promise<void> {
    await this.submit(kinds);
    await this.driver.finish();
    this.ledger.assertAllDone();
  }

  #work(payload: T): number {
    const n = this.ledger.numberOf(payload);
    const count = this.ledger.worked(n);
    this.onWork?.(n, count);
    return n;
  }
}

/** Disturbs one offer after the other, in a run of its own for each, until a run has no such offer. */
export async function atEachOffer<T>(
  start: Start<T>,
  disturb: (run: ContractRun<T>, at: number) => Promise<void>,
): Promise<void> {
  for (const pollsOften of [false, true]) {
    for (let at = 0; ; at++) {
      const run = start({ pollsOften });
      try {
        await disturb(run, at);
      } catch (error) {
        throw new Error(
          `At the ${at + 1}. thing that was offered to the next step${pollsOften ? ", polled before each message" : ""}: ` +
            (error instanceof Error ? error.message : String(error)),
          { cause: error },
        );
      }
      if (run.next.offers <= at) break;
    }
  }
}
