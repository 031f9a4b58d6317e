import { writeLogLine, type LogFields, type Logger } from "../../logger.ts";

/** A main thread that runs says so every 500 ms, whatever it awaits. After this, or half of its limit, it is taken for blocked. */
const SILENT_MS = 2_000;

const LOST =
  "The assignment was lost while the main thread did not poll: this member joins again when it polls.";

export interface SilenceNoticeOptions {
  readonly groupId: string;
  /** `max.poll.interval.ms`. */
  readonly limitMs: number;
  /** For what could not be written. */
  readonly logger: Logger;
  readonly writeLine?: typeof writeLogLine | undefined;
}

/**
 * Says what becomes of a member whose main thread is blocked: straight on standard error, since whatever goes through the
 * main thread would be seen only when it is free again.
 */
export class SilenceNotice {
  readonly #options: SilenceNoticeOptions;

  constructor(options: SilenceNoticeOptions) {
    this.#options = options;
  }

  /** The limit is over. Returns what was said. */
  expired(): string {
    const { groupId, limitMs, logger } = this.#options;
    const message =
      `The main thread has not polled for ${limitMs} ms (max.poll.interval.ms): ` +
      "this member leaves the group, and joins again when it polls.";
    if (!this.#write({ groupId }, message)) logger.error({ groupId }, message);
    return message;
  }

  /** A drain that came too late, or a coordinator that has put this member out, after so many ms without a poll. */
  lost(reason: string, silentMs: number): void {
    const { groupId, limitMs, logger } = this.#options;
    if (silentMs < Math.min(SILENT_MS, limitMs / 2)) return;
    const lastedMs = Math.round(silentMs);
    if (!this.#write({ groupId, reason, lastedMs }, LOST)) logger.error({ groupId, reason, lastedMs }, LOST);
  }

  #write(fields: LogFields, message: string): boolean {
    const write = this.#options.writeLine ?? writeLogLine;
    return write("error", { thread: "arroyo-io", ...fields }, message);
  }
}
