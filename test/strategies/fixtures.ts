import { InvalidMessage, MESSAGE_REJECTED } from "../../src/errors.ts";
import { silentLogger, type Logger } from "../../src/logger.ts";
import { ONCE_PER_SECOND, type CommitPolicy } from "../../src/commit/policy.ts";
import { FILTERED_PAYLOAD, type FilteredPayload } from "../../src/message/filtered.ts";
import { BrokerMessage, DerivedMessage, type Submitted } from "../../src/message/message.ts";
import { Partition } from "../../src/message/partition.ts";
import { Lifecycle } from "../../src/strategies/lifecycle.ts";
import type { ProcessingStrategy, StrategyRuntime } from "../../src/strategies/strategy.ts";
import { MockClock, RecordingMetrics } from "../../src/testing/index.ts";

export const P0: Partition = Partition.of("orders", 0);
export const P1: Partition = Partition.of("orders", 1);

/** A message from the broker. */
export function at<T>(payload: T, offset: number, partition: Partition = P0): BrokerMessage<T> {
  return new BrokerMessage(payload, partition, offset, 1_000 + offset);
}

export function filteredAt(offset: number, partition: Partition = P0): BrokerMessage<FilteredPayload> {
  return at(FILTERED_PAYLOAD, offset, partition);
}

export function derived<T>(
  payload: T,
  committable: readonly (readonly [Partition, number])[],
): DerivedMessage<T> {
  return new DerivedMessage(payload, new Map(committable));
}

/** What went on, in short: `payload -> partition:next offset, ...`, with `-` for a filtered payload. */
export function described(message: Submitted<unknown>): string {
  const payload = message.payload === FILTERED_PAYLOAD ? "-" : JSON.stringify(message.payload);
  const committable = [...message.committable].map(([partition, offset]) => `${partition.index}:${offset}`);
  return `${payload} -> ${committable.join(", ")}`;
}

/** The end of a chain in tests: notes what reaches it, rejects or throws when it is told to. */
export class Sink<T> implements ProcessingStrategy<T> {
  readonly name = "Sink";
  readonly messages: Submitted<T>[] = [];
  readonly calls: string[] = [];
  polls = 0;
  /** Called before a message is taken; what it throws is what `submit` throws. */
  onSubmit: ((message: Submitted<T>) => void) | undefined;
  onPoll: (() => void) | undefined;
  onJoin: ((deadline: AbortSignal) => Promise<void>) | undefined;
  runtime: StrategyRuntime | undefined;
  readonly #lifecycle = new Lifecycle("Sink");
  #rejections = 0;

  /** The next messages are rejected, so many times in all; Infinity: until told otherwise. */
  reject(times: number): void {
    this.#rejections = times;
  }

  get described(): string[] {
    return this.messages.map(described);
  }

  attach(runtime: StrategyRuntime): void {
    this.runtime = runtime;
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (this.#rejections > 0) {
      this.#rejections--;
      throw MESSAGE_REJECTED;
    }
    this.onSubmit?.(message);
    this.messages.push(message);
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    this.polls++;
    this.onPoll?.();
  }

  close(): void {
    this.#lifecycle.close();
    this.calls.push("close");
  }

  terminate(): void {
    this.#lifecycle.terminate();
    this.calls.push("terminate");
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      this.calls.push("join");
      await this.onJoin?.(deadline);
    });
  }
}

/** The runtime of a chain without a processor: notes who asked for a poll. */
export class TestRuntime implements StrategyRuntime {
  readonly clock: MockClock = new MockClock();
  readonly metrics: RecordingMetrics = new RecordingMetrics();
  readonly logger: Logger = silentLogger;
  readonly commitPolicy: CommitPolicy;
  wakes = 0;
  readonly wakesAt: number[] = [];

  constructor(commitPolicy: CommitPolicy = ONCE_PER_SECOND) {
    this.commitPolicy = commitPolicy;
  }

  wake(): void {
    this.wakes++;
  }

  wakeAt(monotonicMs: number): void {
    this.wakesAt.push(monotonicMs);
  }
}

/** Attaches a chain as the processor does. */
export function attach(head: ProcessingStrategy<never>, runtime: StrategyRuntime = new TestRuntime()): void {
  for (let step: ProcessingStrategy<never> | undefined = head; step !== undefined; step = step.next) {
    step.attach?.(runtime);
  }
}

/** A deadline that never comes, unless the test aborts it. */
export function noDeadline(): AbortSignal {
  return new AbortController().signal;
}

export function invalid(message: BrokerMessage<unknown>, reason?: string): InvalidMessage {
  return InvalidMessage.from(message, { reason });
}

/** Lets every promise that can settle do so. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** What a call throws. */
export function thrownBy(call: () => void): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}
