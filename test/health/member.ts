import { execFileSync } from "node:child_process";
import {
  CommitOffsets,
  HealthServer,
  KafkaPayload,
  RunTask,
  StreamProcessor,
  silentLogger,
} from "../../src/index.ts";
import { LocalBroker } from "../../src/local/index.ts";

/**
 * A consumer of an embedded broker in a process of its own, whose main thread gets into trouble at its first message. It says
 * on standard output what happens.
 */

export type Trouble = "loop" | "native" | "none";

const trouble = (process.env["TROUBLE"] ?? "none") as Trouble;

function say(event: string): void {
  process.stdout.write(`${event}\n`);
}

function loopForever(): void {
  for (const untilMs = performance.now() + 3_000; performance.now() < untilMs;);
}

function callSomethingSlow(): void {
  execFileSync("sleep", ["3"]);
}

await using broker = new LocalBroker();
await broker.createTopic("orders", 1);
const processor = new StreamProcessor({
  consumer: broker.consumer({ "group.id": "g", "auto.offset.reset": "earliest" }),
  topic: "orders",
  stuckDetectorTimeoutMs: 1_000,
  metrics: {
    increment: (name) => name === "arroyo.consumer.stuck" && say(`counted ${name}`),
    gauge: () => {},
    timing: () => {},
  },
  logger: { ...silentLogger, warn: (fields, message) => say(`warn ${message} ${JSON.stringify(fields)}`) },
  factory: {
    createWithPartitions(commit) {
      return new RunTask(({ payload }) => {
        if (trouble === "loop") loopForever();
        if (trouble === "native") callSomethingSlow();
        return payload;
      }, new CommitOffsets(commit));
    },
  },
});
const health = new HealthServer({ watch: processor, port: 0, rules: { pollTimeoutMs: 1_500 } });
await health.listen();
say(`port ${health.port}`);
process.on("message", () => processor.signalShutdown());
process.channel?.unref();
await broker.producer().produce("orders", new KafkaPayload(null, "1"));
await processor.run();
say("ended");
