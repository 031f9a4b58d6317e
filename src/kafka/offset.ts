import { ConfigurationError } from "../errors.ts";
import type { Partition } from "../message/partition.ts";

/** @throws ConfigurationError for what cannot be an offset. */
export function checkOffset(call: string, partition: Partition, offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new ConfigurationError(
      `${call}(): ${offset} is no offset of ${partition}: use a whole number from 0 up.`,
    );
  }
}
