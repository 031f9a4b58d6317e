export const servers = process.env.BENCH_BOOTSTRAP_SERVERS;
export const topic = process.env.BENCH_TOPIC;
export const groupId = `bench-js-${process.pid}-${Date.now()}`;
const wanted = Number(process.env.BENCH_MESSAGES);
const mostMs = Number(process.env.BENCH_SECONDS) * 1_000;
let seen = 0;
let startedMs = 0;
let isOver = false;

/** Counts a message, and ends the process with the last one. */
export function hit() {
  if (seen === 0) startedMs = performance.now();
  seen++;
  if ((seen !== wanted && seen % 1_024 !== 0) || isOver) return;
  const ms = performance.now() - startedMs;
  if (seen < wanted && ms < mostMs) return;
  isOver = true;
  const sample = { messages: seen, seconds: ms / 1_000, rssMegabytes: process.memoryUsage().rss / 1e6 };
  process.stdout.write(`${JSON.stringify(sample)}\n`, () => process.exit(0));
}
