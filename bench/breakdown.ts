// node bench/breakdown.ts: what each step on the way of a message costs, one after another, on one core without a broker.
import { once } from "node:events";
import { connect } from "node:net";
import { MessageChannel, Worker } from "node:worker_threads";
import { createRecordsBatch } from "@platformatic/kafka";
import {
  CommitOffsets,
  Partition,
  RunTask,
  type BrokerMessage,
  type Message,
  type ProcessingStrategy,
} from "../src/index.ts";
import type { KafkaPayload } from "../src/kafka/index.ts";
import { readBatches } from "../src/kafka/records/batch-reader.ts";
import { Codec, decompressApart } from "../src/kafka/records/compression.ts";
import { BatchField } from "../src/kafka/records/fetched-batches.ts";
import { crc32c } from "../src/kafka/records/crc32c.ts";
import { RecordDecoder } from "../src/kafka/records/record-decoder.ts";
import type { BenchTopic } from "./fill.ts";
import { printSample } from "./programs/sample.ts";
import { markdownTable } from "./report.ts";
import { large, small } from "./topics.ts";

const ROUNDS = 5;
const ROUND_MS = 200;
const HEADER = 61;
const ROOM = 64 * 1024 * 1024;

interface Batch {
  readonly bytes: Buffer;
  readonly messages: number;
}

/** One batch as a broker sends it. */
function batchOf(topic: BenchTopic, messages: number): Batch {
  const values = Array.from({ length: messages }, (_, i) => ({
    topic: topic.name,
    key: Buffer.from(String(i % 1_000)),
    value: topic.value(i),
    timestamp: BigInt(Date.now()),
  }));
  const { buffer } = createRecordsBatch(values, { compression: topic.codec });
  return { bytes: Buffer.from(buffer), messages };
}

/** CPU time of this thread so far, in nanoseconds. What else runs on the machine does not count. */
function cpuNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1_000;
}

/** The median of some rounds, in nanoseconds of CPU time a call. */
function cost(call: () => void): number {
  for (let i = 0; i < 50; i++) call();
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startedMs = performance.now();
    const before = cpuNs();
    let calls = 0;
    while (performance.now() - startedMs < ROUND_MS) {
      call();
      calls++;
    }
    rounds.push((cpuNs() - before) / calls);
  }
  return rounds.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)]!;
}

/** A batch as it would have come if it had not been compressed. */
function plainOf({ bytes }: Batch): ConstructorParameters<typeof RecordDecoder>[1] {
  const { batches } = readBatches(bytes, { fromOffset: 0 });
  const records = decompressApart(batches[BatchField.CODEC]!, bytes.subarray(HEADER), ROOM);
  batches[BatchField.CODEC] = Codec.NONE;
  batches[BatchField.START] = 0;
  batches[BatchField.END] = records.length;
  return { buffer: Uint8Array.from(records).buffer, batches, fromOffset: 0, maxBatchBytes: ROOM };
}

function decode(fetched: ConstructorParameters<typeof RecordDecoder>[1]): BrokerMessage<KafkaPayload>[] {
  const messages: BrokerMessage<KafkaPayload>[] = [];
  const decoder = new RecordDecoder(Partition.of("t", 0), fetched);
  while (!decoder.next(1_000, messages)) continue;
  return messages;
}

/** CPU time of this thread for a byte that comes through a socket of this machine. */
async function socketCost(): Promise<number> {
  const source = `
    const { parentPort } = require("node:worker_threads");
    const chunk = Buffer.alloc(1 << 20);
    require("node:net").createServer((socket) => {
      const more = () => { while (socket.write(chunk)); };
      socket.on("drain", more).on("error", () => {});
      more();
    }).listen(0, "127.0.0.1", function () { parentPort.postMessage(this.address().port); });`;
  const worker = new Worker(source, { eval: true });
  const [port] = (await once(worker, "message")) as [number];
  const socket = connect(port, "127.0.0.1");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const from = bytes;
  const before = cpuNs();
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const nsPerByte = (cpuNs() - before) / (bytes - from);
  socket.destroy();
  await worker.terminate();
  return nsPerByte;
}

/** A buffer that is made, sent to another port and received, in nanoseconds. */
async function transferCost(bytes: number): Promise<number> {
  const { port1, port2 } = new MessageChannel();
  const count = 2_000;
  let received = 0;
  const all = new Promise<void>((resolve) => {
    port2.on("message", () => {
      if (++received === count) resolve();
    });
  });
  const before = cpuNs();
  for (let i = 0; i < count; i++) {
    const { buffer } = Buffer.allocUnsafeSlow(bytes);
    port1.postMessage({ type: "records", buffer, batches: new Float64Array(9) }, [buffer]);
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await all;
  port1.close();
  return (cpuNs() - before) / count;
}

const kinds: Readonly<Record<string, Batch>> = {
  "100 B": batchOf(small(4, 1), 2_000),
  "0.8 kB, lz4": batchOf(large("lz4", 1), 300),
  "0.8 kB, zstd": batchOf(large("zstd", 1), 300),
};
const nsPerByte = await socketCost();
const table: Record<string, Record<string, number>> = {};
for (const [kind, batch] of Object.entries(kinds)) {
  const { bytes, messages } = batch;
  const codec = bytes.readInt16BE(21) & 7;
  const packed = bytes.subarray(HEADER);
  const plain = plainOf(batch);
  const decoded = decode(plain);
  const each = (ns: number): number => Math.round((ns / messages) * 10) / 10;
  const chain = (tasks: number): (() => void) => {
    let strategy: ProcessingStrategy<KafkaPayload> = new CommitOffsets(() => {});
    for (let i = 0; i < tasks; i++) {
      strategy = new RunTask<KafkaPayload, KafkaPayload>(
        (message: Message<KafkaPayload>) => message.payload,
        strategy,
      );
    }
    const first = strategy;
    return () => {
      for (const message of decoded) first.submit(message);
      first.poll();
    };
  };
  const commit = cost(chain(0));
  const oneTask = cost(chain(1));
  table[kind] = {
    socket: each(nsPerByte * bytes.length),
    CRC: each(cost(() => void crc32c(bytes.subarray(21)))),
    decompress: codec === 0 ? 0 : each(cost(() => void decompressApart(codec, packed, ROOM))),
    transfer: each((await transferCost(1024 * 1024)) * (bytes.length / (1024 * 1024))),
    "decode and message": each(cost(() => void decode(plain))),
    "first RunTask": each(oneTask - commit),
    "each further one": each((cost(chain(11)) - oneTask) / 10),
    commit: each(commit),
  };
}
const columns = Object.keys(kinds);
const rows = Object.keys(table[columns[0]!]!).map((step) => [
  step,
  ...columns.map((kind) => table[kind]![step]!.toLocaleString("en")),
]);
if (process.env["BENCH_JSON"] === undefined) {
  process.stdout.write(`${markdownTable(["ns a message", ...columns], rows)}\n`);
} else {
  const figures = columns.flatMap((kind) =>
    Object.entries(table[kind]!).map(([step, ns]) => [`${kind}: ${step}`, ns]),
  );
  printSample(Object.fromEntries(figures) as Record<string, number>);
}
