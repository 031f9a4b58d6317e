import type { Clock, ClockTimer } from "./clock.ts";
import { guardedLogger } from "./guarded-sinks.ts";
import type { LogFields, Logger } from "./logger.ts";

/** So many lines with the same message tell all that there is to tell; */
const MAX_LINES = 10;
/** in a minute. */
const WINDOW_MS = 60_000;
/** Messages are few: only some hold the number of a broker. What is older than its minute goes when there are more. */
const MAX_MESSAGES = 100;

type Level = "info" | "warn" | "error";

interface Window {
  readonly level: Level;
  readonly message: string;
  readonly startedMs: number;
  lines: number;
  suppressed: number;
  /** The fields of the last line that was left out. */
  last: LogFields | undefined;
  timer: ClockTimer | undefined;
}

/** See {@link limitedLogger}. */
export interface LimitedLogger extends Logger {
  /** Says now what was left out: to be called where something ends, since the process may not see the end of the minute. */
  flush(): void;
}

/**
 * The same logger, that takes ten lines with the same message in a minute and leaves the others out: a fault must not fill
 * the log, and cost money, for as long as it lasts. At the end of the minute comes the last one that was left out, and says
 * how many others were (`suppressed`). Debug lines all go through. It never throws.
 */
export function limitedLogger(unguarded: Logger, clock: Clock): LimitedLogger {
  const logger = guardedLogger(unguarded);
  const windows = new Map<string, Window>();

  function isOver({ startedMs }: Window): boolean {
    return clock.monotonicMs() - startedMs >= WINDOW_MS;
  }

  function end(key: string, { level, message, suppressed, last, timer }: Window): void {
    windows.delete(key);
    timer?.cancel();
    if (last === undefined) return;
    const others = suppressed - 1;
    logger[level](others === 0 ? last : { ...last, suppressed: others }, message);
  }

  function endOld(): void {
    for (const [key, window] of windows) if (isOver(window)) end(key, window);
  }

  function say(level: Level, fields: LogFields, message: string): void {
    const key = `${level} ${message}`;
    let window = windows.get(key);
    if (window !== undefined && isOver(window)) {
      end(key, window);
      window = undefined;
    }
    if (window === undefined) {
      if (windows.size >= MAX_MESSAGES) endOld();
      const startedMs = clock.monotonicMs();
      window = { level, message, startedMs, lines: 0, suppressed: 0, last: undefined, timer: undefined };
      windows.set(key, window);
    }
    if (window.lines < MAX_LINES) {
      window.lines++;
      logger[level](fields, message);
      return;
    }
    const ending = window;
    ending.suppressed++;
    ending.last = fields;
    ending.timer ??= clock.setTimeout(
      () => end(key, ending),
      ending.startedMs + WINDOW_MS - clock.monotonicMs(),
    );
  }

  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => say("info", fields, message),
    warn: (fields, message) => say("warn", fields, message),
    error: (fields, message) => say("error", fields, message),
    flush() {
      for (const [key, window] of windows) end(key, window);
    },
  };
}
