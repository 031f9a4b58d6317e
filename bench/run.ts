import { spawn } from "node:child_process";

/** What a measured program prints. */
export interface Sample {
  readonly messages: number;
  readonly seconds: number;
  readonly cpuSeconds?: number;
  readonly rssMegabytes?: number;
}

/** A program to measure, and what to call it. */
export interface Contender {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Result {
  readonly name: string;
  /** Messages a second. */
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
): Promise<Result[]> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
  for (let run = 0; run < runs; run++) {
    for (const contender of contenders) {
      const sample = await once(contender, env);
      samples.get(contender.name)?.push(sample);
      const rate = Math.round(sample.messages / sample.seconds).toLocaleString("en");
      process.stderr.write(
        `  run ${run + 1}/${runs}  ${contender.name.padEnd(28)} ${rate.padStart(12)} messages/s\n`,
      );
    }
  }
  return contenders.map(({ name }) => summary(name, samples.get(name) ?? []));
}

function summary(name: string, samples: readonly Sample[]): Result {
  const rates = samples.map(({ messages, seconds }) => messages / seconds).toSorted((a, b) => a - b);
  return {
    name,
    median: rates[Math.floor(rates.length / 2)] ?? 0,
    min: rates[0] ?? 0,
    max: rates.at(-1) ?? 0,
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
