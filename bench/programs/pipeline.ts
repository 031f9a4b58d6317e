import {
  CommitOffsets,
  RunTask,
  silentLogger,
  StreamProcessor,
  type Message,
  type ProcessingStrategy,
} from "../../src/index.ts";
import { KafkaConsumer, type KafkaPayload } from "../../src/kafka/index.ts";
import { settings } from "./meter.ts";

export type Task = (message: Message<KafkaPayload>) => KafkaPayload;

/** A consumer of the topic that is measured, in a group of its own unless one is named. */
export function processorOf(
  task: Task,
  options: {
    readonly groupId?: string;
    readonly reset?: "earliest" | "latest";
    readonly moreTasks?: number;
  } = {},
): StreamProcessor<KafkaPayload> {
  const { groupId = `bench-${process.pid}-${Date.now()}`, reset = "earliest", moreTasks = 0 } = options;
  return new StreamProcessor<KafkaPayload>({
    consumer: new KafkaConsumer(
      {
        "bootstrap.servers": settings.bootstrapServers,
        "group.id": groupId,
        "auto.offset.reset": reset,
      },
      { logger: silentLogger },
    ),
    logger: silentLogger,
    topic: settings.topic,
    factory: {
      createWithPartitions(commit) {
        let chain: ProcessingStrategy<KafkaPayload> = new CommitOffsets(commit);
        for (let i = 0; i < moreTasks; i++)
          chain = new RunTask((message: Message<KafkaPayload>) => message.payload, chain);
        return new RunTask(task, chain);
      },
    },
  });
}
