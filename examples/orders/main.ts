// npm start: a small but real pipeline. pipeline.ts is the heart of it; what its flags are stands in options.ts.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../../src/cli/arguments.ts";
import { formatDuration } from "../../src/cli/duration.ts";
import { describeError } from "../../src/kafka/client/describe-error.ts";
import type { Backend } from "./backend.ts";
import { check } from "./check.ts";
import { fill } from "./fill.ts";
import { HELP, readOptions, type Options } from "./options.ts";
import { count } from "./progress.ts";
import { RateLimit } from "./rate-limit.ts";
import { run } from "./run.ts";
import { summary } from "./summary.ts";

const PARTITIONS = 4;

async function open(options: Options): Promise<Backend> {
  // Each loads only what it needs.
  if (options.bootstrapServers !== undefined) {
    const { KafkaBackend } = await import("./kafka-backend.ts");
    return new KafkaBackend(options.bootstrapServers);
  }
  const { LocalBackend } = await import("./local-backend.ts");
  return LocalBackend.open(join(options.dataDir, "broker"));
}

/** Resolves to whether all that was committed is in the output topic. */
async function example(options: Options): Promise<boolean> {
  const { name, rate, dashboardPort } = options;
  const [input, output, group] = [`${name}-orders`, `${name}-invoices`, `${name}-invoicing`];
  await mkdir(options.dataDir, { recursive: true });
  const healthPath = join(options.dataDir, "health.txt");
  await using backend = await open(options);
  console.log(`Orders in, invoices out, on ${backend.place}. Health file: ${healthPath}`);
  await backend.createTopics([input, output], PARTITIONS);
  console.log(`Making sure that ${input} has ${count(options.messages)} example orders ...`);
  const filled = await fill(backend, input, PARTITIONS, options.messages);
  console.log(
    filled === 0 ? `${input} is filled already.` : `Filled ${input} with ${count(filled)} example orders.`,
  );

  const startMs = performance.now();
  const ends = await backend.endOffsets(input);
  const rateLimit = rate === undefined ? undefined : new RateLimit(rate);
  const counts = await run(backend, { group, input, output, healthPath, rateLimit, ends, dashboardPort });
  const took = formatDuration(performance.now() - startMs);

  const committed = await backend.committed(group, input);
  console.log(`Ended after ${took}. Reading both topics again, to check them.`);
  const verdict = await check(backend, input, output, committed);
  console.log(["Done.", ...summary(counts, ends, committed, verdict)].join("\n"));
  return verdict.missing === 0;
}

function complain(error: unknown): void {
  if (error instanceof UsageError) {
    process.stderr.write(`npm start: ${error.message}\n\n${HELP}`);
    process.exitCode = 2;
    return;
  }
  process.exitCode = 1;
  const { code, message } = error as Error & { code?: unknown };
  // What this library throws on purpose says what to do; anything else is worth its stack.
  if (typeof code !== "string") throw error;
  const said = code.startsWith("ARROYO_") ? message : describeError(error);
  process.stderr.write(`npm start: ${said}\n`);
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(HELP);
  else if (!(await example(options))) process.exitCode = 1;
} catch (error) {
  complain(error);
}
