import { randomBytes } from "node:crypto";
import type { BenchTopic } from "./fill.ts";

/** Of the big messages there are so many fewer. */
const LARGE = 3;

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
  for (let k = 0; k < 18; k++) tags[`k${k}`] = words[Math.floor(Math.random() * words.length)]!;
  return Buffer.from(JSON.stringify({ id: i, ts: 1_700_000_000 + i, tags }));
}

/** Messages of 100 bytes, not compressed. */
export function small(partitions: number, messages: number): BenchTopic {
  return { name: `b100x${partitions}`, partitions, messages, codec: "none", value: hundredBytes };
}

/** Documents of 0.8 kB in four partitions: a third as many. */
export function large(codec: BenchTopic["codec"], messages: number): BenchTopic {
  const name = `b1kr-${codec}`;
  return { name, partitions: 4, messages: Math.ceil(messages / LARGE), codec, value: document };
}
