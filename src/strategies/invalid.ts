import type { InvalidMessage } from "../errors.ts";
import { FILTERED_PAYLOAD } from "../message/filtered.ts";
import type { Message, Submitted } from "../message/message.ts";

/** Whether an InvalidMessage is about this very message. One of a derived message never is: that has no position. */
export function isAbout(error: InvalidMessage, message: Submitted<unknown>): boolean {
  const { partition } = message;
  return (
    partition !== undefined &&
    error.offset === message.offset &&
    (error.partition === partition ||
      // From a worker or a second installed copy: not the same object.
      (error.partition.index === partition.index && error.partition.topic.name === partition.topic.name))
  );
}

/**
 * Marks an InvalidMessage as needing no commit of its own: its strategy passes a filtered message on in its place.
 * Returns false if another strategy further down did so before. The error itself is marked, so that its stack stays.
 */
export function takeOverCommit(error: InvalidMessage): boolean {
  if (!error.needsCommit) return false;
  (error as { needsCommit: boolean }).needsCommit = false;
  return true;
}

/**
 * A batch without the item that an InvalidMessage is about, or a filtered message when it was the only one; undefined
 * when the payload is no batch or has no such item. The commit stays: the item is covered by the rest of its batch.
 */
export function withoutItem<P>(message: Message<P>, error: InvalidMessage): Submitted<P> | undefined {
  const { payload } = message;
  if (!Array.isArray(payload)) return undefined;
  const items = payload as Message<unknown>[];
  const rest = items.filter((item) => !isAbout(error, item));
  if (rest.length === items.length) return undefined;
  return rest.length === 0 ? message.replace(FILTERED_PAYLOAD) : message.replace(rest as P);
}
