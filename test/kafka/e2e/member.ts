import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import {
  CommitOffsets,
  Healthcheck,
  RunTask,
  StreamProcessor,
  silentLogger,
  type Message,
  type ProcessingStrategy,
} from "../../../src/index.ts";
import { KafkaConsumer, type KafkaConsumerConfig, type KafkaPayload } from "../../../src/kafka/index.ts";
import type { MemberSettings } from "./member-process.ts";

/**
 * A consumer as a service would be: the seed page's pipeline in a process of its own. It writes every message that it has
 * handled to a file before it goes on, so that the test knows what was handled even after a kill -9.
 */

const settings = JSON.parse(process.env["MEMBER"] ?? "{}") as MemberSettings;
const handled = openSync(settings.handledPath, "a");

function say(event: string): void {
  writeSync(1, `${event}\n`);
}

function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function handleMessage(message: Message<KafkaPayload>): KafkaPayload {
  const text = message.payload.text();
  if (settings.blockOn !== undefined && text === settings.blockOn.value) {
    say("blocking");
    const { milliseconds, until } = settings.blockOn;
    const endMs = performance.now() + milliseconds;
    while (performance.now() < endMs && !(until !== undefined && existsSync(until))) {
      block(until === undefined ? milliseconds : 50);
    }
    say("free");
  }
  if (text === settings.throwOn) throw new Error(`cannot handle ${text}`);
  if (settings.handleMs !== undefined) block(settings.handleMs);
  writeSync(handled, `${message.partition?.index} ${message.offset} ${text}\n`);
  return message.payload;
}

const processor = new StreamProcessor<KafkaPayload>({
  consumer: new KafkaConsumer(settings.config as KafkaConsumerConfig, {
    metrics: {
      increment: (name) => say(`metric ${name}`),
      gauge: () => {},
      timing: () => {},
    },
    logger: {
      debug: () => {},
      info: (_fields, message) => say(`info ${message}`),
      warn: (_fields, message) => say(`warn ${message}`),
      error: (_fields, message) => say(`error ${message}`),
    },
  }),
  topic: settings.topic,
  logger: silentLogger,
  factory: {
    createWithPartitions(commit, partitions): ProcessingStrategy<KafkaPayload> {
      say(`assigned ${[...partitions.keys()].map(({ index }) => index).join(",")}`);
      const step = new RunTask(handleMessage, new CommitOffsets(commit));
      return settings.healthPath === undefined ? step : new Healthcheck(settings.healthPath, step);
    },
  },
  ...(settings.joinTimeoutMs === undefined ? {} : { joinTimeoutMs: settings.joinTimeoutMs }),
});
process.once("SIGTERM", () => {
  say("SIGTERM");
  processor.signalShutdown();
});
try {
  await processor.run();
  say("ended");
} catch (error) {
  say(`failed ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  closeSync(handled);
}
