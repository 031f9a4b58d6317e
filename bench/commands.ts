import { join } from "node:path";
import type { Contender } from "./run.ts";

/** How a program of ours is run once it is compiled. */
export function compiled(file: string): string {
  return join(import.meta.dirname, "dist/bench", file.replace(".ts", ".js"));
}

/** A program that copies a topic to BENCH_TARGET: what arrives there is measured. */
export function watched(...command: readonly string[]): Pick<Contender, "command" | "args"> {
  return { command: process.execPath, args: [compiled("programs/watch.ts"), ...command] };
}

/** A program that writes to BENCH_TARGET, and measures itself. */
export function intoTarget(...command: readonly string[]): Pick<Contender, "command" | "args"> {
  return { command: process.execPath, args: [compiled("programs/into-target.ts"), ...command] };
}
