import { readFileSync } from "node:fs";
import { COMMON_SETTINGS } from "../kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../kafka/config-producer.ts";
import type { SettingTable } from "../kafka/config-setting.ts";
import { nearest } from "../nearest.ts";
import { UsageError } from "./arguments.ts";

type Settings = Readonly<Record<string, unknown>>;

/** The settings in a file of JSON. @throws UsageError when it cannot be read, or holds something else. */
export function readSettings(path: string): Settings {
  let settings: unknown;
  try {
    settings = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    // What a parser says may show what stands in the file, such as a password.
    const why = error instanceof SyntaxError ? "it is not JSON" : (error as Error).message;
    throw new UsageError(`--config ${path} cannot be read: ${why}`);
  }
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) {
    throw new UsageError(`--config ${path} must hold an object of settings`);
  }
  return settings as Settings;
}

/** Settings of a consumer and a producer together, taken apart. An unknown one goes where the nearest one belongs. */
export function splitSettings(settings: Settings): {
  readonly consumer: Settings;
  readonly producer: Settings;
} {
  const [common, consumers, producers] = [COMMON_SETTINGS, CONSUMER_SETTINGS, PRODUCER_SETTINGS].map(namesIn);
  const all = [...common!, ...consumers!, ...producers!];
  const consumer: Record<string, unknown> = {};
  const producer: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(settings)) {
    const known = all.includes(name) ? name : nearest(name, all)!;
    const everybodys = common!.has(known);
    if (everybodys || consumers!.has(known)) consumer[name] = value;
    if (everybodys || producers!.has(known)) producer[name] = value;
  }
  return { consumer, producer };
}

function namesIn(table: SettingTable): ReadonlySet<string> {
  return new Set(Object.entries(table).flatMap(([name, { aliases = [] }]) => [name, ...aliases]));
}
