import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { COMMON_SETTINGS } from "../kafka/config-common.ts";
import { CONSUMER_SETTINGS } from "../kafka/config-consumer.ts";
import { PRODUCER_SETTINGS } from "../kafka/config-producer.ts";
import type { SettingTable } from "../kafka/config-setting.ts";
import { nearest } from "../nearest.ts";
import { UsageError } from "./arguments.ts";

type Settings = Readonly<Record<string, unknown>>;

/** What clients are made of: the file's settings, and in front of them those of the command line. */
export interface GivenSettings {
  readonly configPath: string | undefined;
  readonly set: Settings;
  readonly servers: string | undefined;
}

/**
 * All settings together, those of consumers and those of producers.
 *
 * @throws UsageError when the file cannot be read, when no broker is named, or when tokens are wanted and nothing gets them.
 */
export async function gatherSettings({ configPath, set, servers }: GivenSettings): Promise<Settings> {
  const { "metadata.broker.list": alias, ...others } = {
    ...(configPath === undefined ? {} : await readSettings(configPath)),
    ...set,
  };
  const bootstrap = servers ?? others["bootstrap.servers"] ?? alias;
  if (bootstrap === undefined) {
    throw new UsageError('--bootstrap-servers is missing (or "bootstrap.servers" in --config)');
  }
  const mechanism = others["sasl.mechanism"] ?? others["sasl.mechanisms"];
  if (mechanism === "OAUTHBEARER" && typeof others[TOKEN_CALLBACK] !== "function") {
    throw new UsageError(
      `OAUTHBEARER needs a function that gets tokens, "${TOKEN_CALLBACK}", which can stand neither in a flag nor in JSON: ` +
        "give a module with --config (kafka.mjs, say) that exports the settings, with the function among them",
    );
  }
  return { ...others, "bootstrap.servers": bootstrap };
}

const TOKEN_CALLBACK = "oauthbearer_token_refresh_cb";

/** The settings in a file of JSON, or those that a module exports. */
async function readSettings(path: string): Promise<Settings> {
  const isModule = /\.[cm]?[jt]s$/.test(path);
  let settings: unknown;
  try {
    settings = isModule ? await exportedBy(path) : JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    // What a parser says may show what stands in the file, such as a password.
    const why = error instanceof SyntaxError && !isModule ? "it is not JSON" : (error as Error).message;
    throw new UsageError(`--config ${path} cannot be read: ${why}`, { cause: error });
  }
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) {
    throw new UsageError(
      `--config ${path} must ${isModule ? "export an object of settings as its default" : "hold an object of settings"}`,
    );
  }
  return settings as Settings;
}

async function exportedBy(path: string): Promise<unknown> {
  const module = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown };
  return module.default;
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
