import { UsageError } from "./arguments.ts";

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * The milliseconds of a duration such as `320s`, `5m`, `1500ms` or `1.5h`.
 *
 * @throws UsageError when it is none, or not more than zero.
 */
export function parseDuration(flag: string, text: string): number {
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const milliseconds = parts === null ? 0 : Number(parts[1]) * UNITS_MS[parts[2]!]!;
  if (milliseconds <= 0) {
    throw new UsageError(
      `${flag} is ${JSON.stringify(text)}, but must be a duration like 320s, 5m or 1500ms`,
    );
  }
  return milliseconds;
}

/** A duration for people: `340 ms`, `12.3 s`, `4 min 5 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}
