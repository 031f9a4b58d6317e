import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { watched } from "./commands.ts";
import { installJavascript, javascriptPeer, type JavascriptPeerName } from "./javascript-peers.ts";
import type { LeftOut } from "./results.ts";
import type { Contender } from "./run.ts";

const PEERS = join(import.meta.dirname, "peers");
const RUST = join(PEERS, "arroyo-rust");
const PYTHON = join(PEERS, "arroyo-python");

/** What scenarios call a peer: who, and with which of its programs. */
export type PeerName =
  | "rust"
  | "rust-untuned"
  | "rust-pipe"
  | "rust-latency"
  | "python"
  | "python-untuned"
  | "python-pipe"
  | "python-latency"
  | JavascriptPeerName;

export interface Peers {
  readonly found: ReadonlyMap<PeerName, Contender>;
  /** By the names that scenarios use: who cannot be measured here, and why. */
  readonly missing: ReadonlyMap<PeerName, LeftOut>;
}

/** As well as can be: librdkafka otherwise waits a second before it fetches again from a partition whose queue was full. */
const TUNED = { BENCH_TUNED: "1" };

/** Builds what can be built of those that are wanted. */
export function buildPeers(wanted: ReadonlySet<PeerName>): Peers {
  const found = new Map<PeerName, Contender>();
  const missing = new Map<PeerName, LeftOut>();
  const rust = once(buildRust);
  const python = once(installPython);
  const javascript = once(installJavascript);
  for (const peer of wanted) {
    const made = peer.startsWith("rust")
      ? rustPeer(peer, rust())
      : peer.startsWith("python")
        ? pythonPeer(peer, python())
        : javascriptPeer(peer as JavascriptPeerName, javascript());
    if ("why" in made) {
      missing.set(peer, made);
      process.stderr.write(`Left out: ${made.name} (${made.why})\n`);
    } else {
      found.set(peer, { ...made, isPeer: true });
    }
  }
  return { found, missing };
}

/** Why it cannot be had, if so. */
type Lack = string | undefined;

function buildRust(): Lack {
  if (spawnSync("cargo", ["--version"]).status !== 0) return "there is no cargo here";
  process.stderr.write("Building Arroyo for Rust\n");
  if (!succeeds("cargo", ["build", "--release", "--quiet"], RUST))
    return "it could not be built: it needs cmake and librdkafka's headers, see bench/README.md";
  return undefined;
}

function rustPeer(peer: PeerName, why: Lack): Contender | LeftOut {
  const name = `Arroyo for Rust${nameOf(peer)}`;
  if (why !== undefined) return { name, why };
  const program = (of: string): string => join(RUST, "target/release", of);
  const version = `sentry_arroyo ${/sentry_arroyo = "=(.*)"/.exec(text(RUST, "Cargo.toml"))?.[1]}`;
  if (peer === "rust-pipe") return { name, version, ...watched(program("pipe")), env: TUNED };
  const command = program(peer === "rust-latency" ? "latency" : "consume");
  return { name, version, command, args: [], env: peer === "rust-untuned" ? {} : TUNED };
}

function installPython(): Lack {
  if (spawnSync("python3", ["--version"]).status !== 0) return "there is no python3 here";
  const python = join(PYTHON, ".venv/bin/python");
  const isThere = (): boolean => succeeds(python, ["-c", "import arroyo"], PYTHON);
  if (existsSync(python) && isThere()) return undefined;
  process.stderr.write("Installing Arroyo for Python\n");
  const pip = ["-m", "pip", "install", "--quiet", "-r", "requirements.txt"];
  const isMade =
    succeeds("python3", ["-m", "venv", ".venv"], PYTHON) && succeeds(python, pip, PYTHON) && isThere();
  return isMade ? undefined : "it could not be installed with pip";
}

function pythonPeer(peer: PeerName, why: Lack): Contender | LeftOut {
  const name = `Arroyo for Python${nameOf(peer)}`;
  if (why !== undefined) return { name, why };
  const command = join(PYTHON, ".venv/bin/python");
  const version = text(PYTHON, "requirements.txt").trim().replace("==", " ");
  if (peer === "python-pipe")
    return { name, version, ...watched(command, join(PYTHON, "pipe.py")), env: TUNED };
  const program = peer === "python-latency" ? "latency.py" : "consume.py";
  return {
    name,
    version,
    command,
    args: [join(PYTHON, program)],
    env: peer === "python-untuned" ? {} : TUNED,
  };
}

function nameOf(peer: PeerName): string {
  if (peer.endsWith("-untuned")) return ", as it comes";
  return peer.endsWith("-latency") ? "" : ", tuned";
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function text(...path: string[]): string {
  return readFileSync(join(...path), "utf8");
}

function succeeds(command: string, args: readonly string[], cwd: string): boolean {
  return spawnSync(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] }).status === 0;
}
