import type { Commit } from "../commit/commit.ts";
import type { Message } from "../message/message.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import { BatchStep, type BatchOptions } from "../strategies/batch.ts";
import { CommitOffsets } from "../strategies/commit-offsets.ts";
import { decodeJson, type StandardSchema } from "../strategies/decode-json.ts";
import { FilterStep, type FilterStepOptions } from "../strategies/filter-step.ts";
import { Healthcheck, type HealthcheckOptions } from "../strategies/healthcheck.ts";
import { Produce, type ProduceOptions, type ProducesMessages } from "../strategies/produce.ts";
import { Reduce, type ReduceOptions } from "../strategies/reduce.ts";
import { RunTask } from "../strategies/run-task.ts";
import { RunTaskConcurrently } from "../strategies/run-task-concurrently.ts";
import { RunTaskInWorkers, type RunTaskInWorkersOptions } from "../strategies/run-task-in-workers.ts";
import type { ProcessingStrategy, ProcessingStrategyFactory } from "../strategies/strategy.ts";
import type { Sync } from "../strategies/sync.ts";
import { UnbatchStep } from "../strategies/unbatch.ts";
import { Unfold } from "../strategies/unfold.ts";
import type { WorkerTask } from "../workers/task.ts";
import type { MapConcurrentlyOptions, Pipeline } from "./pipeline.ts";

/** Puts the steps so far before a step that takes what comes out of them. */
type Build<In, T> = (next: ProcessingStrategy<T>) => ProcessingStrategy<In>;

/** A pipeline is nothing but how to put its steps before another one. */
export class Steps<in In, T> implements Pipeline<In, T> {
  readonly #build: Build<In, T>;

  constructor(build: Build<In, T>) {
    this.#build = build;
  }

  healthcheck(file: string | HealthcheckOptions): Steps<In, T> {
    return this.#then((next: ProcessingStrategy<T>) => new Healthcheck(file, next));
  }

  filter<S extends T>(
    predicate: (payload: T, message: Message<T>) => boolean,
    options?: FilterStepOptions,
  ): Steps<In, S> {
    // What passes a guard is an S, which the strategy does not know.
    return this.#then(
      (next: ProcessingStrategy<S>) =>
        new FilterStep<T>(
          (message) => predicate(message.payload, message),
          next as ProcessingStrategy<unknown>,
          options,
        ),
    );
  }

  map<U>(fn: (payload: T, message: Message<T>) => Sync<U>): Steps<In, U> {
    return this.#then(
      (next: ProcessingStrategy<U>) => new RunTask<T, U>((message) => fn(message.payload, message), next),
    );
  }

  decodeJson<Output>(this: Pipeline<In, KafkaPayload>, schema: StandardSchema<Output>): Pipeline<In, Output> {
    const decode = decodeJson(schema);
    return this.through<Output>(
      (next) =>
        new RunTask<KafkaPayload, Output>(decode as (message: Message<KafkaPayload>) => Sync<Output>, next),
    );
  }

  mapConcurrently<U>(
    fn: (payload: T, message: Message<T>, signal: AbortSignal) => PromiseLike<U>,
    options: MapConcurrentlyOptions<T>,
  ): Steps<In, U> {
    const { key, ...rest } = options;
    return this.#then(
      (next: ProcessingStrategy<U>) =>
        new RunTaskConcurrently<T, U>(
          (message, signal) => fn(message.payload, message, signal),
          { ...rest, key: key === undefined ? undefined : (message) => key(message.payload, message) },
          next,
        ),
    );
  }

  mapInWorkers<U>(
    task: WorkerTask<T, U>,
    options: Omit<RunTaskInWorkersOptions<T, U>, "task">,
  ): Steps<In, U> {
    return this.#then(
      (next: ProcessingStrategy<U>) => new RunTaskInWorkers<T, U>({ ...options, task }, next),
    );
  }

  batch(options: BatchOptions<T>): Steps<In, readonly Message<T>[]> {
    return this.#then((next: ProcessingStrategy<readonly Message<T>[]>) => new BatchStep(options, next));
  }

  unbatch<E>(this: Pipeline<In, readonly Message<E>[]>): Pipeline<In, E> {
    return this.through<E>((next) => new UnbatchStep(next));
  }

  reduce<U>(options: ReduceOptions<T, U>): Steps<In, U> {
    return this.#then((next: ProcessingStrategy<U>) => new Reduce(options, next));
  }

  unfold<U>(generator: (payload: T, message: Message<T>) => Sync<Iterable<Message<U>>>): Steps<In, U> {
    return this.#then(
      (next: ProcessingStrategy<U>) =>
        new Unfold<T, U>((message) => generator(message.payload, message), next),
    );
  }

  through<U>(make: (next: ProcessingStrategy<U>) => ProcessingStrategy<T>): Steps<In, U> {
    return this.#then(make);
  }

  produce(
    producer: ProducesMessages<T>,
    topic: Topic | string,
    options?: Pick<ProduceOptions<never>, "maxBufferSize">,
  ): Steps<In, T> {
    return this.#then((next: ProcessingStrategy<T>) => new Produce<T>({ ...options, producer, topic }, next));
  }

  commit(): ProcessingStrategyFactory<In> {
    const build = this.#build;
    return {
      createWithPartitions: (commit: Commit) => build(new CommitOffsets(commit)),
      // No step knows of partitions, so those that are added may join the running chain.
      updatePartitions: () => {},
    };
  }

  #then<U>(make: (next: ProcessingStrategy<U>) => ProcessingStrategy<T>): Steps<In, U> {
    return new Steps<In, U>((next) => this.#build(make(next)));
  }
}
