import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startKafka } from "../test/kafka/broker.ts";
import { DEFAULT_KAFKA_VERSION } from "../test/kafka/kafka-jars.ts";
import { compiled, watched } from "./commands.ts";
import { fillTopics, type BenchTopic } from "./fill.ts";
import { buildPeers } from "./peers.ts";
import { report } from "./report.ts";
import { RESULTS, writeResults, written, type Results } from "./results.ts";
import { compare, type Contender } from "./run.ts";
import { scenarios, type Program, type Scenario } from "./scenarios.ts";

const ALL = scenarios(12_000_000);
/** Nothing is deleted because it is old, and the broker is not shut out when the machine is busy for seconds. */
const BROKER = { "log.retention.ms": "-1", "broker.session.timeout.ms": "30000" };
/** What a machine has that does nothing, or has only just stopped. */
const MOST_LOAD = 1;
/** From when on it is said that nothing came. */
const LONG_GAP_MS = 500;
const HELP = `Usage: npm run bench -- [NAME...] [--peers] [--long] [--quick] [--runs N] [--seconds N] [--messages N] [--results DIR]

Measures the library on a Kafka of its own, which is started here and stopped again. By default, all that takes no minutes:

${Object.entries(ALL)
  .map(([name, { what, isLong }]) => `  ${name.padEnd(16)} ${what}${isLong === true ? " (long)" : ""}`)
  .join("\n")}

  --peers      also other libraries that do the same, in turn: Arroyo for Rust (cargo) and Python (pip), kafkajs,
               @platformatic/kafka, @confluentinc/kafka-javascript. What cannot be built is named and left out
  --long       only what takes minutes
  --quick      one short run of each, to see that it works: the figures mean nothing, and are kept nowhere
  --runs       runs of each, default 5
  --seconds    how long a run lasts that has no time of its own, default 4; with --quick any run, default 1
  --messages   messages in a topic, where a run ends too, default 12,000,000 (of 0.8 kB a third of it)
  --results    where the figures go, a file for each; default bench/results. "npm run docs" makes docs/benchmarks.md of them

bench/README.md says how long it takes.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    runs: { type: "string" },
    seconds: { type: "string" },
    messages: { type: "string" },
    results: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const runs = wholeNumber("--runs", values.runs);
const seconds = wholeNumber("--seconds", values.seconds ?? (values.quick ? "1" : "4"));
const all = scenarios(wholeNumber("--messages", values.messages ?? (values.quick ? "2000000" : "12000000"))!);
const folder = values.results ?? (values.quick ? undefined : RESULTS);
const names =
  positionals.length > 0
    ? positionals
    : Object.keys(all).filter((name) => (all[name]!.isLong ?? false) === values.long);
const chosen = names.map((name) => {
  const scenario = all[name];
  return scenario === undefined ? fail(`There is no "${name}".`) : { name, scenario };
});

const peers = buildPeers(new Set(values.peers ? chosen.flatMap(({ scenario }) => scenario.peers ?? []) : []));
const [load = 0] = loadavg();
if (load > MOST_LOAD && !values.quick)
  process.stderr.write(`The machine is busy (load ${load.toFixed(1)}): the figures will mean little\n`);
compile();
const needsKafka = chosen.some(({ scenario }) => scenario.topic !== undefined);
await using kafka = needsKafka ? await startKafka({ forSpeed: true, properties: BROKER }) : undefined;
const bootstrapServers = kafka?.bootstrapServers ?? "";
const filled = new Set<string>();
const reports: string[] = [];
for (const { name, scenario } of chosen) {
  const results = await measure(name, scenario);
  reports.push(report(name, scenario, results));
  if (folder !== undefined) writeResults(folder, results);
}
process.stdout.write(`${machine()}\n${reports.join("")}`);

async function measure(name: string, scenario: Scenario): Promise<Results> {
  const started = performance.now();
  process.stderr.write(`${name}: ${scenario.what}\n`);
  const { topic } = scenario;
  for (const needed of [topic, ...scenario.programs.map((program) => program.topic)]) {
    if (needed !== undefined) await fill(needed);
  }
  const wanted = scenario.peers ?? [];
  const contenders = [
    ...scenario.programs.map((program) => contenderOf(program)),
    ...wanted.flatMap((peer) => peers.found.get(peer) ?? []),
  ];
  const runSeconds = values.quick ? seconds! : (scenario.seconds ?? seconds!);
  const messages = scenario.messages ?? topic?.messages ?? 0;
  const env = {
    BENCH_BOOTSTRAP_SERVERS: bootstrapServers,
    BENCH_TOPIC: topic?.name ?? "",
    BENCH_MESSAGES: String(values.quick ? Math.min(messages, 500_000) : messages),
    BENCH_SECONDS: String(runSeconds),
    BENCH_JSON: "1",
  };
  const [figure] = scenario.figures;
  const ofThis = values.quick ? 1 : (runs ?? scenario.runs ?? 5);
  const { feedEveryMs } = scenario;
  const stopFeed =
    feedEveryMs === undefined ? undefined : startFeed({ ...env, BENCH_FEED_EVERY_MS: String(feedEveryMs) });
  try {
    const { measured, leftOut } = await compare(contenders, env, {
      runs: ofThis,
      timeoutMs: runSeconds * 1_000,
      onRun(run, contender, sample) {
        const shown = figure === undefined ? "" : `${written(figure.of(sample))} ${figure.unit}`;
        const { longestGapMs = 0 } = sample;
        const stood = longestGapMs < LONG_GAP_MS ? "" : `, stood still for ${written(longestGapMs)} ms`;
        process.stderr.write(`  run ${run + 1}/${ofThis}  ${contender.name.padEnd(36)} ${shown}${stood}\n`);
      },
    });
    const missing = wanted.flatMap((peer) => peers.missing.get(peer) ?? []);
    for (const { name: who, why } of leftOut) process.stderr.write(`Left out: ${who} (${why})\n`);
    process.stderr.write(`  took ${Math.round((performance.now() - started) / 1_000)} s\n`);
    const date = new Date().toISOString().slice(0, 10);
    return { scenario: name, machine: machine(), date, measured, leftOut: [...missing, ...leftOut] };
  } finally {
    await stopFeed?.();
  }
}

/** Its own process: nothing that goes on in this one holds it up. */
function startFeed(env: Readonly<Record<string, string>>): () => Promise<void> {
  const child = spawn(process.execPath, [compiled("programs/feed.ts")], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  const gone = once(child, "exit");
  const stop = (): void => void child.kill();
  process.once("exit", stop);
  return async () => {
    process.off("exit", stop);
    stop();
    await gone;
  };
}

async function fill(topic: BenchTopic): Promise<void> {
  if (filled.has(topic.name)) return;
  filled.add(topic.name);
  await fillTopics(bootstrapServers, [topic]);
  // What is still to be written to the disk would be written while others are measured.
  if (!values.quick) execFileSync("sync");
}

/** As users have it: compiled. Stripping the types while it runs would cost memory, and time in each thread. */
function compile(): void {
  const compiler = join(import.meta.dirname, "../node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", import.meta.dirname], { stdio: "inherit" });
}

function contenderOf({ name, file, env = {}, topic }: Program): Contender {
  const program = compiled(file);
  const isCopying = file.endsWith("consume-produce.ts");
  const run = isCopying ? watched(process.execPath, program) : { command: process.execPath, args: [program] };
  const other = topic === undefined ? {} : { BENCH_TOPIC: topic.name };
  return { name, ...run, env: { ...env, ...other } };
}

function machine(): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const processor = cores[0]?.model.trim() ?? "unknown";
  return (
    `${cores.length} cores (${processor}), ${memory} GiB, ${type()} ${release()}, Node ${process.version}, ` +
    `Kafka ${DEFAULT_KAFKA_VERSION} on the same cores`
  );
}

function wholeNumber(flag: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1)
    return fail(`${flag} takes a whole number from 1 up, not "${value}"`);
  return number;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n\n${HELP}`);
  process.exit(2);
}
