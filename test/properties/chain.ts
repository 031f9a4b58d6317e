import { ConfigurationError } from "../../src/errors.ts";
import type { Message, Submitted } from "../../src/message/message.ts";
import { Partition } from "../../src/message/partition.ts";
import { IMMEDIATE, ONCE_PER_SECOND } from "../../src/commit/policy.ts";
import { BatchStep } from "../../src/strategies/batch.ts";
import { FilterStep } from "../../src/strategies/filter-step.ts";
import { StrategyGuard } from "../../src/strategies/guard.ts";
import { Produce } from "../../src/strategies/produce.ts";
import { Reduce } from "../../src/strategies/reduce.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import { RunTaskConcurrently } from "../../src/strategies/run-task-concurrently.ts";
import type { ProcessingStrategy } from "../../src/strategies/strategy.ts";
import { UnbatchStep } from "../../src/strategies/unbatch.ts";
import { part, Unfold } from "../../src/strategies/unfold.ts";
import { turn } from "../../src/testing/strategy-driver.ts";
import { idsIn, type Life } from "./world.ts";

/** A step of a random chain. */
export type StepSpec =
  | { readonly step: "task" | "guarded" | "unfold" | "unbatch" }
  | { readonly step: "filter"; readonly everyNth: number; readonly immediate: boolean }
  | {
      readonly step: "concurrently";
      readonly concurrency: number;
      readonly maxPending: number;
      readonly keyed: boolean;
    }
  | { readonly step: "produce"; readonly maxBufferSize: number }
  | { readonly step: "batch" | "reduce"; readonly maxBatchSize: number; readonly maxBatchTimeMs: number };

type Strategy = ProcessingStrategy<unknown>;

/** How many turns of the event loop async work takes, one after another. */
export type Delays = () => number;

/** Puts a chain together; each strategy reports to the life what it does. */
export function chain(specs: readonly StepSpec[], end: Strategy, life: Life, delays: Delays): Strategy {
  return specs.reduceRight<Strategy>((next, spec, index) => makeStep(spec, index, next, life, delays), end);
}

function makeStep(spec: StepSpec, index: number, next: Strategy, life: Life, delays: Delays): Strategy {
  const work = (message: Message<unknown>): unknown => {
    life.work(index, message);
    return message.payload;
  };
  switch (spec.step) {
    case "task":
      return new RunTask(work, next);
    case "guarded":
      return new StrategyGuard((inner) => new Careful(work, inner), next);
    case "filter":
      return new FilterStep<unknown>(
        (message) => {
          work(message);
          const drops = idsIn(message.payload).some(
            (id) => Number.parseInt(id.slice(1), 10) % spec.everyNth === 0,
          );
          if (drops) life.dropped(message.payload);
          return !drops;
        },
        next,
        { commitPolicy: spec.immediate ? IMMEDIATE : ONCE_PER_SECOND },
      );
    case "concurrently": {
      const keyOf = (message: Message<unknown>): string => idsIn(message.payload)[0]![0]!;
      const take = async (message: Message<unknown>): Promise<unknown> => {
        for (let left = delays(); left > 0; left--) await turn();
        return work(message);
      };
      return new RunTaskConcurrently(
        (message) => {
          // The key of a batch is what it was before it lost an item.
          if (!spec.keyed || message.partition === undefined) return take(message);
          return life.alone(`step ${index}, ${keyOf(message)}`, () => take(message));
        },
        {
          concurrency: spec.concurrency,
          maxPending: spec.maxPending,
          key: spec.keyed ? keyOf : undefined,
        },
        next,
      );
    }
    case "produce":
      return new Produce<unknown>(
        {
          topic: "out",
          maxBufferSize: spec.maxBufferSize,
          producer: {
            produce: async () => {
              for (let left = delays(); left > 0; left--) await turn();
              return { partition: Partition.of("out", 0), offset: 0, timestampMs: 0 };
            },
          },
        },
        next,
      );
    case "batch":
      return new BatchStep<unknown>(spec, next);
    case "reduce":
      return new Reduce<unknown, readonly unknown[]>(
        {
          ...spec,
          initialValue: () => [],
          accumulator: (values, message) => [...values, work(message)],
        },
        next,
      );
    case "unfold":
      return new Unfold((message: Message<unknown>) => {
        const payload = work(message);
        return typeof payload === "string" ? [part(`${payload}/0`), part(`${payload}/1`)] : [part(payload)];
      }, next);
    case "unbatch":
      return new UnbatchStep<unknown>(next) as Strategy;
    default:
      throw new ConfigurationError(`no such step: ${JSON.stringify(spec satisfies never)}`);
  }
}

/** A chain as it can be built: batches are taken apart only where there are some. */
export function sensible(specs: readonly StepSpec[]): readonly StepSpec[] {
  let batched = false;
  return specs.filter(({ step }) => {
    if (step === "unbatch" && !batched) return false;
    if (step === "batch") batched = true;
    if (step === "reduce" || step === "unbatch") batched = false;
    return true;
  });
}

/** A strategy of a user's own that does not do its work twice for a message that comes again. */
class Careful implements ProcessingStrategy<unknown> {
  readonly next: Strategy;
  readonly #work: (message: Message<unknown>) => unknown;
  #worked: Submitted<unknown> | undefined;

  constructor(work: (message: Message<unknown>) => unknown, next: Strategy) {
    this.next = next;
    this.#work = work;
  }

  submit(message: Submitted<unknown>): void {
    if (message !== this.#worked) this.#work(message);
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
