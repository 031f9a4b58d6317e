import { spawn } from "node:child_process";
import type { LeftOut, Measured, Sample } from "./results.ts";

/** A program to measure, and what to call it. */
export interface Contender {
  readonly name: string;
  readonly version?: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** One that fails is left out; one of this library ends it all. */
  readonly isPeer?: boolean;
}

/** Beyond what it measures: to start, to join its group, to end. */
const GRACE_MS = 180_000;

/** Runs the contenders in turn (A B A B ...), so that whatever drifts on the machine drifts for all of them. */
export async function compare(
  contenders: readonly Contender[],
  env: Readonly<Record<string, string>>,
  options: {
    readonly runs: number;
    readonly timeoutMs: number;
    readonly onRun: (run: number, contender: Contender, sample: Sample) => void;
  },
): Promise<{ readonly measured: readonly Measured[]; readonly leftOut: readonly LeftOut[] }> {
  const samples = new Map<Contender, Sample[]>(contenders.map((contender) => [contender, []]));
  const leftOut: LeftOut[] = [];
  for (let run = 0; run < options.runs; run++) {
    for (const [contender, of] of samples) {
      try {
        const sample = await once(contender, env, options.timeoutMs + GRACE_MS);
        of.push(sample);
        options.onRun(run, contender, sample);
      } catch (error) {
        if (contender.isPeer !== true) throw error;
        samples.delete(contender);
        leftOut.push({ name: contender.name, why: (error as Error).message });
      }
    }
  }
  const measured = [...samples].map(([{ name, version }, of]) => ({
    name,
    ...(version === undefined ? {} : { version }),
    samples: of,
  }));
  return { measured, leftOut };
}

function once(
  contender: Contender,
  env: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<Sample> {
  return new Promise((resolve, reject) => {
    const child = spawn(contender.command, contender.args, {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env, ...contender.env },
    });
    const killChild = (): void => void child.kill("SIGTERM");
    process.once("exit", killChild);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      killChild();
    }, timeoutMs);
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      process.off("exit", killChild);
      const line = output.split("\n").find((candidate) => candidate.startsWith("{"));
      if (isLate) reject(new Error(`${contender.name} did not end within ${timeoutMs / 1_000} s`));
      else if (code !== 0 || line === undefined)
        reject(new Error(`${contender.name} ended with ${code}: ${output}`));
      else resolve(JSON.parse(line) as Sample);
    });
  });
}
