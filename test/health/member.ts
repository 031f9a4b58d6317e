import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
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
 * A consumer of an embedded broker in a process of its own, whose main thread gets into trouble at its first message, until
 * the file GO_ON exists. It says on standard output what happens.
 */

export type Trouble = "loop" | "native" | "none";

const trouble = (process.env["TROUBLE"] ?? "none") as Trouble;
const goOn = process.env["GO_ON"] ?? "";

function say(event: string): void {
  process.stdout.write(`${event}\n`);
}

function loopForever(): void {
  while (!existsSync(goOn));
}

function callSomethingSlow(): void {
  execFileSync("sh", ["-c", 'until [ -e "$GO_ON" ]; do sleep 0.05; done']);
}

await using broker = new LocalBroker();
await broker.createTopic("orders", 1);
const processor = new StreamProcessor({
  consumer: broker.consumer({ "group.id": "g", "auto.offset.reset": "earliest" }),
  topic: "orders",
  // Where nothing is to be told, a machine that stands still for a moment is no reason.
  stuckDetectorTimeoutMs: trouble === "none" ? 60_000 : 1_000,
  metrics: {
    increment: (name, by) => name === "arroyo.consumer.stuck" && say(`counted ${by ?? 1}`),
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
