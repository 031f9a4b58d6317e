import { subscribe } from "node:diagnostics_channel";
import { existsSync, writeSync } from "node:fs";
import {
  CommitOffsets,
  Healthcheck,
  ProcessorChannel,
  RunTask,
  StreamProcessor,
  silentLogger,
  type Message,
  type Partition,
  type ProcessingStrategy,
  type ProcessorEvents,
} from "../../../src/index.ts";
import { KafkaConsumer, type KafkaConsumerConfig, type KafkaPayload } from "../../../src/kafka/index.ts";
import { Journal } from "./journal.ts";
import type { MemberSettings } from "./member-process.ts";

/**
 * A consumer as a service would be: the seed page's pipeline in a process of its own. It writes every message that it has
 * handled to its journal before it goes on, so that the test knows what was handled even after a kill -9.
 */

const settings = JSON.parse(process.env["MEMBER"] ?? "{}") as MemberSettings;
using journal = new Journal(settings.handledPath);

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
    if ("milliseconds" in settings.blockOn) block(settings.blockOn.milliseconds);
    else while (!existsSync(settings.blockOn.until)) block(50);
    say("free");
  }
  if (text === settings.throwOn) throw new Error(`cannot handle ${text}`);
  if (settings.handleMs !== undefined) block(settings.handleMs);
  journal.handled({ partition: message.partition!.index, offset: message.offset!, value: text });
  return message.payload;
}

/** Of the processor's warnings these two say that something will be handled again. */
function noteLate(warning: string): void {
  if (/^(?:The strategies did not finish in time|A commit failed in a rebalance):/.test(warning))
    journal.late();
}

function on<Name extends ProcessorChannel>(
  name: Name,
  listener: (event: ProcessorEvents[Name]) => void,
): void {
  subscribe(name, (event) => listener(event as ProcessorEvents[Name]));
}

const offsetsOf = (offsets: ReadonlyMap<Partition, number>): Map<number, number> =>
  new Map([...offsets].map(([{ index }, offset]) => [index, offset]));
const indexesOf = (partitions: readonly Partition[]): number[] => partitions.map(({ index }) => index);

on(ProcessorChannel.ASSIGNED, ({ partitions }) => journal.assigned({ offsets: offsetsOf(partitions) }));
on(ProcessorChannel.REVOKED, ({ partitions }) => journal.revoked({ partitions: indexesOf(partitions) }));
on(ProcessorChannel.REVOKED, ({ partitions }) => say(`revoked ${indexesOf(partitions).join(",")}`));
on(ProcessorChannel.LOST, ({ partitions }) => journal.lost({ partitions: indexesOf(partitions) }));
on(ProcessorChannel.COMMITTED, ({ offsets }) => journal.committed({ offsets: offsetsOf(offsets) }));

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
  // Not by the metrics, which come up to a second later: by then another may have what was handed over.
  logger: { ...silentLogger, warn: (_fields, message) => noteLate(message) },
  factory: {
    createWithPartitions(commit, partitions): ProcessingStrategy<KafkaPayload> {
      const indexes = [...partitions.keys()].map(({ index }) => index).toSorted((a, b) => a - b);
      say(`assigned ${indexes.join(",")}`);
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
}
