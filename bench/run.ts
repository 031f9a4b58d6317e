import { spawn } from "node:child_process";

/** What a measured program prints: numbers by name. */
export type Sample = Readonly<Record<string, number>>;

/** A program to measure, and what to call it. */
export interface Contender {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Result {
  readonly name: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly samples: readonly Sample[];
}

/** Runs the contenders in turn (A B A B ...), so that whatever drifts on the machine drifts for all of them. */
export async function compare(
  contenders: readonly Contender[],
  env: Readonly<Record<string, string>>,
  runs: number,
  figure: (sample: Sample) => number,
): Promise<Result[]> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
  for (let run = 0; run < runs; run++) {
    for (const contender of contenders) {
      const sample = await once(contender, env);
      samples.get(contender.name)?.push(sample);
      process.stderr.write(
        `  run ${run + 1}/${runs}  ${contender.name.padEnd(36)} ${written(figure(sample)).padStart(12)}\n`,
      );
    }
  }
  return contenders.map(({ name }) => summary(name, samples.get(name) ?? [], figure));
}

/** With as many digits as mean something. */
export function written(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 2 : 0 });
}

function summary(name: string, samples: readonly Sample[], figure: (sample: Sample) => number): Result {
  const figures = samples.map(figure).toSorted((a, b) => a - b);
  return {
    name,
    median: figures[Math.floor(figures.length / 2)] ?? 0,
    min: figures[0] ?? 0,
    max: figures.at(-1) ?? 0,
    samples,
  };
}

function once(contender: Contender, env: Readonly<Record<string, string>>): Promise<Sample> {
  return new Promise((resolve, reject) => {
    const child = spawn(contender.command, contender.args, {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env, ...contender.env },
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      const line = output.split("\n").find((candidate) => candidate.startsWith("{"));
      if (code !== 0 || line === undefined)
        reject(new Error(`${contender.name} ended with ${code}: ${output}`));
      else resolve(JSON.parse(line) as Sample);
    });
  });
}
