import { parseArgs } from "node:util";
import { BrokerMessage, type Message, type Submitted } from "../src/message/message.ts";
import { Partition } from "../src/message/partition.ts";
import { KafkaPayload, bodySize, payloadOfBody, writeBody } from "../src/message/payload.ts";
import { MessageRejected } from "../src/errors.ts";
import { RunTask } from "../src/strategies/run-task.ts";
import { RunTaskInWorkers } from "../src/strategies/run-task-in-workers.ts";
import { detachedRuntime } from "../src/strategies/runtime.ts";
import type { ProcessingStrategy } from "../src/strategies/strategy.ts";
import { WorkerPool } from "../src/workers/pool.ts";
import { workerTask } from "../src/workers/task.ts";
import { printSample } from "./programs/sample.ts";
import type * as taskModule from "./worker-tasks.ts";
import { busy, calibrate, nothing, setRounds } from "./worker-tasks.ts";

const HELP = `Usage: node bench/workers.ts [--runs N] [--messages N] [--bytes N] [--batch N] [--workers N]

RunTaskInWorkers beside RunTask in the same run, without a broker: how much faster a task of about 50 us gets, and
what the way to a worker and back costs when the task does nothing.
`;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "7" },
    messages: { type: "string", default: "40000" },
    bytes: { type: "string", default: "1000" },
    batch: { type: "string", default: "500" },
    workers: { type: "string", default: "2" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const runs = Number(values.runs);
const count = Number(values.messages);
const maxBatchSize = Number(values.batch);

const rounds = calibrate(50);
setRounds(rounds);
process.env["ARROYO_BENCH_ROUNDS"] = String(rounds);

const module = new URL(`./worker-tasks.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);
const tasks = workerTask<typeof taskModule>();
await using pool = new WorkerPool({
  workers: Number(values.workers),
  initializer: tasks(module, "takeRounds"),
});

/** Messages as they come out of a fetched batch. */
function messages(howMany: number): BrokerMessage<KafkaPayload>[] {
  const partition = Partition.of("bench", 0);
  const made = new KafkaPayload("key", Buffer.alloc(Number(values.bytes), "x"));
  const size = bodySize(made);
  const perBatch = 1_000;
  let bytes = Buffer.alloc(0);
  return Array.from({ length: howMany }, (_, i) => {
    if (i % perBatch === 0) bytes = Buffer.allocUnsafeSlow(perBatch * size);
    const at = (i % perBatch) * size;
    writeBody(made, bytes, at);
    return new BrokerMessage(payloadOfBody(bytes, at, at + size), partition, i, 1_000);
  });
}

class Counter implements ProcessingStrategy<KafkaPayload> {
  count = 0;

  submit(message: Submitted<KafkaPayload>): void {
    if (message.offset !== this.count) throw new Error(`Out of order: ${message.offset} at ${this.count}.`);
    this.count++;
  }

  poll(): void {}
  close(): void {}
  terminate(): void {}
  async join(): Promise<void> {}
}

interface Sample {
  readonly seconds: number;
  /** Of all threads. */
  readonly cpuSeconds: number;
}

/** Drives a strategy as the processor does: submits until it is rejected, then waits to be woken. */
async function drive(
  make: (next: Counter) => ProcessingStrategy<KafkaPayload>,
  input: readonly BrokerMessage<KafkaPayload>[],
): Promise<Sample> {
  const counter = new Counter();
  const step = make(counter);
  let wake: () => void = () => {};
  let woken = false;
  step.attach?.({
    ...detachedRuntime,
    wake: () => {
      woken = true;
      wake();
    },
  });
  const wakes = async (): Promise<void> => {
    if (!woken) await new Promise<void>((resolve) => (wake = resolve));
    woken = false;
    await new Promise((resolve) => setImmediate(resolve));
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let i = 0; i < input.length;) {
    step.poll();
    try {
      while (i < input.length) {
        step.submit(input[i]!);
        i++;
      }
    } catch (error) {
      if (!MessageRejected.is(error)) throw error;
      await wakes();
    }
  }
  step.close();
  await step.join(new AbortController().signal);
  const seconds = (performance.now() - start) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  if (counter.count !== input.length) throw new Error(`${counter.count} of ${input.length} came out.`);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

type Task = (message: Message<KafkaPayload>) => KafkaPayload;

function onMain(task: Task): (next: Counter) => ProcessingStrategy<KafkaPayload> {
  return (next) => new RunTask((message: Message<KafkaPayload>) => task(message), next);
}

function inWorkers(name: "busy" | "nothing"): (next: Counter) => ProcessingStrategy<KafkaPayload> {
  return (next) =>
    new RunTaskInWorkers({ task: tasks(module, name), pool, maxBatchSize, maxBatchTimeMs: 1_000 }, next);
}

const contenders = {
  "50 us, RunTask": { make: onMain(busy), messages: count },
  "50 us, RunTaskInWorkers": { make: inWorkers("busy"), messages: count },
  "nothing, RunTask": { make: onMain(nothing), messages: count * 10 },
  "nothing, RunTaskInWorkers": { make: inWorkers("nothing"), messages: count * 10 },
} as const;

const samples = new Map<string, Sample[]>();
// The first run of each warms up, and is not counted.
for (let run = 0; run <= runs; run++) {
  for (const [name, { make, messages: howMany }] of Object.entries(contenders)) {
    const sample = await drive(make, messages(howMany));
    if (run > 0) samples.set(name, [...(samples.get(name) ?? []), sample]);
  }
}

function median(name: keyof typeof contenders, of: (sample: Sample) => number): number {
  const sorted = samples
    .get(name)!
    .map(of)
    .toSorted((a, b) => a - b);
  return (sorted[Math.floor(sorted.length / 2)]! * 1e6) / contenders[name].messages;
}

const wall = (name: keyof typeof contenders): number => median(name, ({ seconds }) => seconds);
const cpu = (name: keyof typeof contenders): number => median(name, ({ cpuSeconds }) => cpuSeconds);

const speedUp = wall("50 us, RunTask") / wall("50 us, RunTaskInWorkers");
const overhead = cpu("nothing, RunTaskInWorkers") - cpu("nothing, RunTask");
if (process.env["BENCH_JSON"] === undefined) {
  process.stdout.write(
    `${count} messages of ${values.bytes} bytes, batches of ${maxBatchSize}, ${values.workers} workers, ` +
      `medians of ${runs} interleaved runs, us per message\n`,
  );
  for (const name of Object.keys(contenders) as (keyof typeof contenders)[]) {
    process.stdout.write(
      `  ${name.padEnd(28)} ${wall(name).toFixed(2).padStart(8)} wall ${cpu(name).toFixed(2).padStart(8)} cpu\n`,
    );
  }
  process.stdout.write(
    `speed-up ${speedUp.toFixed(2)} times (goal 1.7), overhead ${overhead.toFixed(2)} us of cpu a message on all threads, ` +
      `${wall("nothing, RunTaskInWorkers").toFixed(2)} us of wall time (goal 3)\n`,
  );
} else {
  const figures = (Object.keys(contenders) as (keyof typeof contenders)[]).flatMap((name) => [
    [`${name}: us`, wall(name)],
    [`${name}: us of CPU`, cpu(name)],
  ]);
  printSample({ ...(Object.fromEntries(figures) as Record<string, number>), speedUp, overhead });
}
