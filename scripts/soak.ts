// npm run soak -- [--minutes N] [--rate N] [--seed N]: a cluster of three brokers, a producer, and a group of members for each
// group protocol, with faults all the time. Says in the end what was lost (which must be nothing) and what was handled again.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { readArguments, UsageError } from "../src/cli/arguments.ts";
import type { FaultName } from "../test/faults/faults.ts";
import { SeededRandom } from "../test/seeded-random.ts";
import { PROTOCOLS, Scene, type Protocol } from "../test/faults/scene.ts";
import { injectFaults } from "../test/faults/schedule.ts";
import { startKafka } from "../test/kafka/broker.ts";
import { Scratch } from "../test/kafka/e2e/member-process.ts";
import { KafkaTest } from "../test/kafka/kafka-test.ts";
import { KafkaProxy } from "../test/kafka/proxy.ts";

const HELP = `Usage: npm run soak [-- FLAGS]

  --minutes N    how long faults are injected (default 20)
  --rate N       messages a second (default 300)
  --seed N       the same seed injects the same faults (default: a random one, which is printed)
  --json FILE    where the result goes as JSON
`;

const PARTITIONS = 6;
const CATCH_UP_MS = 180_000;

function number(flag: string, text: string | undefined, instead: number): number {
  if (text === undefined) return instead;
  if (/^\d+(\.\d+)?$/.test(text) && Number(text) > 0) return Number(text);
  throw new UsageError(`--${flag} is ${JSON.stringify(text)}, but must be a number above 0`);
}

/** Resident memory of a process, in MiB. */
function residentMib(pid: number | undefined): number {
  try {
    const [, kib = "0"] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Math.round(Number(kib) / 1_024);
  } catch {
    return 0;
  }
}

const { strings, booleans } = readArguments(process.argv.slice(2), {
  flags: { minutes: "string", rate: "string", seed: "string", json: "string", help: "boolean" },
  positionals: [],
});
if (booleans.has("help")) {
  process.stdout.write(HELP);
  process.exit(0);
}
const minutes = number("minutes", strings["minutes"], 20);
const rate = number("rate", strings["rate"], 300);
const seed = number("seed", strings["seed"], Math.ceil(Math.random() * 1_000_000));
const random = new SeededRandom(seed);
console.log(`Seed ${seed}: ${minutes} minutes, ${rate} messages a second, ${cpus().length} cores.`);

using scratch = new Scratch();
await using brokers = await startKafka({
  brokers: 3,
  properties: { "min.insync.replicas": "2", "unclean.leader.election.enable": "false" },
});
const kafka = new KafkaTest(brokers.bootstrapServers);
const topic = await kafka.createTopic({ partitions: PARTITIONS, replicas: 3 });
await using proxy = await KafkaProxy.start(brokers.bootstrapServers);
const protocols = Object.keys(PROTOCOLS) as Protocol[];
const scene = new Scene({ kafka, servers: proxy.bootstrapServers, topic, protocols, scratch, rate });
for (const group of scene.groups) {
  group.join();
  group.join();
}
await scene.progress(rate);
await scene.caughtUp(CATCH_UP_MS);
const memoryBefore = scene.groups.map((group) =>
  Math.max(...group.members.map(({ child }) => residentMib(child.pid))),
);

const injected: Partial<Record<FaultName, number>> = {};
const untilMs = performance.now() + minutes * 60_000;
let slowestMs = 0;
await injectFaults({
  brokers,
  proxy,
  scene,
  random,
  milliseconds: minutes * 60_000,
  catchUpMs: CATCH_UP_MS,
  pauseMs: 5_000,
  over: (name, tookMs) => {
    injected[name] = (injected[name] ?? 0) + 1;
    slowestMs = Math.max(slowestMs, tookMs);
    const leftS = Math.max(0, Math.round((untilMs - performance.now()) / 1_000));
    console.log(
      `${name}: caught up after ${Math.round(tookMs)} ms; ${scene.acknowledged.count} acknowledged, ${leftS} s left`,
    );
  },
});
const memoryAfter = scene.groups.map((group) =>
  Math.max(...group.members.map(({ child }) => residentMib(child.pid))),
);
await scene.stopProducing();
await scene.caughtUp(CATCH_UP_MS);
for (const group of scene.groups)
  for (const member of [...group.members]) await group.part(member, "SIGTERM");

const groups = scene.groups.map((group, at) => ({
  protocol: group.protocol,
  ...group.verdict(scene.acknowledged),
  rebalances: group.count("arroyo.consumer.kafka.rebalance"),
  putOut: group.count("arroyo.consumer.kafka.lost"),
  memoryMib: { before: memoryBefore[at], after: memoryAfter[at] },
}));
const result = {
  seed,
  minutes,
  rate,
  acknowledged: scene.acknowledged.count,
  undelivered: scene.undelivered.length,
  faults: injected,
  slowestCatchUpMs: Math.round(slowestMs),
  groups,
};
if (strings["json"] !== undefined)
  writeFileSync(strings["json"], `${JSON.stringify(result, undefined, 2)}\n`);
console.log(JSON.stringify(result, undefined, 2));
console.log("\n| Protocol | Handled | Again | Lost | Rebalances | Put out | Memory before, after (MiB) |");
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const { protocol, handled, again, lost, rebalances, putOut, memoryMib } of groups) {
  const memory = `${memoryMib.before}, ${memoryMib.after}`;
  console.log(`| ${protocol} | ${handled} | ${again} | ${lost} | ${rebalances} | ${putOut} | ${memory} |`);
}
const isGood =
  scene.undelivered.length === 0 &&
  groups.every(({ lost, complaints }) => lost === 0 && complaints.length === 0);
await scene[Symbol.asyncDispose]();
await kafka.close();
process.exitCode = isGood ? 0 : 1;
