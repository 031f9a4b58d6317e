import { cpus, release, totalmem, type } from "node:os";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DEFAULT_KAFKA_VERSION } from "../test/kafka/kafka-jars.ts";
import { startKafka } from "../test/kafka/broker.ts";
import { feedTopic, fillTopics } from "./fill.ts";
import { buildPeers } from "./peers.ts";
import { reportTable, type Report } from "./report.ts";
import { compare, type Contender, type Sample } from "./run.ts";
import { scenarios, type Program, type Scenario } from "./scenarios.ts";

const ALL = scenarios(10_000_000);
const HELP = `Usage: npm run bench -- [NAME...] [--peers] [--runs N] [--messages N] [--json FILE]

Measures the library on a Kafka of its own, started here and stopped again. By default, all of:

${Object.entries(ALL)
  .map(([name, { what }]) => `  ${name.padEnd(16)} ${what}`)
  .join("\n")}

  --peers      also other libraries that do the same, in turn: Arroyo for Rust (cargo) and Python (pip), kafkajs,
               @platformatic/kafka, @confluentinc/kafka-javascript. What cannot be built is named and left out
  --runs       runs of each, default 5
  --messages   messages that a run reads, default 10,000,000 (of 0.8 kB a third of it)
  --json       also write the figures to a file; "node bench/plot.ts FILE" makes the pictures of the documentation

What each step costs a message, without a broker: node bench/breakdown.ts
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: "boolean", default: false },
    runs: { type: "string", default: "5" },
    messages: { type: "string", default: "10000000" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const runs = wholeNumber("--runs", values.runs);
const all = scenarios(wholeNumber("--messages", values.messages));
const chosen = (positionals.length > 0 ? positionals : Object.keys(all)).map((name) => {
  const scenario = all[name];
  return scenario === undefined ? fail(`There is no "${name}".`) : { name, scenario };
});

const wanted = new Set(values.peers ? chosen.flatMap(({ scenario }) => scenario.peers ?? []) : []);
const peers = buildPeers(wanted);
await using kafka = await startKafka({ properties: { "log.retention.ms": "-1" } });
const { bootstrapServers } = kafka;
const filled = new Set<string>();
const report: Report = { machine: machine(), scenarios: {} };
for (const { name, scenario } of chosen) report.scenarios[name] = await measure(name, scenario);
process.stdout.write(reportTable(report));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);

async function measure(name: string, scenario: Scenario): Promise<Report["scenarios"][string]> {
  const { topic, ours, base, figure, what } = scenario;
  process.stderr.write(`${name}: ${what}\n`);
  // What the base reads, if that is another topic.
  const other = Object.values(all).find(
    (candidate) => candidate.topic.name === base?.env?.BENCH_TOPIC,
  )?.topic;
  for (const needed of [topic, other]) {
    if (needed === undefined || filled.has(needed.name)) continue;
    filled.add(needed.name);
    await fillTopics(bootstrapServers, [needed]);
  }
  const stopFeed = topic.messages === 0 ? await feedTopic(bootstrapServers, topic.name, 5) : undefined;
  const contenders = [program("arroyo (TypeScript)", ours)];
  if (base !== undefined) contenders.push(program(base.name, base));
  for (const peer of scenario.peers ?? []) {
    const found = peers.get(peer);
    if (found !== undefined) contenders.push(found);
  }
  const env = {
    BENCH_BOOTSTRAP_SERVERS: bootstrapServers,
    BENCH_TOPIC: topic.name,
    BENCH_MESSAGES: String(topic.messages),
  };
  try {
    const results = await compare(contenders, env, runs, (sample) => figureOf(scenario, sample));
    return { what, figure, results };
  } finally {
    await stopFeed?.();
  }
}

function program(name: string, { file, env }: Program): Contender {
  const args = [join(import.meta.dirname, "programs", file)];
  return { name, command: process.execPath, args, ...(env === undefined ? {} : { env }) };
}

function figureOf({ value }: Scenario, sample: Sample): number {
  if (value === undefined) return (sample.messages ?? NaN) / (sample.seconds ?? NaN);
  return sample[value] ?? NaN;
}

function machine(): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const processor = cores[0]?.model.trim() ?? "unknown";
  return (
    `${cores.length} cores (${processor}), ${memory} GiB, ${type()} ${release()}, Node ${process.version}, ` +
    `Kafka ${DEFAULT_KAFKA_VERSION} on the same cores, ${new Date().toISOString().slice(0, 10)}`
  );
}

function wholeNumber(flag: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1)
    return fail(`${flag} takes a whole number from 1 up, not "${value}"`);
  return number;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n\n${HELP}`);
  process.exit(2);
}
