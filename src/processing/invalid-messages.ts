import { InvalidStateError, type InvalidMessage } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { BrokerMessage, DerivedMessage, isFiltered, type Submitted } from "../message/message.ts";
import { Partition } from "../message/partition.ts";
import { MetricName } from "../metrics/names.ts";
import { isAbout } from "../strategies/invalid.ts";
import type { ProcessingContext } from "./context.ts";
import { ProcessorChannel } from "./events.ts";
import type { Inbox } from "./inbox.ts";

/** From a worker or a second installed copy it is not the same object. */
function partitionOf(error: InvalidMessage): Partition {
  return Partition.of(error.partition.topic.name, error.partition.index);
}

/** So often in a row one message may be reported before that counts as a loop without an end. */
const MAX_REPEATS = 10;

/**
 * What the processor does about an InvalidMessage: counts it, sends it to the dead letter queue, takes it out of the
 * inbox if it is the message that was just submitted, and has it committed in its turn if no strategy does.
 */
export class InvalidMessages<T> {
  readonly #inbox: Inbox<T>;
  readonly #context: Pick<ProcessingContext<T>, "clock" | "logger" | "metrics" | "events" | "deadLetters">;
  #last: { readonly partition: Partition; readonly offset: number } | undefined;
  #repeats = 0;

  constructor(
    inbox: Inbox<T>,
    context: Pick<ProcessingContext<T>, "clock" | "logger" | "metrics" | "events" | "deadLetters">,
  ) {
    this.#inbox = inbox;
    this.#context = context;
  }

  /** Another chain comes to the messages: what it reports is no repetition. */
  startAnew(): void {
    this.#last = undefined;
  }

  /** For one that came from `submit` or `poll`: reports it, and has it committed in its turn. */
  handle(error: InvalidMessage): void {
    const first = this.#inbox.first;
    const about = first !== undefined && isAbout(error, first) ? first : undefined;
    this.report(error, about);
    if (about !== undefined) {
      // A strategy that finds the filtered message invalid too cannot be helped.
      if (error.needsCommit && !isFiltered(about)) this.#inbox.replaceFirst(about.replace(FILTERED_PAYLOAD));
      else this.#inbox.drop();
    } else if (error.needsCommit) {
      this.#inbox.insert(
        new DerivedMessage(FILTERED_PAYLOAD, new Map([[partitionOf(error), error.offset + 1]])),
      );
    }
  }

  /**
   * For one that came in a drain, when nothing can be submitted any more.
   *
   * @param message the message itself, if it is at hand.
   * @throws DlqError when there are more than the limit allows; InvalidStateError when a strategy reports the same message
   * again and again.
   */
  report(error: InvalidMessage, message?: Submitted<T>): void {
    const { offset, reason } = error;
    const partition = partitionOf(error);
    if (this.#last?.partition === partition && this.#last.offset === offset) {
      this.#countRepeat(error);
      return;
    }
    this.#last = { partition, offset };
    this.#repeats = 0;
    this.#context.metrics.increment(MetricName.INVALID_MESSAGES);
    this.#context.events.publish(ProcessorChannel.INVALID, { partition, offset, reason });
    if (!error.logged) {
      this.#context.logger.error(
        { topic: partition.topic.name, partition: partition.index, offset, reason, err: error.cause },
        "A message is invalid.",
      );
    }
    this.#deadLetter(partition, offset, reason, message);
  }

  #deadLetter(
    partition: Partition,
    offset: number,
    reason: string | undefined,
    message: Submitted<T> | undefined,
  ): void {
    const { deadLetters, clock, metrics } = this.#context;
    if (deadLetters === undefined) return;
    const startedMs = clock.monotonicMs();
    const known = message instanceof BrokerMessage && !isFiltered(message) ? message : undefined;
    deadLetters.add(partition, offset, reason, known);
    metrics.addTime(MetricName.DLQ_TIME, clock.monotonicMs() - startedMs);
  }

  #countRepeat(error: InvalidMessage): void {
    if (++this.#repeats < MAX_REPEATS) return;
    throw new InvalidStateError(
      `A strategy reports the message at ${error.partition} offset ${error.offset} as invalid again and again. ` +
        "Report a message once, and go on without it.",
      { cause: error },
    );
  }
}
