import assert from "node:assert/strict";
import {
  CommitOffsets,
  Healthcheck,
  RunTask,
  StreamProcessor,
  Topic,
  silentLogger,
  type Commit,
  type Message,
  type Partition,
  type ProcessingStrategy,
  type ProcessingStrategyFactory,
} from "../../../src/index.ts";
import { KafkaConsumer, type KafkaPayload } from "../../../src/kafka/index.ts";
import { fill } from "../fill.ts";
import { kafkaTest } from "../kafka-test.ts";
import { Scratch } from "./member-process.ts";

const PARTITIONS = 4;
const MESSAGES = 1_000_000;

kafkaTest(
  "the seed page: a million messages are each handled once, in order, and the group ends at the end of the log",
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: PARTITIONS });
    const group = kafka.name("orders");
    const each = MESSAGES / PARTITIONS;
    const records = Array.from({ length: MESSAGES }, (_, i) => ({
      partition: i % PARTITIONS,
      value: String(i),
    }));
    await fill(kafka, topic, records, "lz4");
    using scratch = new Scratch();

    const nextOffsets = new Map<Partition, number>();
    let handled = 0;
    let outOfOrder = 0;
    function handleMessage(message: Message<KafkaPayload>): KafkaPayload {
      if (message.partition !== undefined) {
        if (message.offset !== (nextOffsets.get(message.partition) ?? 0)) outOfOrder++;
        nextOffsets.set(message.partition, message.nextOffset);
      }
      if (++handled === MESSAGES) processor.signalShutdown();
      return message.payload;
    }

    class ConsumerStrategyFactory implements ProcessingStrategyFactory<KafkaPayload> {
      createWithPartitions(
        commit: Commit,
        _partitions: ReadonlyMap<Partition, number>,
      ): ProcessingStrategy<KafkaPayload> {
        const step = new RunTask(handleMessage, new CommitOffsets(commit));
        return new Healthcheck(scratch.file("health.txt"), step);
      }
    }

    const consumer = new KafkaConsumer(
      {
        "bootstrap.servers": kafka.bootstrapServers,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "max.poll.interval.ms": 300_000,
      },
      { logger: silentLogger },
    );
    const processor = new StreamProcessor({
      consumer,
      topic: new Topic(topic),
      factory: new ConsumerStrategyFactory(),
      logger: silentLogger,
    });
    await processor.run();

    assert.equal(handled, MESSAGES);
    assert.equal(outOfOrder, 0);
    const ends = new Map(Array.from({ length: PARTITIONS }, (_, index) => [index, each]));
    assert.deepEqual(await kafka.endOffsets(topic, PARTITIONS), ends);
    assert.deepEqual(await kafka.committedOffsets(group, topic), ends);
  },
  { timeout: 300_000 },
);
