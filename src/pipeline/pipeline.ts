import type { Message } from "../message/message.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import type { BatchOptions } from "../strategies/batch.ts";
import type { StandardSchema } from "../strategies/decode-json.ts";
import type { FilterStepOptions } from "../strategies/filter-step.ts";
import type { HealthcheckOptions } from "../strategies/healthcheck.ts";
import type { MessageKey } from "../strategies/keyed.ts";
import type { ProduceOptions, ProducesMessages } from "../strategies/produce.ts";
import type { ReduceOptions } from "../strategies/reduce.ts";
import type { RunTaskConcurrentlyOptions } from "../strategies/run-task-concurrently.ts";
import type { RunTaskInWorkersOptions } from "../strategies/run-task-in-workers.ts";
import type { ProcessingStrategy, ProcessingStrategyFactory } from "../strategies/strategy.ts";
import type { Sync } from "../strategies/sync.ts";
import type { WorkerTask } from "../workers/task.ts";
import { Steps } from "./steps.ts";

/** How `mapConcurrently` runs its function. */
export interface MapConcurrentlyOptions<T> extends Omit<RunTaskConcurrentlyOptions<T>, "key"> {
  /** As in {@link RunTaskConcurrentlyOptions}, of the payload. */
  readonly key?: ((payload: T, message: Message<T>) => MessageKey) | undefined;
}

/**
 * A chain of strategies that is written from top to bottom, with the type of the payload flowing through it. Each method
 * adds the strategy that its comment names, and returns a new pipeline; the one that it was called on stays as it was.
 *
 * @typeParam In what messages come in with
 * @typeParam T what they have become by now
 */
export interface Pipeline<in In, T> {
  /** `Healthcheck`. Put it first. */
  healthcheck(file: string | HealthcheckOptions): Pipeline<In, T>;
  /** `FilterStep`. A type guard narrows the payload. */
  filter<S extends T>(
    predicate: (payload: T, message: Message<T>) => payload is S,
    options?: FilterStepOptions,
  ): Pipeline<In, S>;
  filter(
    predicate: (payload: T, message: Message<T>) => boolean,
    options?: FilterStepOptions,
  ): Pipeline<In, T>;
  /** `RunTask`: a synchronous function of the payload. */
  map<U>(fn: (payload: T, message: Message<T>) => Sync<U>): Pipeline<In, U>;
  /** `RunTask(decodeJson(schema))`: JSON that fits a schema of zod, valibot or any other Standard Schema. */
  decodeJson<Output>(this: Pipeline<In, KafkaPayload>, schema: StandardSchema<Output>): Pipeline<In, Output>;
  /** `RunTaskConcurrently`: an async function of the payload, for work that waits for others. */
  mapConcurrently<U>(
    fn: (payload: T, message: Message<T>, signal: AbortSignal) => PromiseLike<U>,
    options: MapConcurrentlyOptions<T>,
  ): Pipeline<In, U>;
  /** `RunTaskInWorkers`: a function on worker threads, for work that keeps a core busy. */
  mapInWorkers<U>(
    task: WorkerTask<T, U>,
    options: Omit<RunTaskInWorkersOptions<T, U>, "task">,
  ): Pipeline<In, U>;
  /** `BatchStep`: the payload becomes a list of messages. */
  batch(options: BatchOptions<T>): Pipeline<In, readonly Message<T>[]>;
  /** `UnbatchStep`: the messages of a batch again, one by one. */
  unbatch<E>(this: Pipeline<In, readonly Message<E>[]>): Pipeline<In, E>;
  /** `Reduce`: one value of many messages. */
  reduce<U>(options: ReduceOptions<T, U>): Pipeline<In, U>;
  /** `Unfold`: a message becomes several; make them with `part`. */
  unfold<U>(generator: (payload: T, message: Message<T>) => Sync<Iterable<Message<U>>>): Pipeline<In, U>;
  /** A strategy of one's own. Say what comes out of it if that is something else: `through<Out>(...)`. */
  through(make: (next: ProcessingStrategy<T>) => ProcessingStrategy<T>): Pipeline<In, T>;
  through<U>(make: (next: ProcessingStrategy<U>) => ProcessingStrategy<T>): Pipeline<In, U>;
  /** `Produce`. What was produced goes on, once the broker has it. */
  produce(
    producer: ProducesMessages<T>,
    topic: Topic | string,
    options?: Pick<ProduceOptions<never>, "maxBufferSize">,
  ): Pipeline<In, T>;
  /** `CommitOffsets`, and with it the end: the factory for a StreamProcessor. */
  commit(): ProcessingStrategyFactory<In>;
}

/**
 * Starts a pipeline of Kafka messages, or of what `In` says.
 *
 * ```ts
 * const factory = pipeline()
 *   .healthcheck("/tmp/health.txt")
 *   .decodeJson(Order)
 *   .filter((order) => order.amount > 0)
 *   .map((order) => new KafkaPayload(order.id, JSON.stringify(order)))
 *   .produce(producer, "orders-checked")
 *   .commit();
 * ```
 *
 * The strategies are the very ones that the constructors make; the chain is made anew for each assignment, except that
 * partitions which are only added join the running one.
 */
export function pipeline<In = KafkaPayload>(): Pipeline<In, In> {
  return new Steps<In, In>((next) => next);
}
