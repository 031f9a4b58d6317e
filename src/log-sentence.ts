import type { LogFields, Logger } from "./logger.ts";

const PREFIXES: Readonly<Record<keyof Logger, string>> = {
  debug: "debug: ",
  info: "",
  warn: "warning: ",
  error: "error: ",
};

/** A log line as somebody at a terminal reads it: the message, its fields in brackets, and a stack on lines of its own. */
export function sentence(level: keyof Logger, fields: LogFields, message: string): string {
  const shown: string[] = [];
  let stack = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (value instanceof Error) shown.push(`${name}: ${value.message}`);
    else if (Array.isArray(value)) shown.push(`${name}: ${value.join(" ")}`);
    else if (typeof value !== "string") shown.push(`${name}: ${JSON.stringify(value)}`);
    else if (name === "stack") stack = `\n${value}`;
    else shown.push(`${name}: ${value}`);
  }
  return `${PREFIXES[level]}${message}${shown.length === 0 ? "" : ` (${shown.join(", ")})`}${stack}`;
}
