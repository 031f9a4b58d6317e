import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Contender } from "./run.ts";

const PEERS = join(import.meta.dirname, "peers");
const RUST = join(PEERS, "arroyo-rust");
const PYTHON = join(PEERS, "arroyo-python");
const JAVASCRIPT = join(PEERS, "javascript");

/** Says what is left out, and why. */
function missing(who: string, why: string): undefined {
  process.stderr.write(`Left out: ${who} (${why})\n`);
  return undefined;
}

function succeeds(command: string, args: readonly string[], cwd: string): boolean {
  return spawnSync(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] }).status === 0;
}

/** Builds what can be built of the peers, and says what it is. By the names that scenarios use. */
export function buildPeers(wanted: ReadonlySet<string>): ReadonlyMap<string, Contender> {
  const found = new Map<string, Contender>();
  const isWanted = (...names: string[]): boolean => names.some((name) => wanted.has(name));
  if (isWanted("rust", "rust-untuned", "rust-latency")) for (const [k, v] of rust()) found.set(k, v);
  if (isWanted("python")) for (const [k, v] of python()) found.set(k, v);
  if (isWanted("kafkajs", "platformatic", "confluent")) for (const [k, v] of javascript()) found.set(k, v);
  return found;
}

function rust(): [string, Contender][] {
  const who = "Arroyo for Rust";
  if (spawnSync("cargo", ["--version"]).status !== 0) {
    missing(who, "there is no cargo here");
    return [];
  }
  process.stderr.write(`Building ${who}\n`);
  const consume = join(RUST, "target/release/consume");
  if (!succeeds("cargo", ["build", "--release", "--quiet"], RUST) || !existsSync(consume)) {
    missing(who, "it could not be built");
    return [];
  }
  const tuned = { BENCH_TUNED: "1" };
  return [
    ["rust", { name: `${who}, tuned`, command: consume, args: [], env: tuned }],
    ["rust-untuned", { name: `${who}, as it comes`, command: consume, args: [] }],
    ["rust-latency", { name: who, command: join(RUST, "target/release/latency"), args: [] }],
  ];
}

function python(): [string, Contender][] {
  const who = "Arroyo for Python";
  const command = join(PYTHON, ".venv/bin/python");
  const made =
    existsSync(command) ||
    (succeeds("python3", ["-m", "venv", ".venv"], PYTHON) &&
      succeeds(command, ["-m", "pip", "install", "--quiet", "-r", "requirements.txt"], PYTHON));
  if (!made) {
    missing(who, "it could not be installed");
    return [];
  }
  const env = { BENCH_TUNED: "1" };
  return [["python", { name: `${who}, tuned`, command, args: [join(PYTHON, "consume.py")], env }]];
}

function javascript(): [string, Contender][] {
  const installed = (name: string): boolean => existsSync(join(JAVASCRIPT, "node_modules", name));
  if (!installed("kafkajs")) succeeds("npm", ["install", "--silent", "--no-audit", "--no-fund"], JAVASCRIPT);
  const clients: readonly (readonly [string, string, string])[] = [
    ["kafkajs", "kafkajs", "kafkajs eachBatch"],
    ["platformatic", "@platformatic/kafka", "@platformatic/kafka stream"],
    ["confluent", "@confluentinc/kafka-javascript", "@confluentinc/kafka-javascript"],
  ];
  const found: [string, Contender][] = [];
  for (const [key, dependency, name] of clients) {
    const program = join(JAVASCRIPT, `consume-${key}.mjs`);
    // It can be there and still not load: its binary is made when it is installed.
    const loads =
      installed(dependency) && succeeds(process.execPath, ["-e", `import("${dependency}")`], JAVASCRIPT);
    if (loads) found.push([key, { name, command: process.execPath, args: [program] }]);
    else missing(name, "it could not be installed");
  }
  return found;
}
