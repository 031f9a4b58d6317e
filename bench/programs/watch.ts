import { spawn } from "node:child_process";
import { once } from "node:events";
import { settings } from "./meter.ts";
import { newTarget } from "./target.ts";
import { printSample } from "./sample.ts";

/**
 * watch.ts COMMAND...: starts a program that copies a topic to BENCH_TARGET, and measures how fast messages arrive there:
 * from the first one that is in the log on. So those are measured alike that do not wait for acknowledgements themselves.
 */
const LOOK_EVERY_MS = 20;
const GRACE_MS = 2_000;

const [command = "", ...args] = process.argv.slice(2);
await using target = await newTarget();
const child = spawn(command, args, {
  stdio: ["ignore", "ignore", "inherit"],
  env: { ...process.env, BENCH_TARGET: target.name },
});
const gone = once(child, "exit").then(() => true as const);
process.on("exit", () => child.kill("SIGKILL"));
process.once("SIGTERM", () => process.exit(1));

let from = 0;
let startedMs = 0;
for (;;) {
  const count = await target.count();
  const nowMs = performance.now();
  const seconds = (nowMs - startedMs) / 1_000;
  if (startedMs === 0) {
    if (count > 0) [from, startedMs] = [count, nowMs];
  } else if (count >= settings.messages || seconds >= settings.seconds) {
    printSample({ messages: count - from, seconds });
    break;
  }
  const soon = new Promise<false>((resolve) => setTimeout(() => resolve(false), LOOK_EVERY_MS));
  if (await Promise.race([gone, soon]))
    throw new Error(`${command} ended with ${child.exitCode} when ${count} messages had arrived`);
}
child.kill();
const kill = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
await gone;
clearTimeout(kill);
