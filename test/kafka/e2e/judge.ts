import assert from "node:assert/strict";
import type { HandledMessage } from "./journal.ts";

/** Every message from 0 up to the end of each partition was handled at least once. */
export function assertNothingLost(
  handled: readonly HandledMessage[],
  ends: ReadonlyMap<number, number>,
): void {
  const seen = new Map<number, Set<number>>();
  for (const { partition, offset } of handled) {
    let ofPartition = seen.get(partition);
    if (ofPartition === undefined) seen.set(partition, (ofPartition = new Set()));
    ofPartition.add(offset);
  }
  for (const [partition, end] of ends) {
    for (let offset = 0; offset < end; offset++) {
      if (seen.get(partition)?.has(offset) !== true)
        assert.fail(`partition ${partition}: offset ${offset} was never handled`);
    }
  }
}

/** Each message was handled once, in order per partition. */
export function assertHandledOnceInOrder(handled: readonly HandledMessage[]): void {
  const last = new Map<number, number>();
  for (const { partition, offset } of handled) {
    const before = last.get(partition) ?? -1;
    if (offset !== before + 1) assert.fail(`partition ${partition}: offset ${offset} came after ${before}`);
    last.set(partition, offset);
  }
}

/** How many messages were handled more than once. */
export function handledAgain(handled: readonly HandledMessage[]): number {
  return handled.length - new Set(handled.map(({ partition, offset }) => `${partition}:${offset}`)).size;
}
