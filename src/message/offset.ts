import { ConfigurationError } from "../errors.ts";
import type { Partition } from "./partition.ts";

/** @throws ConfigurationError, naming the call that it was given to, for what cannot be an offset. */
export function checkOffset(call: string, partition: Partition, offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new ConfigurationError(
      `${call}(): ${offset} is no offset of ${partition}: use a whole number from 0 up.`,
    );
  }
}

/** The same for several, before any of them is used. */
export function checkOffsets(call: string, offsets: ReadonlyMap<Partition, number>): void {
  for (const [partition, offset] of offsets) checkOffset(call, partition, offset);
}
