import {
  CommitOffsets,
  RunTask,
  silentLogger,
  StreamProcessor,
  type Message,
  type Metrics,
  type Partition,
  type ProcessingStrategy,
} from "../../src/index.ts";
import { KafkaConsumer, type KafkaPayload } from "../../src/kafka/index.ts";
import { settings } from "./meter.ts";

export type Task = (message: Message<KafkaPayload>) => KafkaPayload;

export interface PipelineOptions {
  /** Default: a group of its own. */
  readonly groupId?: string;
  readonly reset?: "earliest" | "latest";
  readonly moreTasks?: number;
  readonly metrics?: Metrics | undefined;
  /** Told what it is to read, and with which consumer. */
  readonly onAssigned?: (consumer: KafkaConsumer, partitions: Iterable<Partition>) => void;
}

/** A consumer of the topic that is measured: KafkaConsumer, StreamProcessor, RunTask, CommitOffsets. */
export function processorOf(task: Task, options: PipelineOptions = {}): StreamProcessor<KafkaPayload> {
  const { groupId = `bench-${process.pid}-${Date.now()}`, reset = "earliest", moreTasks = 0 } = options;
  const config = {
    "bootstrap.servers": settings.bootstrapServers,
    "group.id": groupId,
    "auto.offset.reset": reset,
  } as const;
  const consumer = new KafkaConsumer(config, { logger: silentLogger });
  return new StreamProcessor<KafkaPayload>({
    consumer,
    logger: silentLogger,
    metrics: options.metrics,
    topic: settings.topic,
    factory: {
      createWithPartitions(commit, partitions) {
        options.onAssigned?.(consumer, partitions.keys());
        let chain: ProcessingStrategy<KafkaPayload> = new CommitOffsets(commit);
        for (let i = 0; i < moreTasks; i++)
          chain = new RunTask((message: Message<KafkaPayload>) => message.payload, chain);
        return new RunTask(task, chain);
      },
    },
  });
}
