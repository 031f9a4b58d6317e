import {
  DlqPolicy,
  KafkaDlqProducer,
  KafkaPayload,
  noopMetrics,
  silentLogger,
  StreamProcessor,
  systemClock,
  type ProcessingStrategyFactory,
  type RunTools,
} from "../src/index.ts";
import type { LocalBroker } from "../src/local/index.ts";
import { stopAt } from "./stop-at.ts";

export interface EmbeddedRun {
  readonly broker: LocalBroker;
  readonly group: string;
  readonly input: string;
  /** Where invalid messages go. */
  readonly deadLetters?: string | undefined;
}

/** Makes topics that are not there yet, with two partitions each. */
export async function createTopics(broker: LocalBroker, ...topics: readonly string[]): Promise<void> {
  for (const topic of topics) {
    if (!broker.topics().has(topic)) await broker.createTopic(topic, 2);
  }
}

/** Writes values with their keys. */
export async function send(
  broker: LocalBroker,
  topic: string,
  messages: Iterable<readonly [key: string, value: string]>,
): Promise<void> {
  await using producer = broker.producer();
  await Promise.all(
    Array.from(messages, ([key, value]) => producer.produce(topic, new KafkaPayload(key, value))),
  );
}

/** The values of a topic, in the order of their partitions. */
export async function valuesIn(broker: LocalBroker, topic: string): Promise<string[]> {
  const values: string[] = [];
  for (const partition of broker.endOffsets(topic).keys()) {
    for (const { payload } of await broker.read(partition)) values.push(payload.text());
  }
  return values;
}

/** Runs a pipeline on what is in the input topic now, as `arroyo run` would, and ends. */
export async function runEmbedded(
  { broker, group, input, deadLetters }: EmbeddedRun,
  make: (tools: RunTools) => ProcessingStrategyFactory<KafkaPayload>,
): Promise<void> {
  await using producer = broker.producer();
  const factory = make({ producer, clock: systemClock, logger: silentLogger, metrics: noopMetrics });
  const processor: StreamProcessor<KafkaPayload> = new StreamProcessor({
    consumer: broker.consumer({ "group.id": group, "auto.offset.reset": "earliest" }),
    topic: input,
    factory: stopAt(factory, broker.endOffsets(input), () => processor.signalShutdown()),
    dlqPolicy:
      deadLetters === undefined
        ? undefined
        : new DlqPolicy({ producer: new KafkaDlqProducer(producer, deadLetters) }),
    logger: silentLogger,
  });
  await processor.run();
}
