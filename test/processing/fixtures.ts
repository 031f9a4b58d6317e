import type { Commit } from "../../src/commit/commit.ts";
import { FilteredPayload } from "../../src/message/filtered.ts";
import { Partition } from "../../src/message/partition.ts";
import type { Logger } from "../../src/logger.ts";
import { StreamProcessor, type StreamProcessorOptions } from "../../src/processing/processor.ts";
import { CommitOffsets } from "../../src/strategies/commit-offsets.ts";
import type { ProcessingStrategy, ProcessingStrategyFactory } from "../../src/strategies/strategy.ts";
import { MockClock, RecordingMetrics } from "../../src/testing/index.ts";
import { Sink, turn } from "../strategies/fixtures.ts";
import { FakeConsumer } from "./fake-consumer.ts";

export { turn };

export const P0: Partition = Partition.of("orders", 0);
export const P1: Partition = Partition.of("orders", 1);
export const P2: Partition = Partition.of("orders", 2);

/** A chain in tests: a sink that commits what it takes, unless it is told to hold it. */
export class Chain extends Sink<string> {
  readonly commit: Commit;
  readonly partitions: string;
  /** Takes messages without committing them. */
  holds = false;
  readonly #end: CommitOffsets;

  constructor(commit: Commit, partitions: ReadonlyMap<Partition, number>) {
    super();
    this.commit = commit;
    this.partitions = [...partitions].map(([partition, offset]) => `${partition.index}@${offset}`).join(", ");
    this.#end = new CommitOffsets(commit);
  }

  override submit(message: Parameters<Sink<string>["submit"]>[0]): void {
    super.submit(message);
    if (!this.holds) this.#end.submit(message);
  }

  /** Commits everything that was taken. */
  finish(): void {
    for (const message of this.messages) this.commit(message.committable);
  }

  get payloads(): string[] {
    return this.messages.map(({ payload }) => (payload instanceof FilteredPayload ? "-" : payload));
  }
}

export class Factory implements ProcessingStrategyFactory<string> {
  readonly chains: Chain[] = [];
  shutdowns = 0;
  /** Called with each new chain before it is used; may give another strategy in its place. */
  onCreate: ((chain: Chain) => void | Promise<void> | ProcessingStrategy<string>) | undefined;

  createWithPartitions(
    commit: Commit,
    partitions: ReadonlyMap<Partition, number>,
  ): ProcessingStrategy<string> | Promise<ProcessingStrategy<string>> {
    const chain = new Chain(commit, partitions);
    this.chains.push(chain);
    const changed = this.onCreate?.(chain);
    if (changed === undefined) return chain;
    return changed instanceof Promise ? changed.then(() => chain) : changed;
  }

  /** The chain that was made last. */
  get chain(): Chain {
    return this.chains.at(-1)!;
  }

  shutdown(): void | Promise<void> {
    this.shutdowns++;
  }
}

export class RecordingLogger implements Logger {
  readonly lines: string[] = [];

  debug(): void {}

  info(_fields: object, message: string): void {
    this.lines.push(`info ${message}`);
  }

  warn(_fields: object, message: string): void {
    this.lines.push(`warn ${message}`);
  }

  error(_fields: object, message: string): void {
    this.lines.push(`error ${message}`);
  }

  has(text: string): boolean {
    return this.lines.some((line) => line.includes(text));
  }
}

/** A processor on a fake consumer and a clock that the test turns. */
export class Bench implements AsyncDisposable {
  readonly clock: MockClock = new MockClock();
  readonly metrics: RecordingMetrics = new RecordingMetrics();
  readonly logger: RecordingLogger = new RecordingLogger();
  readonly consumer: FakeConsumer<string> = new FakeConsumer<string>();
  readonly factory: Factory = new Factory();
  readonly processor: StreamProcessor<string>;
  /** How the run ended; undefined while it runs. */
  ended: { readonly error: unknown } | undefined;

  constructor(options: Partial<StreamProcessorOptions<string>> = {}) {
    this.processor = new StreamProcessor({
      consumer: this.consumer,
      topic: "orders",
      factory: this.factory,
      clock: this.clock,
      metrics: this.metrics,
      logger: this.logger,
      ...options,
    });
  }

  get chain(): Chain {
    return this.factory.chain;
  }

  /** Starts it, with partitions. */
  async start(...partitions: Partition[]): Promise<void> {
    this.run();
    if (partitions.length > 0) this.consumer.assign(...partitions);
    await this.settle();
  }

  run(options?: { signal?: AbortSignal }): void {
    this.processor.run(options).then(
      () => (this.ended = { error: undefined }),
      (error: unknown) => (this.ended = { error }),
    );
  }

  /** Lets everything happen that needs no time to pass. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 20; turns++) await turn();
  }

  /** Lets time pass, from one timer to the next. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ms;
    for (;;) {
      await this.settle();
      const dueMs = this.clock.nextDueMs ?? Infinity;
      if (dueMs > untilMs) break;
      this.clock.advance(Math.max(0, dueMs - this.clock.monotonicMs()));
    }
    this.clock.advance(untilMs - this.clock.monotonicMs());
    await this.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ended === undefined) await this.stop();
  }

  /** Signals the shutdown and waits for it. */
  async stop(): Promise<void> {
    this.processor.signalShutdown();
    await this.advance(60_000);
  }
}

export function messages(partition: Partition, from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `${partition.index}/${from + i}`);
}
