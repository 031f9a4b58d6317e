import { ConfigurationError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import type { SettingTable } from "./config-setting.ts";
import { whyUnsupported } from "./config-unsupported.ts";
import { settingValue, shown } from "./config-value.ts";

/** Which client a configuration is for, and the tables that say what it and its sibling may be given. */
export interface ConfigSide {
  readonly client: "KafkaConsumer" | "KafkaProducer";
  readonly table: SettingTable;
  readonly siblingTable: SettingTable;
}

export interface ResolvedTable {
  /** Every key but the fixed ones, under its first name. */
  readonly values: Record<string, unknown>;
  /** The keys that were given, under their first names. */
  readonly given: ReadonlySet<string>;
}

function namesOf(table: SettingTable): Map<string, string> {
  const names = new Map<string, string>();
  for (const [key, setting] of Object.entries(table)) {
    for (const name of [key, ...(setting.aliases ?? [])]) names.set(name, key);
  }
  return names;
}

const SECRET_NAME = /pass|secret|token|credential|jaas|private|\bpem\b|\bkey\b/i;

function unknownKey(
  side: ConfigSide,
  names: ReadonlyMap<string, string>,
  key: string,
  value: unknown,
): Error {
  const near = nearest(key, names.keys())!;
  const secret = SECRET_NAME.test(key) || side.table[names.get(near)!]?.secret === true;
  const what = `${side.client}: "${key}" (given as ${shown(value, secret)})`;
  const why = whyUnsupported(key);
  if (why !== undefined) return new ConfigurationError(`${what} has no effect here: ${why}`);
  if (namesOf(side.siblingTable).has(key)) {
    const [mine, other] =
      side.client === "KafkaConsumer" ? ["consumer", "producers"] : ["producer", "consumers"];
    return new ConfigurationError(
      `${what} is a setting of ${other} and has no effect on a ${mine}: leave it out.`,
    );
  }
  return new ConfigurationError(
    `${what} is not a known setting. The nearest is "${near}"; all are listed in docs/configuration.md.`,
  );
}

/**
 * Checks each setting by itself, and fills in the defaults.
 *
 * @throws ConfigurationError
 */
export function resolveTable(side: ConfigSide, config: object): ResolvedTable {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new ConfigurationError(`${side.client}: the configuration must be an object of settings.`);
  }
  const names = namesOf(side.table);
  const values: Record<string, unknown> = {};
  const givenAs = new Map<string, string>();
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined) continue;
    const key = names.get(name);
    if (key === undefined) throw unknownKey(side, names, name, value);
    const before = givenAs.get(key);
    if (before !== undefined) {
      throw new ConfigurationError(`"${before}" and "${name}" are one setting: give one of them only.`);
    }
    givenAs.set(key, name);
    values[key] = settingValue(name, side.table[key]!, value);
  }
  for (const [key, setting] of Object.entries(side.table)) {
    if (setting.type === "fixed") {
      delete values[key];
    } else if (!(key in values)) {
      if (setting.required === true) {
        throw new ConfigurationError(`${side.client}: "${key}" must be given.`);
      }
      values[key] = "default" in setting ? setting.default : undefined;
    }
  }
  return { values, given: new Set(givenAs.keys()) };
}
