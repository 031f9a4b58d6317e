import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { guardedLogger, guardedMetrics } from "../src/guarded-sinks.ts";
import type { Metrics } from "../src/metrics/metrics.ts";
import { MetricName } from "../src/metrics/names.ts";
import { RecordingMetrics } from "../src/testing/recording-metrics.ts";

const SRC = new URL("../src/", import.meta.url).href;

/** A program whose logger, metrics and `onStatistics` throw whenever they are told something. */
const PROGRAM = `
import { KafkaConsumer, KafkaProducer, KafkaPayload } from "${SRC}kafka/index.ts";
import { LocalBroker } from "${SRC}local/index.ts";
import { StreamProcessor, RunTask, CommitOffsets, Topic } from "${SRC}index.ts";

let told = 0;
const fail = () => { told++; throw new Error("the disk is full"); };
const logger = { debug: fail, info: fail, warn: fail, error: fail };
const metrics = { increment: fail, gauge: fail, timing: fail };

const broker = new LocalBroker();
const topic = new Topic("numbers");
await broker.createTopic(topic, 1);
const producer = broker.producer();
for (let i = 0; i < 10; i++) await producer.produce(topic, new KafkaPayload(null, String(i)));
let handled = 0;
const processor = new StreamProcessor({
  consumer: broker.consumer({ "group.id": "g", "auto.offset.reset": "earliest" }),
  topic, logger, metrics,
  factory: {
    createWithPartitions: (commit) => new RunTask((message) => {
      if (++handled === 10) processor.signalShutdown();
      return message.payload;
    }, new CommitOffsets(commit)),
  },
});
await processor.run();
await broker.close();

const statistics = [0, 0];
const config = {
  "bootstrap.servers": "127.0.0.1:1", "statistics.interval.ms": 20, "reconnect.backoff.ms": 10,
};
const onStatistics = (at) => () => { statistics[at]++; fail(); };
const clients = [
  new KafkaConsumer({ ...config, "group.id": "g" }, { logger, metrics, onStatistics: onStatistics(0) }),
  new KafkaProducer(config, { logger, metrics, onStatistics: onStatistics(1) }),
];
clients[0].subscribe([topic]);
clients[1].connect().catch(() => {});
while (Math.min(...statistics) < 3) await clients[0].poll({ timeoutMs: 20 });
for (const client of clients) await client.close(100);
console.log(JSON.stringify({ handled, told: told > 20 }));
`;

async function run(program: string): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, out, err };
}

test("a logger, metrics and statistics that throw stop neither a processor nor a client", async () => {
  const { code, out, err } = await run(PROGRAM);
  assert.equal(code, 0, err);
  assert.deepEqual(JSON.parse(out), { handled: 10, told: true });
  const lines = err.split("\n").filter((line) => line.includes("throws"));
  const told = (what: string): number => lines.filter((line) => line.includes(`"${what} throws`)).length;
  assert.equal(told("The logger"), 1, "once, however many clients it is given to");
  assert.equal(told("The metrics sink"), 1);
  assert.equal(told("onStatistics"), 2, "once for each client");
  assert.ok(lines.every((line) => line.includes("the disk is full")));
});

test("what a logger does not take is counted, and what metrics do not take, once they take it", () => {
  const taken = new RecordingMetrics();
  let failing = true;
  const flaky: Metrics = {
    increment: (name, value, tags) => taken.increment(name, value, tags),
    gauge: (name, value, tags) => {
      if (failing) throw new Error("the socket is gone");
      taken.gauge(name, value, tags);
    },
    timing: () => {},
  };
  const metrics = guardedMetrics(flaky);
  assert.equal(guardedMetrics(flaky), metrics);
  assert.equal(guardedMetrics(metrics), metrics);
  metrics.gauge("a", 1);
  metrics.gauge("a", 2);
  assert.deepEqual(taken.calls, []);
  failing = false;
  metrics.gauge("a", 3);
  assert.equal(taken.last("a"), 3);
  assert.equal(taken.count(MetricName.SINK_ERRORS, { sink: "metrics" }), 2);

  const broken = () => {
    throw new Error("the disk is full");
  };
  const logger = guardedLogger({ debug: broken, info: broken, warn: broken, error: broken }, metrics);
  logger.info({}, "one");
  logger.error({}, "two");
  assert.equal(taken.count(MetricName.SINK_ERRORS, { sink: "logger" }), 2);
});
