import { describe, test } from "node:test";
import type { Message } from "../../src/message/message.ts";
import { RunTaskInWorkers, type RunTaskInWorkersOptions } from "../../src/strategies/run-task-in-workers.ts";
import {
  strategyContract,
  type ContractCase,
  type ContractSubject,
} from "../../src/testing/strategy-contract.ts";
import type { WorkerTask } from "../../src/workers/task.ts";
import { InlinePool } from "./inline-pool.ts";

const nowhere: WorkerTask<number, number> = { module: new URL("file:///nowhere.ts"), exportName: "work" };

const EXCEPT: readonly string[] = [
  // From a worker it is not the same object; the strategy's own tests compare name, message, stack and cause.
  "surfaces an error of its function as it is",
  // Ends the work before the batch has gone to a worker; the strategy's own tests wait for wakes throughout.
  "asks to be polled when its async work is done",
];

/** The contract of every strategy, on a pool without threads: the suite's clock is turned, and its function is here. */
function contract(
  call: (subject: ContractSubject<number>) => (message: Message<number>) => unknown,
  options: Partial<RunTaskInWorkersOptions<number, number>>,
  isAsync: boolean,
): readonly ContractCase[] {
  const cases = strategyContract<number>(
    (subject) =>
      new RunTaskInWorkers(
        {
          task: nowhere,
          pool: InlinePool.of(call(subject) as (message: Message<unknown>) => unknown),
          maxBatchSize: 4,
          maxBatchTimeMs: 50,
          ...options,
        },
        subject.next,
      ),
    { runsFunction: true, isAsync },
  );
  return cases.filter(({ name }) => !EXCEPT.some((start) => name.startsWith(start)));
}

const sync =
  ({ work }: ContractSubject<number>) =>
  (message: Message<number>): number => {
    work(message.payload);
    return message.payload;
  };

const async =
  ({ asyncWork }: ContractSubject<number>) =>
  async (message: Message<number>): Promise<number> => {
    await asyncWork(message.payload);
    return message.payload;
  };

const suites = {
  RunTaskInWorkers: contract(sync, {}, false),
  "RunTaskInWorkers with an async task": contract(async, {}, true),
  "RunTaskInWorkers, message by message": contract(async, { maxBatchSize: 1, prefetchBatches: 0 }, true),
  "RunTaskInWorkers, with blocks that overflow": contract(
    async,
    { maxBatchSize: 9, inputBlockBytes: 100, outputBlockBytes: 20 },
    true,
  ),
};

for (const [name, cases] of Object.entries(suites)) {
  describe(`the contract of ${name}`, () => {
    for (const { name: what, run } of cases) test(what, run);
  });
}
