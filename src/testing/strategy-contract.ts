import assert from "node:assert/strict";
import type { ProcessingStrategy } from "../strategies/strategy.ts";
import { deliveryCases } from "./contract-delivery.ts";
import { asyncCases, functionCases } from "./contract-function.ts";
import type { ContractMessages } from "./contract-ledger.ts";
import { lifecycleCases } from "./contract-lifecycle.ts";
import { ContractRun, type ContractSubject, type Start } from "./contract-run.ts";
import { troubleCases } from "./contract-trouble.ts";
import { turn } from "./strategy-driver.ts";

export type { ContractMessages } from "./contract-ledger.ts";
export type { ContractSubject } from "./contract-run.ts";

/** What {@link strategyContract} has to know of a strategy. */
export interface StrategyContractOptions<T> extends ContractMessages<T> {
  /** Whether the strategy runs a function on each message, which calls `work` or `asyncWork`. Default false. */
  readonly runsFunction?: boolean | undefined;
  /** Whether it waits for `asyncWork` before it hands a message on. Default false. */
  readonly isAsync?: boolean | undefined;
  /** Whether what it hands on reaches `next`. False for one that swallows everything. Default true. */
  readonly handsOn?: boolean | undefined;
}

/** One thing that a strategy must do, as a test of any runner: `test(name, run)`. */
export interface ContractCase {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/**
 * What every strategy must do, as a suite to run against one's own: hand each message on once and in order, in whatever
 * way the next step rejects, and whatever is invalid; commit what is done and nothing else; surface errors; and go
 * through its life as the processor leads it.
 *
 * ```ts
 * for (const { name, run } of strategyContract(({ next, work }) => new Mine(work, next), { runsFunction: true })) {
 *   test(name, run);
 * }
 * ```
 *
 * `make` is called anew for each run. The messages have numbers as payloads; what comes out must still tell which of
 * them went into it (see `trace`).
 */
export function strategyContract<T = number>(
  make: (subject: ContractSubject<T>) => ProcessingStrategy<T>,
  options: StrategyContractOptions<T> = {},
): readonly ContractCase[] {
  const { runsFunction = false, isAsync = false, handsOn = true } = options;
  const start: Start<T> = (driving) => new ContractRun(make, options, driving);
  const cases = [
    ...lifecycleCases(start),
    ...(handsOn ? [...deliveryCases(start), ...troubleCases(start)] : []),
    ...(runsFunction ? functionCases(start) : []),
    ...(isAsync ? asyncCases(start) : []),
  ];
  return cases.map(([name, run]) => ({ name, run: () => withoutUnhandledRejections(run) }));
}

async function withoutUnhandledRejections(run: () => Promise<void>): Promise<void> {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", note);
  try {
    await run();
    await turn();
  } finally {
    process.off("unhandledRejection", note);
  }
  assert.deepEqual(unhandled, [], "promises were rejected that nobody looks after");
}
