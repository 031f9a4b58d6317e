import { randomBytes } from "node:crypto";
import type { BenchTopic } from "./fill.ts";

/** A program, and what it is told besides the topic. */
export interface Program {
  readonly file: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What is measured, and how the figure is to be read. */
export interface Scenario {
  readonly what: string;
  readonly topic: BenchTopic;
  readonly ours: Program;
  /** The same work, by peers that have a program for it: names of `peers.ts`. */
  readonly peers?: readonly string[];
  /** Also measured in turn, as a base to compare with. */
  readonly base?: Program & { readonly name: string };
  readonly figure: "messages/s" | "% of a core" | "ms" | "ns a message";
  /** Which number of a sample; for "messages/s" it is computed. */
  readonly value?: string;
}

const CONSUMING = ["rust", "rust-untuned", "python", "kafkajs", "platformatic", "confluent"];
const LATENCY = ["rust-latency"];

/** 100 bytes: a bit of JSON, filled up with spaces. */
function hundredBytes(i: number): Buffer {
  return Buffer.from(
    JSON.stringify({ id: i, project: i % 97, type: "event", tag: "abc"[i % 3] }).padEnd(100),
  );
}

const words = Array.from({ length: 5_000 }, () => randomBytes(16).toString("hex"));

/** JSON of 0.8 kB that compresses by little. */
function document(i: number): Buffer {
  const tags: Record<string, string> = {};
  for (let k = 0; k < 18; k++) tags[`k${k}`] = words[Math.floor(Math.random() * words.length)] as string;
  return Buffer.from(JSON.stringify({ id: i, ts: 1_700_000_000 + i, tags }));
}

/** @param messages how many each run reads of the small ones; of the large ones it is a third. */
export function scenarios(messages: number): Readonly<Record<string, Scenario>> {
  const small = (partitions: number): BenchTopic => ({
    name: `b100x${partitions}`,
    partitions,
    messages,
    codec: "none",
    value: hundredBytes,
  });
  const large = (codec: BenchTopic["codec"]): BenchTopic => ({
    name: `b1kr-${codec}`,
    partitions: 4,
    messages: Math.ceil(messages / 3),
    codec,
    value: document,
  });
  const consume: Program = { file: "consume.ts" };
  const rate = { ours: consume, figure: "messages/s" } as const;
  const few = { ...small(4), name: "quiet", messages: 60_000 };
  return {
    consume: { ...rate, what: "100 B, 4 partitions", topic: small(4), peers: CONSUMING },
    "consume-1": { ...rate, what: "100 B, 1 partition", topic: small(1), peers: CONSUMING },
    lz4: { ...rate, what: "0.8 kB of JSON, lz4, 4 partitions", topic: large("lz4"), peers: CONSUMING },
    zstd: { ...rate, what: "0.8 kB of JSON, zstd, 4 partitions", topic: large("zstd"), peers: CONSUMING },
    parse: {
      ...rate,
      what: "the same with lz4, and JSON.parse of each (peers do not parse)",
      ours: { file: "consume.ts", env: { BENCH_PARSE: "1" } },
      topic: large("lz4"),
      peers: ["rust"],
    },
    "partitions-200": {
      ...rate,
      what: "100 B, 200 partitions, beside 4",
      topic: small(200),
      base: { ...consume, name: "4 partitions", env: { BENCH_TOPIC: "b100x4" } },
    },
    "partitions-1000": {
      ...rate,
      what: "100 B, 1,000 partitions, beside 4",
      topic: small(1_000),
      base: { ...consume, name: "4 partitions", env: { BENCH_TOPIC: "b100x4" } },
    },
    tasks: {
      what: "10 more RunTasks, each: 100 B, 4 partitions",
      topic: small(4),
      ours: { file: "consume.ts", env: { BENCH_TASKS: "10" } },
      base: { ...consume, name: "none more" },
      figure: "ns a message",
      value: "nsPerMessage",
    },
    produce: {
      what: "KafkaProducer, 100 B, acks=all, a promise each, idempotent, beside without idempotence",
      topic: small(4),
      ours: { file: "produce.ts" },
      base: { file: "produce.ts", name: "not idempotent", env: { BENCH_IDEMPOTENCE: "false" } },
      figure: "messages/s",
    },
    "consume-produce": {
      what: "consume, RunTask, Produce (acks=all), CommitOffsets: 100 B, 4 partitions",
      topic: small(4),
      ours: { file: "consume-produce.ts" },
      figure: "messages/s",
    },
    first: {
      what: "run() to the first message, the group exists",
      topic: few,
      ours: { file: "first.ts" },
      figure: "ms",
      value: "ms",
    },
    idle: {
      what: "a quiet topic, both threads together",
      topic: few,
      ours: { file: "idle.ts" },
      figure: "% of a core",
      value: "percent",
    },
    slow: {
      what: "a handler at 1,000 messages/s, beyond the handler",
      topic: few,
      ours: { file: "slow.ts" },
      figure: "% of a core",
      value: "percent",
    },
    latency: {
      what: "p50 at 200 messages/s, produce to handler",
      topic: { ...few, name: "latency", partitions: 1, messages: 0 },
      ours: { file: "latency.ts" },
      peers: LATENCY,
      figure: "ms",
      value: "p50",
    },
    "latency-p99": {
      what: "p99 at 200 messages/s, produce to handler",
      topic: { ...few, name: "latency", partitions: 1, messages: 0 },
      ours: { file: "latency.ts" },
      peers: LATENCY,
      figure: "ms",
      value: "p99",
    },
  };
}
