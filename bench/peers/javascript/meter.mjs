export const servers = process.env.BENCH_BOOTSTRAP_SERVERS;
export const topic = process.env.BENCH_TOPIC;
/** Where what is produced goes. */
export const target = process.env.BENCH_TARGET;
export const groupId = `bench-js-${process.pid}-${Date.now()}`;
const wanted = Number(process.env.BENCH_MESSAGES);
const mostMs = Number(process.env.BENCH_SECONDS) * 1_000;
const LOOK_EVERY = 1_024;
let seen = 0;
let lookAt = LOOK_EVERY;
let startedMs = 0;
let lookedMs = 0;
let longestGapMs = 0;
let isOver = false;

/** Begins before the first message, where it is not enough to begin with it. */
export function start() {
  startedMs = lookedMs = performance.now();
}

/** Counts messages, and ends the process with the last one. */
export function hit(messages = 1) {
  if (startedMs === 0) start();
  seen += messages;
  if ((seen < wanted && seen < lookAt) || isOver) return;
  lookAt = seen + LOOK_EVERY;
  const nowMs = performance.now();
  longestGapMs = Math.max(longestGapMs, nowMs - lookedMs);
  lookedMs = nowMs;
  const ms = nowMs - startedMs;
  if (seen < wanted && ms < mostMs) return;
  isOver = true;
  const rssMegabytes = process.memoryUsage().rss / 1e6;
  const sample = { messages: seen, seconds: ms / 1_000, longestGapMs, rssMegabytes };
  process.stdout.write(`${JSON.stringify(sample)}\n`, () => process.exit(0));
}
