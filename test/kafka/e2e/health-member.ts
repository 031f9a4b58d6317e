import { existsSync } from "node:fs";
import {
  CommitOffsets,
  Healthcheck,
  HealthServer,
  RunTask,
  RunTaskConcurrently,
  StreamProcessor,
  silentLogger,
  type HealthRules,
  type Message,
} from "../../../src/index.ts";
import { KafkaConsumer, type KafkaConsumerConfig, type KafkaPayload } from "../../../src/kafka/index.ts";
import { appears } from "./files.ts";

/**
 * A consumer with probes over HTTP and a stuck detector, in a process of its own. Of the first message "block FILE" it blocks the
 * main thread until that file exists, of "wait FILE" it waits for it without blocking.
 */

export interface HealthMemberSettings {
  readonly config: Readonly<Record<string, unknown>>;
  readonly topic: string;
  readonly healthPath: string;
  readonly rules: HealthRules;
  readonly stuckDetectorTimeoutMs?: number | undefined;
}

const settings = JSON.parse(process.env["MEMBER"] ?? "{}") as HealthMemberSettings;

let hasBlocked = false;

function say(event: string): void {
  process.stdout.write(`${event}\n`);
}

function blockTheMainThread(until: string): void {
  while (!existsSync(until));
}

function order(message: Message<KafkaPayload>): [what: string, file: string] {
  const [what = "", file = ""] = message.payload.text().split(" ");
  return [what, file];
}

function handleMessage(message: Message<KafkaPayload>): KafkaPayload {
  const [what, file] = order(message);
  say(`handles ${what}`);
  if (what !== "block" || hasBlocked) return message.payload;
  hasBlocked = true;
  blockTheMainThread(file);
  say("free");
  return message.payload;
}

const processor = new StreamProcessor<KafkaPayload>({
  consumer: new KafkaConsumer(settings.config as KafkaConsumerConfig, { logger: silentLogger }),
  topic: settings.topic,
  logger: silentLogger,
  metrics: {
    increment: (name) => name === "arroyo.consumer.stuck" && say(`counted ${name}`),
    gauge: () => {},
    timing: () => {},
  },
  stuckDetectorTimeoutMs: settings.stuckDetectorTimeoutMs,
  factory: {
    createWithPartitions(commit) {
      const wait = new RunTaskConcurrently(
        async (message: Message<KafkaPayload>) => {
          const [what, file] = order(message);
          if (what === "wait") await appears(file);
          return message.payload;
        },
        { concurrency: 2 },
        new CommitOffsets(commit),
      );
      return new Healthcheck(settings.healthPath, new RunTask(handleMessage, wait));
    },
  },
});
const health = new HealthServer({ watch: processor, port: 0, rules: settings.rules });
await health.listen();
say(`port ${health.port}`);
process.once("SIGTERM", () => processor.signalShutdown());
await processor.run();
say("ended");
