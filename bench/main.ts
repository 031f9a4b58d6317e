import { cpus, release, totalmem, type } from "node:os";
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startKafka } from "../test/kafka/broker.ts";
import { fillTopics, type BenchTopic } from "./fill.ts";
import { compare, type Contender, type Result } from "./run.ts";

const HELP = `Usage: npm run bench -- [SCENARIO...] [--peers] [--runs N] [--messages N] [--json FILE]

Measures the library on a Kafka of its own, started here and stopped again.

  consume    KafkaConsumer -> RunTask -> CommitOffsets, 100-byte messages, 4 partitions
  consume-1  the same, 1 partition
  (none)     all of them

  --peers      also Arroyo for Rust, tuned and as it comes, in turn (needs cargo, cmake and librdkafka's headers)
  --runs       runs of each, default 5
  --messages   messages to read, default 10,000,000
  --json       also write the figures to a file
`;

const DIR = import.meta.dirname;
const RUST = join(DIR, "peers/arroyo-rust");

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
const messages = wholeNumber("--messages", values.messages);

/** 100 bytes, as in bench/peers: a bit of JSON, filled up with spaces. */
function hundredBytes(i: number): Buffer {
  return Buffer.from(
    JSON.stringify({ id: i, project: i % 97, type: "event", tag: "abc"[i % 3] }).padEnd(100),
  );
}

interface Scenario {
  readonly topic: BenchTopic;
  readonly ours: string;
  readonly rust: string;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  consume: {
    topic: { name: "b100x4", partitions: 4, messages, codec: "none", value: hundredBytes },
    ours: "consume.ts",
    rust: "consume",
  },
  "consume-1": {
    topic: { name: "b100x1", partitions: 1, messages, codec: "none", value: hundredBytes },
    ours: "consume.ts",
    rust: "consume",
  },
};

const chosen = positionals.length > 0 ? positionals : Object.keys(scenarios);
for (const name of chosen) {
  if (scenarios[name] === undefined)
    fail(`There is no scenario "${name}"; there are: ${Object.keys(scenarios).join(", ")}`);
}

const rustReady = values.peers && buildRust();
await using kafka = await startKafka({ properties: { "log.retention.ms": "-1" } });
const results: Record<string, Result[]> = {};
for (const name of chosen) {
  const { topic, ours, rust } = scenarios[name] as Scenario;
  process.stderr.write(
    `${name}: filling ${topic.name} with ${topic.messages.toLocaleString("en")} messages\n`,
  );
  await fillTopics(kafka.bootstrapServers, [topic]);
  const contenders: Contender[] = [
    { name: "arroyo (TypeScript)", command: process.execPath, args: [join(DIR, "programs", ours)] },
  ];
  if (rustReady) {
    const command = join(RUST, "target/release", rust);
    contenders.push({ name: "arroyo (Rust), tuned", command, args: [], env: { BENCH_TUNED: "1" } });
  }
  const env = {
    BENCH_BOOTSTRAP_SERVERS: kafka.bootstrapServers,
    BENCH_TOPIC: topic.name,
    BENCH_MESSAGES: String(topic.messages),
  };
  results[name] = await compare(contenders, env, runs);
}
process.stdout.write(table(results));
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ machine: machine(), results }, null, 2)}\n`);
}

function buildRust(): boolean {
  if (spawnSync("cargo", ["--version"]).status !== 0) {
    process.stderr.write("Left out: Arroyo for Rust (there is no cargo here)\n");
    return false;
  }
  process.stderr.write("Building Arroyo for Rust\n");
  const built = spawnSync("cargo", ["build", "--release", "--quiet"], { cwd: RUST, stdio: "inherit" });
  if (built.status === 0 && existsSync(join(RUST, "target/release/consume"))) return true;
  process.stderr.write("Left out: Arroyo for Rust (it could not be built)\n");
  return false;
}

function table(all: Readonly<Record<string, readonly Result[]>>): string {
  const lines = [machine(), ""];
  for (const [name, contenders] of Object.entries(all)) {
    lines.push(name, "| | median, messages/s | min | max | ratio |", "|---|---|---|---|---|");
    const peer = contenders[1]?.median;
    for (const { name: who, median, min, max } of contenders) {
      const ratio = peer === undefined ? "" : `${(median / peer).toFixed(2)} x`;
      lines.push(`| ${who} | ${thousands(median)} | ${thousands(min)} | ${thousands(max)} | ${ratio} |`);
    }
    lines.push("");
  }
  return lines.join("\n");
}

function machine(): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cores.length} cores (${cores[0]?.model.trim()}), ${memory} GiB, ${type()} ${release()}, Node ${process.version}; the broker shares the cores`;
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function wholeNumber(flag: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1)
    fail(`${flag} takes a whole number from 1 up, not "${value}"`);
  return number;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n\n${HELP}`);
  process.exit(2);
}
