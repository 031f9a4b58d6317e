export const servers = process.env.BENCH_BOOTSTRAP_SERVERS;
export const topic = process.env.BENCH_TOPIC;
export const groupId = `bench-js-${process.pid}-${Date.now()}`;
const wanted = Number(process.env.BENCH_MESSAGES);
let seen = 0;
let startedMs = 0;

/** Counts a message, and ends the process with the last one. */
export function hit() {
  if (seen === 0) startedMs = performance.now();
  if (++seen < wanted) return;
  const seconds = (performance.now() - startedMs) / 1_000;
  const rssMegabytes = process.memoryUsage().rss / 1e6;
  process.stdout.write(`${JSON.stringify({ messages: seen, seconds, rssMegabytes })}\n`, () =>
    process.exit(0),
  );
}
