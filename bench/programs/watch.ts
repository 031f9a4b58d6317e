import { startChild } from "./child.ts";
import { Gap } from "./gap.ts";
import { settings } from "./meter.ts";
import { newTarget } from "./target.ts";
import { printSample } from "./sample.ts";

/**
 * watch.ts COMMAND...: starts a program that copies a topic to BENCH_TARGET, and measures how fast messages arrive there:
 * from the first one that is in the log on. So those are measured alike that do not wait for acknowledgements themselves.
 */
const LOOK_EVERY_MS = 20;
const GRACE_MS = 2_000;

await using target = await newTarget();
const child = startChild(process.argv.slice(2), target.name, "ignore");
const gone = child.gone.then(() => true as const);

const gap = new Gap();
let from = 0;
let before = 0;
let startedMs = 0;
for (;;) {
  const count = await target.count();
  const nowMs = performance.now();
  const seconds = (nowMs - startedMs) / 1_000;
  if (count > before) gap.look(nowMs);
  before = count;
  if (startedMs === 0) {
    if (count > 0) [from, startedMs] = [count, nowMs];
  } else if (count >= settings.messages || seconds >= settings.seconds) {
    gap.look(nowMs);
    printSample({ messages: count - from, seconds, longestGapMs: gap.longestMs });
    break;
  }
  const soon = new Promise<false>((resolve) => setTimeout(() => resolve(false), LOOK_EVERY_MS));
  if (await Promise.race([gone, soon]))
    throw new Error(`It ended with ${child.process.exitCode} when ${count} messages had arrived`);
}
child.process.kill();
const kill = setTimeout(() => child.process.kill("SIGKILL"), GRACE_MS);
await gone;
clearTimeout(kill);
