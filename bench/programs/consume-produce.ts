import {
  CommitOffsets,
  Produce,
  RunTask,
  silentLogger,
  StreamProcessor,
  type Message,
} from "../../src/index.ts";
import { KafkaConsumer, KafkaProducer, type KafkaPayload } from "../../src/kafka/index.ts";
import type { Submitted } from "../../src/message/message.ts";
import { Meter, settings } from "./meter.ts";
import { newTarget } from "./target.ts";

/** Copies a topic through the whole library: KafkaConsumer, RunTask, Produce (acknowledged by all), CommitOffsets. */

const config = { "bootstrap.servers": settings.bootstrapServers };
const meter = new Meter(settings.messages);
const producer = new KafkaProducer(config, { logger: silentLogger });
const target = await newTarget();
await producer.connect([target]);

/** Counts what is acknowledged, and commits it. */
class CountedCommits extends CommitOffsets {
  override submit(message: Submitted<unknown>): void {
    super.submit(message);
    if (meter.hit()) {
      meter.print();
      processor.signalShutdown();
    }
  }
}

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
        new CountedCommits(commit),
      );
      return new RunTask((message: Message<KafkaPayload>) => message.payload, produce);
    },
  },
});
meter.start();
await processor.run();
await producer.close();
