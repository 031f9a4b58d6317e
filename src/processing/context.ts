import type { Consumer } from "../backend/consumer.ts";
import type { Vitals } from "../backend/vitals.ts";
import type { Clock } from "../clock.ts";
import type { CommitPolicy } from "../commit/policy.ts";
import type { DeadLetters } from "../dlq/dead-letters.ts";
import type { InvalidMessage } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { MetricsBuffer } from "../metrics/buffer.ts";
import type { ProcessingStrategyFactory } from "../strategies/strategy.ts";
import type { Events } from "./events.ts";
import type { WakeUp } from "./wake-up.ts";

/** What the parts of a processor share. */
export interface ProcessingContext<T> {
  readonly consumer: Consumer<T>;
  /** The consumer's, or the processor's own for one that has none. */
  readonly vitals: Vitals;
  readonly factory: ProcessingStrategyFactory<T>;
  readonly commitPolicy: CommitPolicy;
  readonly joinTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsBuffer;
  readonly wakeUp: WakeUp;
  /** For tools that look on. */
  readonly events: Events;
  /** The dead letter queue, if there is a policy for one. */
  readonly deadLetters: DeadLetters<T> | undefined;
  /** Ends the processor with an error, as soon as the loop has its turn. The first one counts. */
  fail(error: unknown): void;
  /** What to do about an InvalidMessage in a drain. Throws what ends the processor, such as a limit that was passed. */
  reportInvalid(error: InvalidMessage): void;
}
