import { inspect } from "node:util";
import type { LogFields, Logger } from "../../logger.ts";
import type { LogEvent } from "./protocol.ts";
import { deserializeError, serializeError, type SerializedError } from "./serialized-error.ts";

/** Sends log lines of an engine to the logger on the main thread. */
export function portLogger(send: (event: LogEvent) => void): Logger {
  const log =
    (level: LogEvent["level"]) =>
    (fields: LogFields, message: string): void =>
      send({ type: "log", level, fields: crossing(fields), message });
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

/** The fields of a line as they were before they crossed: a logger's serializer for `err` expects an error. */
export function arrived(fields: LogFields, side: "consumer" | "producer"): LogFields {
  const { err } = fields;
  if (typeof err !== "object" || err === null) return fields;
  return { ...fields, err: deserializeError(err as SerializedError, side) };
}

/** Errors are made plain, and anything else that cannot cross becomes a string: a log line must never throw. */
function crossing(fields: LogFields): LogFields {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Error) plain[name] = serializeError(value);
    else if (typeof value === "function" || typeof value === "symbol") plain[name] = String(value);
    else if (typeof value === "object" && value !== null) plain[name] = cloned(value);
    else plain[name] = value;
  }
  return plain;
}

function cloned(value: object): unknown {
  try {
    return JSON.parse(JSON.stringify(value));
  } catch {
    return inspect(value);
  }
}
