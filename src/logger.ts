import { writeSync } from "node:fs";
import { getEnvironmentData, setEnvironmentData } from "node:worker_threads";
import { sentence } from "./log-sentence.ts";

const STDERR = 2;
/** Where threads find whether somebody at a terminal reads what they write there. */
const AT_TERMINAL = "arroyo:stderr-terminal";
/** Takes away what a progress line has left there. */
const CLEAR_LINE = "\r\u001B[K";

/** Named values of a log line; an error is `err`, as pino wants it. Never a payload, never a secret. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Where log lines go. Structural, in the shape of pino (fields first), so that a pino logger fits as it is.
 */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** So many causes of causes are shown. */
const MAX_CAUSES = 8;

/** An error as pino shows one, with its code and what caused it. */
function described(error: Error, depth: number): object {
  const { name, message, stack, cause } = error;
  const { code } = error as { readonly code?: unknown };
  const shown = { type: name, ...(code === undefined ? {} : { code }), message, stack };
  return cause === undefined || depth >= MAX_CAUSES
    ? shown
    : { ...shown, cause: printable(cause, depth + 1) };
}

function printable(value: unknown, depth: number = 0): unknown {
  if (value instanceof Error) return described(value, depth);
  return typeof value === "bigint" ? String(value) : value;
}

function line(level: keyof Logger, fields: LogFields, message: string): string {
  const values: Record<string, unknown> = { level, time: new Date().toISOString(), msg: message };
  for (const [name, value] of Object.entries(fields)) values[name] = printable(value);
  return `${JSON.stringify(values)}\n`;
}

/** From now on {@link writeLogLine} writes sentences for a terminal, in this thread and in those that it starts. */
export function writeForTerminal(): void {
  setEnvironmentData(AT_TERMINAL, true);
}

/**
 * Writes a line straight to standard error, from any thread: what goes through the `process.stderr` of another thread is
 * seen only when the main thread is free. Returns false when it cannot be written, as when the pipe is full or closed.
 */
export function writeLogLine(
  level: keyof Logger,
  fields: LogFields,
  message: string,
  fileDescriptor: number = STDERR,
): boolean {
  const isAtTerminal = getEnvironmentData(AT_TERMINAL) === true;
  const text = isAtTerminal
    ? `${CLEAR_LINE}${sentence(level, fields, message)}\n`
    : line(level, fields, message);
  try {
    writeSync(fileDescriptor, text);
    return true;
  } catch {
    return false;
  }
}

/** The default: one line of JSON per event on standard error; debug lines only with `ARROYO_LOG=debug`. */
export const stderrLogger: Logger = {
  debug(fields, message) {
    if (process.env["ARROYO_LOG"] === "debug") process.stderr.write(line("debug", fields, message));
  },
  info(fields, message) {
    process.stderr.write(line("info", fields, message));
  },
  warn(fields, message) {
    process.stderr.write(line("warn", fields, message));
  },
  error(fields, message) {
    process.stderr.write(line("error", fields, message));
  },
};

function nothing(): void {}

/** Logs nothing. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
