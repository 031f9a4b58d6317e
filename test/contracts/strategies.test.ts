import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { IMMEDIATE } from "../../src/commit/policy.ts";
import { BrokerMessage, DerivedMessage, type Message, type Submitted } from "../../src/message/message.ts";
import { Partition } from "../../src/message/partition.ts";
import { BatchStep } from "../../src/strategies/batch.ts";
import { BufferStep, type MessageBuffer } from "../../src/strategies/buffer.ts";
import { CommitOffsets } from "../../src/strategies/commit-offsets.ts";
import { FilterStep } from "../../src/strategies/filter-step.ts";
import { StrategyGuard } from "../../src/strategies/guard.ts";
import { Healthcheck } from "../../src/strategies/healthcheck.ts";
import { Noop } from "../../src/strategies/noop.ts";
import type { BatchSettled, SentBatch } from "../../src/backend/producer.ts";
import type { Topic } from "../../src/message/topic.ts";
import { Produce } from "../../src/strategies/produce.ts";
import { Reduce } from "../../src/strategies/reduce.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import { RunTaskConcurrently } from "../../src/strategies/run-task-concurrently.ts";
import type { ProcessingStrategy } from "../../src/strategies/strategy.ts";
import { UnbatchStep } from "../../src/strategies/unbatch.ts";
import { part, Unfold } from "../../src/strategies/unfold.ts";
import {
  strategyContract,
  type ContractCase,
  type ContractSubject,
} from "../../src/testing/strategy-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "arroyo-contract-"));
after(() => rmSync(folder, { recursive: true }));

type Subject = ContractSubject<number>;
type Make = (subject: Subject) => ProcessingStrategy<number>;

/** Puts messages into batches of two, each of which is delivered when the work on both has ended. */
class BatchingProducer {
  readonly #work: Subject["asyncWork"];
  #open: { -readonly [K in keyof SentBatch]: SentBatch[K] } | undefined;
  #works: Promise<unknown>[] = [];

  constructor(work: Subject["asyncWork"]) {
    this.#work = work;
  }

  enqueue(_topic: Topic, payload: number, onSettled: BatchSettled): SentBatch {
    const batch = (this.#open ??= { state: "sent", error: undefined });
    const works = this.#works;
    works.push(this.#work(payload));
    const size = works.length;
    void Promise.allSettled(works).then((results) => {
      // Another message has come into it since.
      if (works.length > size) return;
      if (this.#open === batch) {
        this.#open = undefined;
        this.#works = [];
      }
      const failed = results.find((result) => result.status === "rejected");
      batch.state = failed === undefined ? "delivered" : "failed";
      batch.error = failed?.reason as Error | undefined;
      onSettled(batch);
    });
    if (size === 2) {
      this.#open = undefined;
      this.#works = [];
    }
    return batch;
  }

  produce(): Promise<never> {
    throw new Error("all messages go in batches");
  }
}

/** Keeps the numbers; is ready at three of them. */
class Numbers implements MessageBuffer<number, readonly number[]> {
  readonly #work: Subject["work"];
  readonly value: number[] = [];
  readonly maxTimeMs = 100;

  constructor(work: Subject["work"]) {
    this.#work = work;
  }

  get isEmpty(): boolean {
    return this.value.length === 0;
  }

  get isReady(): boolean {
    return this.value.length >= 3;
  }

  append(message: Message<number>): void {
    this.#work(message.payload);
    this.value.push(message.payload);
  }

  fresh(): Numbers {
    return new Numbers(this.#work);
  }
}

/** A user's strategy as simple as it can be, which knows nothing of filtered and invalid messages. */
class Plain implements ProcessingStrategy<number> {
  readonly name = "Plain";
  readonly next: ProcessingStrategy<number>;
  readonly #work: Subject["work"];
  #worked: Submitted<number> | undefined;

  constructor(work: Subject["work"], next: ProcessingStrategy<number>) {
    this.next = next;
    this.#work = work;
  }

  submit(message: Submitted<number>): void {
    // It may come again, when the next step did not take it.
    if (message !== this.#worked) this.#work(message.payload as number);
    this.#worked = message;
    this.next.submit(message);
  }

  poll(): void {
    this.next.poll();
  }

  close(): void {
    this.next.close();
  }

  terminate(): void {
    this.next.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.next.join(deadline);
  }
}

const limits = { maxBatchSize: 3, maxBatchTimeMs: 100 };

const doubled: Make = ({ next, work }) =>
  new Unfold((message: Message<number>) => {
    work(message.payload);
    return [part(message.payload), part(message.payload)];
  }, next);

const concurrently =
  (options: { concurrency: number; maxPending?: number; key?: () => string }): Make =>
  ({ next, asyncWork }) =>
    new RunTaskConcurrently(
      async (message: Message<number>) => {
        await asyncWork(message.payload);
        return message.payload;
      },
      options,
      next,
    );

const batched = {
  message: (n: number, partition: Partition, offset: number): Message<readonly Message<number>[]> =>
    new DerivedMessage([new BrokerMessage(n, partition, offset)], new Map([[partition, offset + 1]])),
};

const suites: Readonly<Record<string, readonly ContractCase[]>> = {
  RunTask: strategyContract(
    ({ next, work }) =>
      new RunTask((message: Message<number>) => {
        work(message.payload);
        return message.payload;
      }, next),
    { runsFunction: true },
  ),
  FilterStep: strategyContract(
    ({ next, work }) =>
      new FilterStep<number>((message) => {
        work(message.payload);
        return message.payload % 3 > 0;
      }, next),
    { runsFunction: true, drops: (n) => n % 3 === 0 },
  ),
  "FilterStep of which nothing passes": strategyContract(
    ({ next, work }) =>
      new FilterStep<number>(
        (message) => {
          work(message.payload);
          return false;
        },
        next,
        { commitPolicy: IMMEDIATE },
      ),
    { runsFunction: true, drops: () => true },
  ),
  Produce: strategyContract(
    ({ next, asyncWork }) =>
      new Produce<number>(
        {
          topic: "out",
          maxBufferSize: 4,
          producer: {
            produce: async (_, payload) => {
              await asyncWork(payload);
              return { partition: Partition.of("out", 0), offset: 0, timestampMs: 0 };
            },
          },
        },
        next,
      ),
    { isAsync: true },
  ),
  "Produce, in batches": strategyContract(
    ({ next, asyncWork }) =>
      new Produce<number>(
        { topic: "out", maxBufferSize: 4, producer: new BatchingProducer(asyncWork) },
        next,
      ),
    { isAsync: true },
  ),
  Healthcheck: strategyContract<number>(({ next }) => new Healthcheck(join(folder, "health.txt"), next)),
  StrategyGuard: strategyContract<number>(
    ({ next, work }) => new StrategyGuard((inner) => new Plain(work, inner), next),
    { runsFunction: true },
  ),
  CommitOffsets: strategyContract<number>(
    ({ next }) =>
      new CommitOffsets((offsets) => {
        if (offsets.size > 0) next.submit(new DerivedMessage(undefined, offsets));
      }),
    // Numbers are not seen in what is committed.
    { drops: () => true },
  ),
  Noop: strategyContract<number>(() => new Noop(), { handsOn: false }),
  RunTaskConcurrently: strategyContract(concurrently({ concurrency: 2, maxPending: 2 }), {
    runsFunction: true,
    isAsync: true,
  }),
  "RunTaskConcurrently with plenty of room": strategyContract(concurrently({ concurrency: 20 }), {
    runsFunction: true,
    isAsync: true,
  }),
  "RunTaskConcurrently with one key": strategyContract(concurrently({ concurrency: 3, key: () => "k" }), {
    runsFunction: true,
    isAsync: true,
  }),
  BatchStep: strategyContract<number>(({ next }) => new BatchStep<number>(limits, next)),
  "BatchStep of one": strategyContract<number>(
    ({ next }) => new BatchStep<number>({ ...limits, maxBatchSize: 1 }, next),
  ),
  "BatchStep by idle time": strategyContract<number>(
    ({ next }) => new BatchStep<number>({ maxBatchSize: 99, maxBatchTimeMs: 100, maxIdleTimeMs: 5 }, next),
  ),
  Reduce: strategyContract(
    ({ next, work }) =>
      new Reduce(
        {
          ...limits,
          initialValue: (): readonly number[] => [],
          accumulator: (numbers: readonly number[], message: Message<number>) => {
            work(message.payload);
            return [...numbers, message.payload];
          },
        },
        next,
      ),
    { runsFunction: true },
  ),
  BufferStep: strategyContract<number>(({ next, work }) => new BufferStep(new Numbers(work), next), {
    runsFunction: true,
  }),
  Unfold: strategyContract(doubled, { runsFunction: true, copies: 2 }),
  UnbatchStep: strategyContract(({ next }) => new UnbatchStep<number>(next), batched),
  "UnbatchStep behind BatchStep": strategyContract<number>(
    ({ next }) => new BatchStep<number>(limits, new UnbatchStep(next)),
  ),
};

for (const [name, cases] of Object.entries(suites)) {
  describe(`the contract of strategies: ${name}`, () => {
    for (const { name, run } of cases) it(name, run);
  });
}
