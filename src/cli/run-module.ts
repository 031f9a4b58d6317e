import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Producer } from "../backend/producer.ts";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { ProcessingStrategyFactory } from "../strategies/strategy.ts";
import { UsageError } from "./arguments.ts";

/** What `arroyo run` makes a pipeline with. The tools of the test harness have the same names. */
export interface RunTools {
  /** Writes to the same cluster that is read from. Made when it is asked for; closed by the command. */
  readonly producer: Producer<KafkaPayload>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** What a module for `arroyo run` exports as its default: a factory, or a function that makes one. */
export type RunModule =
  | ProcessingStrategyFactory<KafkaPayload>
  | ((
      tools: RunTools,
    ) => ProcessingStrategyFactory<KafkaPayload> | Promise<ProcessingStrategyFactory<KafkaPayload>>);

/**
 * Loads a module and makes the factory that it exports.
 *
 * @throws UsageError when there is no such module, or when it exports something else. What the module itself throws comes
 * through as it is.
 */
export async function loadFactory(
  path: string,
  tools: RunTools,
): Promise<ProcessingStrategyFactory<KafkaPayload>> {
  const file = resolve(path);
  if (!existsSync(file)) throw new UsageError(`MODULE ${path} is not there (looked for ${file})`);
  const loaded = (await import(pathToFileURL(file).href)) as { readonly default?: unknown };
  const made = loaded.default;
  if (made === undefined) throw new UsageError(`${path} has no default export: ${WANTED}`);
  if (typeof made !== "function") return checked(path, made);
  if (/^class\b/.test(Function.prototype.toString.call(made))) {
    throw new UsageError(
      `${path} exports a class: export an instance of it (export default new ${made.name}())`,
    );
  }
  return checked(path, await (made as (tools: RunTools) => unknown)(tools));
}

const WANTED =
  "export a ProcessingStrategyFactory, such as pipeline()...commit(), or a function that makes one";

function checked(path: string, made: unknown): ProcessingStrategyFactory<KafkaPayload> {
  if (typeof made === "object" && made !== null && "createWithPartitions" in made) {
    return made as ProcessingStrategyFactory<KafkaPayload>;
  }
  const hint =
    typeof made === "object" && made !== null && "commit" in made ? " (a pipeline ends with .commit())" : "";
  throw new UsageError(`${path} does not export a factory${hint}: ${WANTED}`);
}
