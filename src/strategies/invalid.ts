import type { InvalidMessage } from "../errors.ts";
import type { Submitted } from "../message/message.ts";

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
