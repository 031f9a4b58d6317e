import type { CommitPolicy, CommitPolicyState } from "../commit/policy.ts";
import { InvalidMessage, MESSAGE_REJECTED } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { DerivedMessage, isFiltered, type Message, type Submitted } from "../message/message.ts";
import type { Partition } from "../message/partition.ts";
import { MetricName } from "../metrics/names.ts";
import { isAbout, takeOverCommit } from "./invalid.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Outlet } from "./outlet.ts";
import { detachedRuntime } from "./runtime.ts";
import type { ProcessingStrategy, StrategyRuntime } from "./strategy.ts";
import { assertSync } from "./sync.ts";

/** How often a {@link FilterStep} passes on the offsets of what it drops. */
export interface FilterStepOptions {
  /**
   * How often the offsets of dropped messages go on, so that a topic of which nothing passes is committed too.
   * Default: the processor's commit policy.
   */
  readonly commitPolicy?: CommitPolicy | undefined;
}

/**
 * Hands on the messages for which a predicate is true and drops the others. (Arroyo's `FilterStep`.)
 *
 * A dropped message is committed all the same: by the next message of its partition that passes, or by a filtered
 * message that goes on in the rhythm of the commit policy. Messages that were filtered further up pass. The predicate
 * may throw {@link InvalidMessage}.
 */
export class FilterStep<T> implements ProcessingStrategy<T> {
  readonly name = "FilterStep";
  readonly next: ProcessingStrategy<never>;
  readonly #next: ProcessingStrategy<T>;
  readonly #predicate: (message: Message<T>) => boolean;
  readonly #lifecycle: Lifecycle = new Lifecycle("FilterStep");
  readonly #outlet: Outlet<T>;
  readonly #givenPolicy: CommitPolicy | undefined;
  #runtime: StrategyRuntime = detachedRuntime;
  #policy: CommitPolicy;
  #policyState: CommitPolicyState;
  /** As of the last poll: exact enough for the policy, and not read for each message. */
  #nowMs: number;
  /** What was dropped and not gone past yet: partition to the next offset. */
  #dropped = new Map<Partition, number>();
  #droppedCount = 0;
  /** The message that the predicate let pass, but that the next step did not take. */
  #passed: Message<T> | undefined;

  constructor(
    predicate: (message: Message<T>) => boolean,
    next: ProcessingStrategy<NoInfer<T>>,
    options: FilterStepOptions = {},
  ) {
    this.next = next;
    this.#next = next;
    this.#predicate = predicate;
    this.#outlet = new Outlet(next);
    this.#givenPolicy = options.commitPolicy;
    this.#policy = options.commitPolicy ?? this.#runtime.commitPolicy;
    this.#nowMs = this.#runtime.clock.monotonicMs();
    this.#policyState = this.#policy.start(this.#nowMs);
  }

  attach(runtime: StrategyRuntime): void {
    this.#runtime = runtime;
    this.#outlet.attach(runtime);
    this.#policy = this.#givenPolicy ?? runtime.commitPolicy;
    this.#nowMs = runtime.clock.monotonicMs();
    this.#policyState = this.#policy.start(this.#nowMs);
  }

  submit(message: Submitted<T>): void {
    if (!this.#lifecycle.open) this.#lifecycle.refuse("submit");
    if (this.#outlet.waiting && !this.#outlet.retry()) throw MESSAGE_REJECTED;
    try {
      if (isFiltered(message)) {
        // May come between two tries of a message that passed.
        this.#next.submit(message);
      } else {
        if (this.#passed !== message && !this.#passes(message)) {
          this.#drop(message);
          return;
        }
        this.#passed = message;
        this.#next.submit(message);
        this.#passed = undefined;
      }
    } catch (error) {
      if (InvalidMessage.is(error) && isAbout(error, message)) {
        if (takeOverCommit(error)) this.#hold(message);
        // A step further down sees to its commit, and with it to that of what was dropped before it.
        else if (this.#passed === message) this.#supersede(message);
      }
      throw error;
    }
    if (this.#dropped.size > 0) this.#supersede(message);
  }

  poll(): void {
    this.#lifecycle.assertPollable();
    this.#nowMs = this.#runtime.clock.monotonicMs();
    this.#outlet.poll();
    if (!this.#outlet.waiting && this.#dropped.size > 0) {
      if (this.#policyState.shouldCommit(this.#nowMs, this.#dropped)) this.#forward();
      else this.#wakeWhenDue();
    }
    this.#countDropped();
  }

  close(): void {
    this.#lifecycle.close();
  }

  terminate(): void {
    if (!this.#lifecycle.terminate()) return;
    this.#countDropped();
    this.#outlet.terminate();
  }

  join(deadline: AbortSignal): Promise<void> {
    return this.#lifecycle.join(async () => {
      await this.#outlet.settle(deadline);
      if (!this.#outlet.waiting) this.#forward();
      this.#countDropped();
      await this.#outlet.finish(deadline);
    });
  }

  #passes(message: Message<T>): boolean {
    const result: unknown = this.#predicate(message);
    if (typeof result === "boolean") return result;
    assertSync(this.name, result);
    return Boolean(result);
  }

  #drop(message: Submitted<T>): void {
    this.#droppedCount++;
    this.#hold(message);
    if (
      this.#policy.everyMessages !== undefined &&
      this.#policyState.shouldCommit(this.#nowMs, this.#dropped)
    ) {
      this.#forward();
    }
  }

  #hold(message: Submitted<T>): void {
    if (this.#dropped.size === 0) this.#wakeWhenDue();
    if (message.partition !== undefined) this.#dropped.set(message.partition, message.nextOffset);
    else for (const [partition, offset] of message.committable) this.#dropped.set(partition, offset);
  }

  /** A message that went on commits what was dropped before it. */
  #supersede(message: Submitted<T>): void {
    if (message.partition !== undefined) this.#dropped.delete(message.partition);
    else for (const partition of message.committable.keys()) this.#dropped.delete(partition);
  }

  #forward(): void {
    if (this.#dropped.size === 0) return;
    const committable = this.#dropped;
    this.#dropped = new Map();
    this.#policyState.didCommit(this.#nowMs, committable);
    this.#outlet.push(new DerivedMessage(FILTERED_PAYLOAD, committable));
  }

  #wakeWhenDue(): void {
    const dueAtMs = this.#policyState.dueAtMs();
    if (dueAtMs !== undefined) this.#runtime.wakeAt(dueAtMs);
  }

  #countDropped(): void {
    if (this.#droppedCount === 0) return;
    this.#runtime.metrics.increment(MetricName.FILTER_DROPPED, this.#droppedCount);
    this.#droppedCount = 0;
  }
}
