import { ConfigurationError } from "../errors.ts";
import { parseServer } from "./config-servers.ts";
import type {
  BootstrapServer,
  EnumSetting,
  FixedSetting,
  ListSetting,
  NumberSetting,
  ServersSetting,
  Setting,
} from "./config-setting.ts";

const LONGEST_SHOWN = 80;

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

/** A value as errors show it: short, in one line, and never a secret. */
export function shown(value: unknown, secret: boolean): string {
  if (value === null || value === undefined) return String(value);
  if (secret) return "(hidden)";
  if (typeof value === "function") return "a function";
  // What an object holds is not ours to print.
  if (typeof value === "object" && !isStrings(value)) return typeName(value);
  const text =
    typeof value === "bigint" || typeof value === "symbol" ? value.toString() : JSON.stringify(value);
  return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`;
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  const type = typeof value;
  return type === "object" ? "an object" : `a ${type}`;
}

function choices(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

function wrong(key: string, setting: Setting, value: unknown, expected: string): ConfigurationError {
  const isNumber = setting.type === "integer" || setting.type === "number";
  // A number where a number belongs is wrong by its size, not by its type.
  const obvious = (isNumber && typeof value === "number") || (typeof value === "object" && !isStrings(value));
  const type = obvious || setting.secret === true ? "" : ` (${typeName(value)})`;
  return new ConfigurationError(
    `"${key}" is ${shown(value, setting.secret === true)}${type}, but must be ${expected}.`,
  );
}

/** The range of a number, as errors and the reference page give it. */
export function rangeOf(setting: NumberSetting): string {
  return `${setting.min} to ${setting.max}`;
}

function numberValue(key: string, setting: NumberSetting, value: unknown): number {
  const number = typeof value === "string" && /^\s*[+-]?\d+(\.\d+)?\s*$/.test(value) ? Number(value) : value;
  if (
    typeof number !== "number" ||
    !(number >= setting.min && number <= setting.max) ||
    (setting.type === "integer" && !Number.isInteger(number))
  ) {
    const kind = setting.type === "integer" ? "a whole number" : "a number";
    throw wrong(key, setting, value, `${kind} from ${rangeOf(setting)}`);
  }
  return number;
}

function booleanValue(key: string, setting: Setting, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  const word = typeof value === "string" ? value.trim().toLowerCase() : undefined;
  if (word === "true") return true;
  if (word === "false") return false;
  throw wrong(key, setting, value, "true or false");
}

function stringValue(key: string, setting: Setting, value: unknown): string {
  if (typeof value !== "string") throw wrong(key, setting, value, "a string");
  if (value === "" && setting.required === true)
    throw wrong(key, setting, value, "a string that is not empty");
  return value;
}

function enumValue(key: string, setting: EnumSetting, value: unknown): string | number {
  const word = typeof value === "number" || typeof value === "string" ? String(value).trim() : undefined;
  const match = Object.keys(setting.values).find((one) => one.toLowerCase() === word?.toLowerCase());
  if (match === undefined) throw wrong(key, setting, value, choices(Object.keys(setting.values)));
  return setting.values[match]!;
}

function words(value: unknown): string[] | undefined {
  if (typeof value === "string") value = value.split(",");
  if (!isStrings(value)) return undefined;
  return value.map((one) => one.trim()).filter((one) => one !== "");
}

function listValue(key: string, setting: ListSetting, value: unknown): readonly string[] {
  const list = words(value);
  if (list === undefined || list.length === 0 || !list.every((one) => setting.values.includes(one))) {
    throw wrong(key, setting, value, `one or more of ${setting.values.join(", ")}, separated by commas`);
  }
  return [...new Set(list)];
}

function serversValue(key: string, setting: ServersSetting, value: unknown): readonly BootstrapServer[] {
  const list = words(value);
  const servers = list?.map(parseServer);
  if (list === undefined || servers === undefined || servers.length === 0) {
    throw wrong(key, setting, value, "one or more brokers as host:port, separated by commas");
  }
  return servers.map((server, index) => {
    if (server !== undefined) return server;
    // Whatever stands before an @ may be a password.
    const text = list[index]!.replace(/^.*@/, "(hidden)@");
    throw new ConfigurationError(
      `"${key}" names ${shown(text, false)}, but a broker is host:port (the port from 1 to 65535), without a user or a path.`,
    );
  });
}

function callbackValue(key: string, setting: Setting, value: unknown): unknown {
  if (typeof value !== "function") throw wrong(key, setting, value, "a function");
  return value;
}

function fixedValue(key: string, setting: FixedSetting, value: unknown): boolean | string {
  if (String(value).trim().toLowerCase() !== String(setting.value)) {
    throw new ConfigurationError(
      `"${key}" is ${shown(value, false)}, but can only be ${String(setting.value)}: ${setting.why}.`,
    );
  }
  return setting.value;
}

/**
 * The value of one setting, as the client uses it.
 *
 * @throws ConfigurationError that names key, value and what it must be.
 */
export function settingValue(key: string, setting: Setting, value: unknown): unknown {
  switch (setting.type) {
    case "integer":
    case "number":
      return numberValue(key, setting, value);
    case "boolean":
      return booleanValue(key, setting, value);
    case "string":
      return stringValue(key, setting, value);
    case "enum":
      return enumValue(key, setting, value);
    case "list":
      return listValue(key, setting, value);
    case "servers":
      return serversValue(key, setting, value);
    case "callback":
      return callbackValue(key, setting, value);
    case "fixed":
      return fixedValue(key, setting, value);
  }
}
