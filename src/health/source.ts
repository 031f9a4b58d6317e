import type { Vitals } from "../backend/vitals.ts";
import { ConfigurationError } from "../errors.ts";

/** Whose health can be told: a `StreamProcessor`, or a consumer of this library. */
export interface HealthSource {
  readonly vitals?: Vitals | undefined;
}

/** One of them, or several with the names that they are told under. */
export type HealthSources = HealthSource | Readonly<Record<string, HealthSource>>;

/** @throws ConfigurationError when nothing can be known of one of them. */
export function vitalsOf(sources: HealthSources): ReadonlyMap<string, Vitals> {
  const { vitals } = sources as HealthSource;
  // A source with vitals is one of its own; anything else is a list of them.
  const isOne = vitals !== undefined && "buffer" in vitals;
  const named: readonly (readonly [string, HealthSource])[] = isOne
    ? [["consumer", sources]]
    : Object.entries(sources as Readonly<Record<string, HealthSource>>);
  const all = new Map<string, Vitals>();
  for (const [name, source] of named) {
    if (source.vitals === undefined) {
      throw new ConfigurationError(
        `Health: ${JSON.stringify(name)} does not tell how it is: give its StreamProcessor instead.`,
      );
    }
    all.set(name, source.vitals);
  }
  if (all.size === 0)
    throw new ConfigurationError("Health: there is nothing to watch: give a StreamProcessor.");
  return all;
}
