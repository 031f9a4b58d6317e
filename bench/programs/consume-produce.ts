import {
  CommitOffsets,
  Produce,
  RunTask,
  silentLogger,
  StreamProcessor,
  type Message,
} from "../../src/index.ts";
import { KafkaConsumer, KafkaProducer, type KafkaPayload } from "../../src/kafka/index.ts";
import { settings } from "./meter.ts";

/**
 * Copies a topic to BENCH_TARGET through the whole library: KafkaConsumer, RunTask, Produce (acknowledged by all),
 * CommitOffsets. watch.ts measures what arrives, and ends this.
 */
const target = process.env["BENCH_TARGET"] ?? "";
const config = { "bootstrap.servers": settings.bootstrapServers };
const producer = new KafkaProducer(config, { logger: silentLogger });
await producer.connect([target]);

const processor = new StreamProcessor<KafkaPayload>({
  consumer: new KafkaConsumer(
    {
      ...config,
      "group.id": `bench-${process.pid}-${Date.now()}`,
      "auto.offset.reset": "earliest",
    },
    { logger: silentLogger },
  ),
  logger: silentLogger,
  topic: settings.topic,
  factory: {
    createWithPartitions(commit) {
      const produce = new Produce<KafkaPayload>(
        { producer, topic: target, maxBufferSize: 50_000 },
        new CommitOffsets(commit),
      );
      return new RunTask((message: Message<KafkaPayload>) => message.payload, produce);
    },
  },
});
await processor.run();
