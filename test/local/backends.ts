import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalBroker } from "../../src/local/index.ts";
import { silentLogger, type LogFields, type Logger } from "../../src/logger.ts";
import { Topic } from "../../src/message/topic.ts";
import type { Backend } from "../contracts/backend.ts";

/** A folder that is gone when it is disposed of. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "arroyo-local-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Keeps the warnings. */
export class RecordingLogger implements Logger {
  readonly warnings: { readonly fields: LogFields; readonly message: string }[] = [];
  debug(): void {}
  info(): void {}
  warn(fields: LogFields, message: string): void {
    this.warnings.push({ fields, message });
  }
  error(): void {}
}

/** A broker of its own, as the contract suite wants it. */
export function localBackend(
  broker: LocalBroker,
  options: { readonly incremental: boolean; readonly closed?: (() => Promise<void>) | undefined },
): Backend {
  let names = 0;
  return {
    incremental: options.incremental,
    async createTopic(partitions) {
      const topic = Topic.of(`topic-${++names}`);
      await broker.createTopic(topic, partitions);
      return topic;
    },
    newGroup: () => `group-${++names}`,
    consumer: (group, settings) =>
      broker.consumer({
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": options.incremental ? "cooperative-sticky" : "range",
        ...settings,
        "group.id": group,
      }),
    producer: () => broker.producer(),
    async committed(group, topic) {
      const ofTopic = [...broker.committedOffsets(group)].filter(([partition]) => partition.topic === topic);
      return new Map(ofTopic.map(([{ index }, offset]) => [index, offset]));
    },
    async [Symbol.asyncDispose]() {
      await broker.close();
      await options.closed?.();
    },
  };
}

export async function memoryBackend(incremental: boolean): Promise<Backend> {
  return localBackend(new LocalBroker({ logger: silentLogger }), { incremental });
}

export async function folderBackend(incremental: boolean): Promise<Backend> {
  const folder = await temporaryFolder();
  const broker = await LocalBroker.open(folder.path, { logger: silentLogger });
  return localBackend(broker, { incremental, closed: async () => await folder[Symbol.asyncDispose]() });
}
