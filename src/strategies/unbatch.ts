import type { Message } from "../message/message.ts";
import type { ProcessingStrategy } from "./strategy.ts";
import { Unfold } from "./unfold.ts";

/**
 * Takes batches apart again, and hands their messages on one by one, each with its own partition and offset. A message
 * that was left out of its batch in between is committed too, with or behind the last one. (Arroyo's `UnbatchStep`.)
 *
 * A step behind this one may throw InvalidMessage about one of them: the others of its batch go on.
 */
export class UnbatchStep<T> extends Unfold<readonly Message<T>[], T> {
  constructor(next: ProcessingStrategy<T>) {
    super((batch) => batch.payload, next);
  }

  override get name(): string {
    return "UnbatchStep";
  }
}
