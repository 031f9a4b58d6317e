import { InvalidStateError, type InvalidMessage } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import { DerivedMessage, isFiltered } from "../message/message.ts";
import { Partition } from "../message/partition.ts";
import type { MetricsBuffer } from "../metrics/buffer.ts";
import { MetricName } from "../metrics/names.ts";
import { isAbout } from "../strategies/invalid.ts";
import type { Inbox } from "./inbox.ts";

/** From a worker or a second installed copy it is not the same object. */
function partitionOf(error: InvalidMessage): Partition {
  return Partition.of(error.partition.topic.name, error.partition.index);
}

/** So often in a row one message may be reported before that counts as a loop without an end. */
const MAX_REPEATS = 10;

/**
 * What the processor does about an InvalidMessage: counts it, takes it out of the inbox if it is the message that was
 * just submitted, and has it committed in its turn if no strategy does.
 */
export class InvalidMessages<T> {
  readonly #inbox: Inbox<T>;
  readonly #logger: Logger;
  readonly #metrics: MetricsBuffer;
  #last: { readonly partition: Partition; readonly offset: number } | undefined;
  #repeats = 0;

  constructor(inbox: Inbox<T>, logger: Logger, metrics: MetricsBuffer) {
    this.#inbox = inbox;
    this.#logger = logger;
    this.#metrics = metrics;
  }

  /** For one that came from `submit` or `poll`: reports it, and has it committed in its turn. */
  handle(error: InvalidMessage): void {
    this.report(error);
    const first = this.#inbox.first;
    if (first !== undefined && isAbout(error, first)) {
      // A strategy that finds the filtered message invalid too cannot be helped.
      if (error.needsCommit && !isFiltered(first)) this.#inbox.replaceFirst(first.replace(FILTERED_PAYLOAD));
      else this.#inbox.drop();
    } else if (error.needsCommit) {
      this.#inbox.insert(
        new DerivedMessage(FILTERED_PAYLOAD, new Map([[partitionOf(error), error.offset + 1]])),
      );
    }
  }

  /**
   * For one that came from `join`, when nothing can be submitted any more.
   *
   * @throws InvalidStateError when a strategy reports the same message again and again.
   */
  report(error: InvalidMessage): void {
    const { offset, reason } = error;
    const partition = partitionOf(error);
    const repeated = this.#last?.partition === partition && this.#last.offset === offset;
    if (repeated) this.#countRepeat(error);
    else {
      this.#last = { partition, offset };
      this.#repeats = 0;
      this.#metrics.increment(MetricName.INVALID_MESSAGES);
      if (!error.logged) {
        this.#logger.error(
          { partition: String(partition), offset, reason, error: error.cause },
          "A message is invalid.",
        );
      }
    }
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
