import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";
import { delimiter, join } from "node:path";
import { intoTarget, watched } from "./commands.ts";
import type { LeftOut } from "./results.ts";
import type { Contender } from "./run.ts";

const PROGRAMS = join(import.meta.dirname, "peers/javascript");

const CLIENTS = {
  kafkajs: {
    dependency: "kafkajs",
    consume: "kafkajs, eachBatch",
    pipe: "kafkajs, eachBatch and sendBatch",
    produce: "kafkajs, sendBatch",
  },
  platformatic: {
    dependency: "@platformatic/kafka",
    consume: "@platformatic/kafka, stream",
    pipe: "@platformatic/kafka, stream and send",
    produce: "@platformatic/kafka, send",
  },
  confluent: {
    dependency: "@confluentinc/kafka-javascript",
    consume: "@confluentinc/kafka-javascript",
    pipe: "@confluentinc/kafka-javascript",
    produce: "@confluentinc/kafka-javascript",
  },
} as const;

type Client = keyof typeof CLIENTS;
type Work = "consume" | "pipe" | "produce";

/** What scenarios call a JavaScript client: what it does, and who. */
export type JavascriptPeerName = `${Work}-${Client}`;

/** Installs this folder's own package, unless it is there. Returns why it cannot be had, if so. */
export function installJavascript(): string | undefined {
  const { dependencies } = JSON.parse(readFileSync(join(import.meta.dirname, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  const isThere = Object.entries(dependencies).every(([name, pinned]) => versionOf(name) === pinned);
  if (isThere) return undefined;
  process.stderr.write("Installing clients for JavaScript\n");
  const { status } = spawnSync("npm", ["ci", "--silent", "--no-audit", "--no-fund"], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return status === 0 ? undefined : "npm could not install it";
}

/** @param lack why none of them can be had, if so. */
export function javascriptPeer(peer: JavascriptPeerName, lack: string | undefined): Contender | LeftOut {
  const [work, client] = peer.split("-") as [Work, Client];
  const { dependency, [work]: name } = CLIENTS[client];
  if (lack !== undefined) return { name, why: lack };
  const installed = versionOf(dependency);
  if (installed === undefined)
    return { name, why: "there is no binary of it to download here, and it was not built" };
  const node = nodes().find((candidate) => loads(candidate, dependency));
  if (node === undefined) return { name, why: "it loads in none of the Nodes that are here" };
  const on = node === process.execPath ? "" : ` on Node ${versionOfNode(node)}`;
  const program = [node, join(PROGRAMS, `${peer}.mjs`)] as const;
  const run = {
    consume: { command: node, args: program.slice(1) },
    pipe: watched(...program),
    produce: intoTarget(...program),
  };
  // kafkajs sets timers that are overdue.
  return { name, version: `${dependency} ${installed}${on}`, ...run[work], env: { NODE_NO_WARNINGS: "1" } };
}

function versionOf(dependency: string): string | undefined {
  const manifest = findManifest(dependency);
  if (manifest === undefined) return undefined;
  return (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version;
}

function findManifest(dependency: string): string | undefined {
  try {
    return findPackageJSON(dependency, import.meta.url);
  } catch {
    // It throws where there is none.
    return undefined;
  }
}

/** This one first: a binary may be made for one of them only. */
function nodes(): string[] {
  const onPath = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "node"));
  return [process.execPath, ...onPath.filter((path) => existsSync(path))];
}

function loads(node: string, dependency: string): boolean {
  const script = `import("${dependency}").catch(() => process.exit(1))`;
  return spawnSync(node, ["-e", script], { cwd: PROGRAMS, stdio: "ignore" }).status === 0;
}

function versionOfNode(node: string): string {
  return spawnSync(node, ["--version"], { encoding: "utf8" }).stdout.trim();
}
