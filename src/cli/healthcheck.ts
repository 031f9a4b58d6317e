import { statSync, unlinkSync } from "node:fs";
import { readArguments } from "./arguments.ts";
import { formatDuration, parseDuration } from "./duration.ts";

const HELP = `Usage: arroyo healthcheck PATH [--max-age DURATION]

The liveness probe for a consumer with a Healthcheck("PATH", ...) step. The consumer touches the file about once a
second while it is alive.

Without --max-age the file is removed; it is a failure if it is not there, since then the consumer has not touched it
since the last probe. Probe less often than max.poll.interval.ms.

  --max-age DURATION  look at the file's age instead, and remove nothing: a failure if it is older (320s, 5m, 1500ms),
                      or is not there. Safe with several probes, and after a restart.
  --json              print the outcome as one line of JSON, healthy or not

Exit codes: 0 healthy, 1 not, 2 the command line is wrong.

Examples:
  arroyo healthcheck /tmp/health.txt --max-age 320s
  arroyo healthcheck /tmp/health.txt
`;

function complaintOfAge(path: string, maxAgeMs: number): string | undefined {
  const stats = statSync(path);
  if (!stats.isFile()) return `${path} is not a file`;
  const ageMs = Date.now() - stats.mtimeMs;
  if (ageMs <= maxAgeMs) return undefined;
  const [age, limit] = [formatDuration(ageMs), formatDuration(maxAgeMs)];
  return `${path} is ${age} old, more than ${limit}: the consumer has stopped touching it`;
}

/** Why the consumer is not healthy; undefined when it is. */
function complaint(path: string, maxAgeMs: number | undefined): string | undefined {
  try {
    if (maxAgeMs !== undefined) return complaintOfAge(path, maxAgeMs);
    unlinkSync(path);
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT") return `${path} cannot be checked: ${message}`;
    const since = maxAgeMs === undefined ? " since the last probe" : "";
    return `${path} is missing: the consumer has not touched it${since}`;
  }
}

/** `arroyo healthcheck`: resolves to the exit code. */
export function run(args: readonly string[]): number {
  const { strings, booleans, positionals } = readArguments(args, {
    flags: { "max-age": "string", json: "boolean", help: "boolean" },
    positionals: ["PATH"],
  });
  if (booleans.has("help")) {
    process.stdout.write(HELP);
    return 0;
  }
  const maxAge = strings["max-age"];
  const problem = complaint(
    positionals[0]!,
    maxAge === undefined ? undefined : parseDuration("--max-age", maxAge),
  );
  if (booleans.has("json")) {
    process.stdout.write(`${JSON.stringify({ healthy: problem === undefined, reason: problem })}\n`);
  } else if (problem !== undefined) {
    process.stderr.write(`arroyo healthcheck: ${problem}\n`);
  }
  return problem === undefined ? 0 : 1;
}
