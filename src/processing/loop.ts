import type { Consumer } from "../backend/consumer.ts";
import { InvalidMessage, InvalidStateError, MessageRejected } from "../errors.ts";
import type { Submitted } from "../message/message.ts";
import { MetricName } from "../metrics/names.ts";
import type { Assignment } from "./assignment.ts";
import type { Assignments } from "./assignments.ts";
import { Backpressure } from "./backpressure.ts";
import type { Committer } from "./committer.ts";
import type { ProcessingContext } from "./context.ts";
import { ProcessorChannel } from "./events.ts";
import type { Inbox } from "./inbox.ts";
import type { InvalidMessages } from "./invalid-messages.ts";
import type { Poller } from "./poller.ts";
import { turnOfEventLoop } from "./waits.ts";

/** For so long messages are processed before the event loop gets its turn. */
const SLICE_MS = 5;
/** So many turns at most make a slice, on whatever clock. */
const MAX_TURNS_PER_SLICE = 16;
const MAX_MESSAGES_PER_POLL = 1_000;
/** The longest wait for a message: strategies are polled at least so often. */
const MAX_WAIT_MS = 1_000;
/** How often the lag is looked up, for health checks. */
const LAG_EVERY_MS = 1_000;
/** How often the consumer is polled for nothing but its rebalances while no message can be taken, or is needed. */
const IDLE_POLL_EVERY_MS = 50;

export interface LoopParts<T> {
  readonly inbox: Inbox<T>;
  readonly poller: Poller<T>;
  readonly assignments: Assignments<T>;
  readonly committer: Committer<T>;
  readonly invalidMessages: InvalidMessages<T>;
  /** Aborts when the loop has to end. */
  readonly stopping: AbortSignal;
  /** Throws what another part has failed with. */
  readonly throwIfFailed: () => void;
}

/**
 * Takes messages from the consumer and hands them to the strategies, one after another without a promise in between, in
 * slices of a few milliseconds. Whatever it waits for, it is the event itself.
 */
export class Loop<T> {
  readonly #context: ProcessingContext<T>;
  readonly #parts: LoopParts<T>;
  readonly #backpressure: Backpressure;
  #assignment: Assignment<T> | undefined;
  #pollDue = true;
  #strategiesPolledMs = -Infinity;
  #lagDueMs = -Infinity;
  #sliceStartMs = -Infinity;
  #turns = 0;
  #failedAt: Submitted<T> | undefined;

  constructor(context: ProcessingContext<T>, parts: LoopParts<T>) {
    this.#context = context;
    this.#parts = parts;
    this.#backpressure = new Backpressure(context);
  }

  /** The message that was being submitted when a strategy threw: it comes again after a new start. */
  get failedAt(): Submitted<T> | undefined {
    return this.#failedAt;
  }

  /** Resolves when it has to stop. Rejects with what ends the processor. */
  async run(): Promise<void> {
    const { inbox, assignments, stopping, throwIfFailed } = this.#parts;
    const { clock } = this.#context;
    for (;;) {
      throwIfFailed();
      if (stopping.aborted) return;
      if (assignments.needsChain(clock.monotonicMs())) {
        await assignments.makeChain();
        continue;
      }
      if (inbox.empty && !this.#pollDue) await this.#take();
      else if (this.#backpressure.active) await this.#holdBack();
      else await this.#hearTheGroup();
      throwIfFailed();
      if (stopping.aborted) return;
      if (assignments.needsChain(clock.monotonicMs())) continue;
      this.#turn();
      await this.#endOfTurn();
    }
  }

  /** Shows the group that this member is alive while something else than the loop is awaited. */
  async keepPolling(isOver: () => boolean): Promise<void> {
    const { poller } = this.#parts;
    const { clock, logger } = this.#context;
    while (!isOver() && !poller.pending) {
      try {
        await poller.poll({ maxMessages: 0 });
      } catch (error) {
        logger.warn({ err: error }, "The consumer failed in the shutdown.");
        return;
      }
      await new Promise<void>((resolve) => clock.setTimeout(resolve, IDLE_POLL_EVERY_MS));
    }
  }

  /** Waits for messages, or for anything else that is due. */
  async #take(): Promise<void> {
    const { inbox, poller, assignments, committer } = this.#parts;
    const { clock, wakeUp, deadLetters, metrics, events } = this.#context;
    this.#backpressure.end();
    const { current } = assignments;
    const untilMs = Math.min(
      clock.monotonicMs() + MAX_WAIT_MS,
      current === undefined ? Infinity : committer.dueAtMs(current),
    );
    const messages = await wakeUp.waiting(untilMs, (signal, timeoutMs) =>
      poller.poll({ timeoutMs, maxMessages: MAX_MESSAGES_PER_POLL, signal }),
    );
    if (messages.length === 0) return;
    metrics.increment(MetricName.MESSAGES_RECEIVED, messages.length);
    events.publish(ProcessorChannel.RECEIVED, { messages: messages.length });
    inbox.put(deadLetters?.received(messages) ?? messages);
  }

  /** A message cannot be submitted now: takes no other, but goes on polling for the group's sake. */
  async #holdBack(): Promise<void> {
    const { poller } = this.#parts;
    const { clock, wakeUp, metrics, deadLetters } = this.#context;
    const startedMs = clock.monotonicMs();
    const forDeadLetters = deadLetters?.full === true;
    this.#backpressure.count();
    const retryAtMs = this.#backpressure.retryAtMs();
    if (clock.monotonicMs() - poller.polledAtMs >= IDLE_POLL_EVERY_MS) await poller.poll({ maxMessages: 0 });
    await wakeUp.pause(retryAtMs);
    if (forDeadLetters) metrics.addTime(MetricName.DLQ_TIME, clock.monotonicMs() - startedMs);
    this.#pollDue = true;
  }

  /** A handler may take long for what was polled at once: whoever waits for a hand-over need not wait for that. */
  async #hearTheGroup(): Promise<void> {
    const { poller } = this.#parts;
    if (this.#context.clock.monotonicMs() - poller.polledAtMs < IDLE_POLL_EVERY_MS) return;
    await poller.poll({ maxMessages: 0 });
  }

  #turn(): void {
    const { inbox, assignments, committer } = this.#parts;
    const { clock, metrics, wakeUp, deadLetters } = this.#context;
    const startedMs = clock.monotonicMs();
    metrics.increment(MetricName.RUN_COUNT);
    if (wakeUp.take(startedMs) || startedMs - this.#strategiesPolledMs >= SLICE_MS) this.#pollDue = true;
    const assignment = assignments.current;
    if (assignment !== undefined) {
      this.#work(assignment, startedMs);
      const endedMs = clock.monotonicMs();
      metrics.addTime(MetricName.PROCESSING_TIME, endedMs - startedMs);
      deadLetters?.done(assignment.done, endedMs);
      committer.commitIfDue(assignment, endedMs);
    } else if (!inbox.empty) {
      throw new InvalidStateError("The consumer delivered messages of partitions that it has not assigned.");
    } else {
      this.#pollDue = false;
    }
    metrics.flushIfDue(startedMs);
    if (startedMs >= this.#lagDueMs) {
      this.#lagDueMs = startedMs + LAG_EVERY_MS;
      this.#context.vitals.lag = lagOf(this.#context.consumer);
    }
  }

  #work(assignment: Assignment<T>, nowMs: number): void {
    const { inbox, invalidMessages } = this.#parts;
    const first = inbox.first;
    let isSubmitting = false;
    if (assignment !== this.#assignment) {
      this.#assignment = assignment;
      invalidMessages.startAnew();
    }
    try {
      if (this.#pollDue) {
        this.#pollDue = false;
        this.#strategiesPolledMs = nowMs;
        assignment.poll();
      }
      if (this.#context.deadLetters?.full === true) {
        this.#backpressure.begin();
        return;
      }
      isSubmitting = true;
      inbox.submitTo(assignment.strategy, nowMs + SLICE_MS);
      this.#backpressure.end();
    } catch (error) {
      if (inbox.first !== first) this.#backpressure.end();
      if (MessageRejected.is(error)) {
        this.#backpressure.begin();
      } else if (InvalidMessage.is(error)) {
        invalidMessages.handle(error);
        // Strategies pass on in a poll what comes in the place of an invalid message.
        this.#pollDue = true;
      } else {
        if (isSubmitting) this.#failedAt = inbox.first;
        throw error;
      }
    }
  }

  async #endOfTurn(): Promise<void> {
    const { clock } = this.#context;
    if (clock.monotonicMs() - this.#sliceStartMs < SLICE_MS && ++this.#turns < MAX_TURNS_PER_SLICE) return;
    await turnOfEventLoop();
    this.#sliceStartMs = clock.monotonicMs();
    this.#turns = 0;
  }
}

/** Of all partitions together, as far as it is known. */
function lagOf(consumer: Consumer<unknown>): number | undefined {
  if (consumer.lag === undefined) return undefined;
  let sum: number | undefined;
  for (const partition of consumer.tell().keys()) {
    const lag = consumer.lag(partition);
    if (lag !== undefined) sum = (sum ?? 0) + lag;
  }
  return sum;
}
