import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The file that is the command. */
export const MAIN: string = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `arroyo` as a shell would. */
export function arroyo(args: readonly string[], nodeOptions: readonly string[] = []): Outcome {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [...nodeOptions, MAIN, ...args], {
    encoding: "utf8",
    timeout: 120_000,
  });
  if (error !== undefined) throw error;
  return { code: status, stdout, stderr };
}
