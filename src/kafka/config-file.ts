import { readFile } from "node:fs/promises";
import { systemClock } from "../clock.ts";
import { ConfigurationError } from "../errors.ts";
import { stderrLogger, type Logger } from "../logger.ts";
import { sleep } from "./client/latch.ts";
import type { KafkaProducerConfig } from "./config.ts";
import type { ProducerSettingsSource } from "./reloading-producer.ts";

const DEFAULT_EVERY_MS = 5_000;

/** How {@link watchConfigFile} looks at its file. */
export interface WatchConfigFileOptions {
  /** How often, in ms, the file is read. Default 5,000. */
  readonly everyMs?: number | undefined;
  /** Where log lines go; standard error by default. */
  readonly logger?: Logger | undefined;
}

/**
 * Settings from a JSON file, such as a mounted ConfigMap or Secret: an object with the keys of a KafkaProducerConfig. It is read
 * again and again, which works with every kind of file system. What cannot be read, or is no such object, is logged and
 * passed over.
 */
export function watchConfigFile(path: string, options: WatchConfigFileOptions = {}): ProducerSettingsSource {
  const { everyMs = DEFAULT_EVERY_MS, logger = stderrLogger } = options;
  if (!(everyMs > 0))
    throw new ConfigurationError(`watchConfigFile: everyMs is ${everyMs}, but must be above 0.`);
  return async function* watch(signal) {
    let seen: string | undefined;
    let problem: string | undefined;
    while (!signal.aborted) {
      try {
        const text = await readFile(path, "utf8");
        if (text !== seen) {
          const config = parse(path, text);
          seen = text;
          yield config;
        }
        problem = undefined;
      } catch (error) {
        if (signal.aborted) return;
        const message = error instanceof Error ? error.message : String(error);
        if (message !== problem)
          logger.error({ err: error, file: path }, "The file with settings is of no use as it is.");
        problem = message;
      }
      await sleep(systemClock, everyMs, signal).catch(() => {});
    }
  };
}

function parse(path: string, text: string): KafkaProducerConfig {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    // The parser's own message shows a part of the text, and there are passwords in it.
    throw new ConfigurationError(`${path} is not JSON.`);
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new ConfigurationError(`${path} does not hold an object with settings.`);
  }
  return config as KafkaProducerConfig;
}
