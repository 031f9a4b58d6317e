import type { Committable } from "../message/message.ts";

/** How to commit. */
export interface CommitOptions {
  /** Commit now, whatever the commit policy says: for the end of a drain. Default false. */
  readonly force?: boolean | undefined;
}

/**
 * Says that everything before these offsets is done. It stages them and returns at once; the processor commits by its
 * commit policy. The map is read before it returns and never kept. After the assignment that it was made for has ended
 * it does nothing (and counts that). (Arroyo's `Commit`.)
 */
export type Commit = (offsets: Committable, options?: CommitOptions) => void;
