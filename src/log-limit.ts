import type { Clock } from "./clock.ts";
import type { LogFields, Logger } from "./logger.ts";

/** So many lines with the same message tell all that there is to tell; */
const MAX_LINES = 10;
/** in a minute. */
const WINDOW_MS = 60_000;
/** Messages are few: only some hold the number of a broker. What is older than its minute goes when there are more. */
const MAX_MESSAGES = 100;

interface Window {
  readonly startedMs: number;
  lines: number;
  suppressed: number;
}

/**
 * The same logger, that takes ten lines with the same message in a minute and leaves the others out: a fault must not fill
 * the log, and cost money, for as long as it lasts. The next line with that message says how many they were
 * (`suppressed`). Debug lines all go through.
 */
export function limitedLogger(logger: Logger, clock: Clock): Logger {
  const windows = new Map<string, Window>();

  function forgetOld(nowMs: number): void {
    for (const [key, { startedMs, suppressed }] of windows) {
      if (nowMs - startedMs >= WINDOW_MS && suppressed === 0) windows.delete(key);
    }
  }

  function say(level: "info" | "warn" | "error", fields: LogFields, message: string): void {
    const nowMs = clock.monotonicMs();
    const key = `${level} ${message}`;
    let window = windows.get(key);
    let suppressed = 0;
    if (window === undefined || nowMs - window.startedMs >= WINDOW_MS) {
      suppressed = window?.suppressed ?? 0;
      if (windows.size >= MAX_MESSAGES) forgetOld(nowMs);
      window = { startedMs: nowMs, lines: 0, suppressed: 0 };
      windows.set(key, window);
    }
    if (window.lines >= MAX_LINES) {
      window.suppressed++;
      return;
    }
    window.lines++;
    logger[level](suppressed === 0 ? fields : { ...fields, suppressed }, message);
  }

  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => say("info", fields, message),
    warn: (fields, message) => say("warn", fields, message),
    error: (fields, message) => say("error", fields, message),
  };
}
