import { Dashboard } from "../../src/dashboard/index.ts";
import { StreamProcessor, type Consumer } from "../../src/index.ts";
import type { Backend, Offsets } from "./backend.ts";
import { invoicePipeline } from "./pipeline.ts";
import { Progress, type Counts } from "./progress.ts";
import type { RateLimit } from "./rate-limit.ts";
import { onFirstSignal } from "./signals.ts";

export interface RunOptions {
  readonly group: string;
  readonly input: string;
  readonly output: string;
  readonly healthPath: string;
  readonly rateLimit: RateLimit | undefined;
  /** Where the input ends, by partition: what is read up to there is all. */
  readonly ends: Offsets;
  readonly dashboardPort: number | undefined;
}

/** How long there must be nothing left to read before the example ends. */
const QUIET_MS = 2_000;

/** How many messages are still to be read; undefined while no partition is assigned. */
function lagOf(consumer: Consumer<unknown>, ends: Offsets): number | undefined {
  if (consumer.closed) return undefined;
  const positions = consumer.tell();
  if (positions.size === 0) return undefined;
  let lag = 0;
  for (const [partition, offset] of positions) lag += Math.max(0, (ends.get(partition.index) ?? 0) - offset);
  return lag;
}

/** Runs the pipeline until all of the input has been read, or until a signal. */
export async function run(backend: Backend, options: RunOptions): Promise<Counts> {
  const { output, healthPath, rateLimit } = options;
  const counts: Counts = { read: 0, filtered: 0, written: 0 };
  await using producer = backend.producer();
  await using consumer = backend.consumer(options.group);
  const lag = (): number | undefined => lagOf(consumer, options.ends);
  const progress = new Progress(counts, lag, healthPath, process.stdout);
  const { dashboardPort: port, group: title } = options;
  await using dashboard = port === undefined ? undefined : await Dashboard.start({ title, consumer, port });
  if (dashboard !== undefined) progress.say(`Dashboard: ${dashboard.url}`);
  const processor = new StreamProcessor({
    consumer,
    topic: options.input,
    factory: invoicePipeline({ producer, output, healthPath, rateLimit, counts }),
    logger: progress.logger,
    metrics: dashboard?.metrics(),
  });
  dashboard?.follow(processor);
  using _signals = onFirstSignal((signal) => {
    progress.say(`${signal}: finishing what is in flight, then committing it`);
    processor.signalShutdown();
  });
  // Partitions may be assigned one after another: a moment without lag is not the end yet.
  let sinceMs = Infinity;
  progress.start((left) => {
    if (left !== 0) sinceMs = Infinity;
    else if (sinceMs === Infinity) sinceMs = performance.now();
    else if (performance.now() - sinceMs >= QUIET_MS) processor.signalShutdown();
  });
  try {
    await processor.run();
  } finally {
    progress.stop();
  }
  return counts;
}
