import type { BenchTopic } from "./fill.ts";
import type { PeerName } from "./peers.ts";
import type { Sample } from "./results.ts";
import { large, small } from "./topics.ts";

/** A program of this library, and what it is told besides. */
export interface Program {
  readonly name: string;
  /** In this folder. */
  readonly file: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Where it reads another topic than the first one. */
  readonly topic?: BenchTopic;
}

/** A number that is read from each sample. */
export interface Figure {
  readonly name: string;
  readonly unit: "messages/s" | "% of a core" | "%" | "ms" | "MB" | "ns a message";
  of(sample: Sample): number;
}

/** What is measured, and how the figures are to be read. */
export interface Scenario {
  readonly what: string;
  /** What one has to know to read the figures. */
  readonly note?: string;
  /** Without one, nothing is read, and no broker is needed. */
  readonly topic?: BenchTopic;
  /** Measured in turn. The others are compared with the first. */
  readonly programs: readonly [Program, ...Program[]];
  /** Those that do the same work. */
  readonly peers?: readonly PeerName[];
  /** The most messages of a run, if it is not those of the topic. */
  readonly messages?: number;
  /** How long a run lasts, if not as long as all. */
  readonly seconds?: number;
  /** How many runs, if not as many as of all. */
  readonly runs?: number;
  /** While it is measured, a message is written each so many milliseconds. */
  readonly feedEveryMs?: number;
  readonly figures: readonly Figure[];
  /** Takes minutes: measured only when it is named, or with --long. */
  readonly isLong?: boolean;
}

/** It with less room for young objects than Node gives them, which is up to 96 MB. */
export const SMALL_YOUNG = "this library, node --max-semi-space-size=8";
/** What this library is called beside others. */
export const OURS = "this library";
/** What a slow handler costs without any library. */
export const HANDLER_ALONE = "the handler alone, on a timer";

function value(name: string, unit: Figure["unit"], key: string): Figure {
  return { name, unit, of: (sample) => sample[key] ?? NaN };
}

const RATE: Figure = {
  name: "throughput",
  unit: "messages/s",
  of: ({ messages = NaN, seconds = NaN }) => messages / seconds,
};
const PEAK = value("most held", "MB", "peakMegabytes");
const GROWN = value("grown", "MB", "grownMegabytes");
const PERCENT = value("CPU", "% of a core", "percent");
const CPU = value("CPU time", "ns a message", "cpuNsPerMessage");

/** Those that are not read to their end. */
const FEW = 60_000;
const LATENCIES = 2_000;

/** @param messages how many there are of the small ones; of the large ones it is a third. */
export function scenarios(messages: number): Readonly<Record<string, Scenario>> {
  const four = small(4, messages);
  const consume: Program = { name: OURS, file: "programs/consume.ts" };
  const quiet: BenchTopic = { ...small(4, FEW), name: "quiet" };
  const among = (partitions: number): Scenario => ({
    what: `100 B in ${partitions.toLocaleString("en")} partitions, beside 4`,
    topic: small(partitions, messages),
    programs: [
      { ...consume, name: `${partitions.toLocaleString("en")} partitions` },
      { ...consume, name: "4 partitions", topic: four },
    ],
    figures: [RATE],
  });
  return {
    consume: {
      what: "consume, RunTask, CommitOffsets: 100 B, 4 partitions",
      topic: four,
      programs: [consume],
      peers: [
        "rust",
        "rust-untuned",
        "python",
        "python-untuned",
        "consume-kafkajs",
        "consume-platformatic",
        "consume-confluent",
      ],
      figures: [RATE],
    },
    "consume-1": {
      what: "consume, RunTask, CommitOffsets: 100 B, 1 partition",
      topic: small(1, messages),
      programs: [consume],
      peers: ["rust", "rust-untuned"],
      figures: [RATE],
    },
    lz4: {
      what: "consume 0.8 kB of JSON, lz4, 4 partitions",
      topic: large("lz4", messages),
      programs: [consume],
      peers: ["rust", "consume-platformatic"],
      figures: [RATE],
    },
    zstd: {
      what: "consume 0.8 kB of JSON, zstd, 4 partitions",
      topic: large("zstd", messages),
      programs: [consume],
      peers: ["rust"],
      figures: [RATE],
    },
    parse: {
      what: "consume 0.8 kB of JSON, lz4, 4 partitions, JSON.parse of each value (peers do not parse)",
      topic: large("lz4", messages),
      programs: [{ ...consume, env: { BENCH_PARSE: "1" } }],
      peers: ["rust"],
      figures: [RATE],
    },
    "consume-produce": {
      what: "consume, RunTask, Produce (acks=all), CommitOffsets: 100 B, 4 partitions",
      topic: four,
      programs: [{ name: OURS, file: "programs/consume-produce.ts" }],
      peers: ["rust-pipe", "python-pipe", "pipe-kafkajs", "pipe-platformatic", "pipe-confluent"],
      figures: [RATE],
    },
    produce: {
      what: "KafkaProducer alone: 100 B, acks=all, a promise each",
      note:
        "Peers are used as suits them: kafkajs and @platformatic/kafka have a promise for a batch, of 1,000 and 5,000 " +
        "messages; @confluentinc/kafka-javascript has a delivery report for each message.",
      topic: four,
      programs: [
        { name: "idempotent", file: "programs/produce.ts" },
        { name: "not idempotent", file: "programs/produce.ts", env: { BENCH_IDEMPOTENCE: "false" } },
      ],
      peers: ["produce-kafkajs", "produce-platformatic", "produce-confluent"],
      figures: [RATE],
    },
    latency: {
      what: "from the producer to the handler, at 200 messages/s",
      note:
        "The same process produces for all of them. The clock is the system's monotonic one on both ends, and of 2,000 messages " +
        "the first half is warm-up. Peers are tuned, and have `socket.nagle.disable`, as we have.",
      topic: { ...small(1, 0), name: "latency" },
      messages: LATENCIES,
      feedEveryMs: 5,
      programs: [{ name: OURS, file: "programs/latency.ts" }],
      peers: ["rust-latency", "python-latency"],
      figures: [value("p50", "ms", "p50"), value("p99", "ms", "p99")],
    },
    idle: {
      what: "a consumer of a quiet topic, both threads together",
      topic: quiet,
      seconds: 8,
      programs: [{ name: OURS, file: "programs/idle.ts" }],
      figures: [PERCENT],
    },
    memory: {
      what: "memory at full speed, 64 MB prefetch",
      topic: four,
      seconds: 8,
      programs: [
        { name: OURS, file: "programs/memory.ts" },
        {
          name: SMALL_YOUNG,
          file: "programs/memory.ts",
          env: { NODE_OPTIONS: "--max-semi-space-size=8" },
        },
      ],
      figures: [PEAK, GROWN, RATE],
    },
    first: {
      what: "run() to the first message, the group exists",
      topic: quiet,
      programs: [{ name: OURS, file: "programs/first.ts" }],
      figures: [value("first message", "ms", "ms")],
    },
    "partitions-200": among(200),
    "partitions-1000": among(1_000),
    tasks: {
      what: "10 further RunTasks in the chain: 100 B, 4 partitions",
      topic: four,
      programs: [
        { ...consume, name: "10 further RunTasks", env: { BENCH_TASKS: "10" } },
        { ...consume, name: "none further" },
      ],
      figures: [value("time", "ns a message", "nsPerMessage"), CPU],
    },
    slow: {
      what: "a handler that takes 1,000 messages/s, beside the handler alone",
      note:
        "The handler takes a message each millisecond, does nothing with it, and rejects what comes in between, so that it is " +
        "tried again a millisecond later. Alone, it is asked by a timer of a millisecond in a process without Kafka. What the " +
        "library takes is the difference, in the same round.",
      topic: four,
      seconds: 8,
      programs: [
        { name: OURS, file: "programs/slow.ts" },
        { name: HANDLER_ALONE, file: "programs/handler-alone.ts" },
      ],
      figures: [PERCENT, PEAK, GROWN],
    },
    exporters: {
      what: "exporters for Prometheus and OpenTelemetry at full speed: 100 B, 4 partitions",
      topic: four,
      runs: 10,
      programs: [
        { ...consume, name: "with both exporters", env: { BENCH_EXPORTERS: "1" } },
        { ...consume, name: "without" },
      ],
      figures: [RATE, CPU, value("of the main thread's CPU time", "%", "exportersPercent")],
    },
    breakdown: {
      what: "what each step costs, without a broker",
      runs: 1,
      programs: [{ name: OURS, file: "breakdown.ts" }],
      figures: [],
    },
    workers: {
      what: "RunTaskInWorkers, without a broker",
      runs: 1,
      programs: [{ name: OURS, file: "workers.ts" }],
      figures: [],
    },
    "memory-10min": {
      what: "memory at full speed over ten minutes, 64 MB prefetch",
      topic: four,
      seconds: 600,
      runs: 1,
      programs: [{ name: OURS, file: "programs/memory.ts" }],
      figures: [PEAK, GROWN, RATE],
      isLong: true,
    },
    "memory-slow": {
      what: "memory with a handler that takes 1,000 messages/s, over two minutes",
      topic: four,
      seconds: 120,
      runs: 1,
      programs: [{ name: OURS, file: "programs/slow.ts" }],
      figures: [PEAK, GROWN],
      isLong: true,
    },
  };
}
