import { CommitOffsets, RunTask, silentLogger, StreamProcessor, type Message } from "../../src/index.ts";
import { KafkaConsumer, type KafkaPayload } from "../../src/kafka/index.ts";
import { Meter, settings } from "./meter.ts";

/** Reads a topic through the whole library: KafkaConsumer, StreamProcessor, RunTask, CommitOffsets. */

const meter = new Meter(settings.messages);
const processor = new StreamProcessor<KafkaPayload>({
  consumer: new KafkaConsumer(
    {
      "bootstrap.servers": settings.bootstrapServers,
      "group.id": `bench-${process.pid}-${Date.now()}`,
      "auto.offset.reset": "earliest",
    },
    { logger: silentLogger },
  ),
  logger: silentLogger,
  topic: settings.topic,
  factory: {
    createWithPartitions(commit) {
      const count = (message: Message<KafkaPayload>): Message<KafkaPayload>["payload"] => {
        if (meter.hit()) {
          meter.print();
          processor.signalShutdown();
        }
        return message.payload;
      };
      return new RunTask(count, new CommitOffsets(commit));
    },
  },
});
await processor.run();
