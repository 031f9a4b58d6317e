import { writeSync } from "node:fs";
import { LocalBroker } from "../../src/local/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";

/**
 * A process that has a folder open, for tests that kill it: `child.ts FOLDER hold|wait|produce|fill|commit`. It tells each thing that
 * was acknowledged in a line on standard output, at once.
 */
const [folder, what] = process.argv.slice(2) as [string, string];
const TOPIC = "orders";
const PARTITIONS = 3;

function tell(...words: readonly unknown[]): void {
  writeSync(1, `${words.join(" ")}\n`);
}

const broker = await LocalBroker.open(folder, { logger: silentLogger });
if (!broker.topics().has(TOPIC)) await broker.createTopic(TOPIC, PARTITIONS);
tell("open");

if (what === "hold") {
  setInterval(() => {}, 60_000);
} else if (what === "wait") {
  const consumer = broker.consumer({ "group.id": "group" });
  consumer.subscribe([Topic.of(TOPIC)]);
  await consumer.poll({ timeoutMs: 50 });
  tell("waited");
  await broker.close();
} else if (what === "produce") {
  await Promise.all([produceForEver(), commitForEver()]);
} else if (what === "fill") {
  await fillTheDisk();
} else {
  await commitUntilRefused();
}

/** As fast as it goes, many at once. */
async function produceForEver(): Promise<void> {
  const producer = broker.producer();
  for (let round = 0; ; round++) {
    const deliveries = Array.from({ length: 50 }, async (_, at) => {
      const value = `${process.pid}-${round}-${at}`;
      const { partition, offset } = await producer.produce(
        TOPIC,
        new KafkaPayload(value, value.padEnd(at * 40)),
      );
      tell("stored", partition.index, offset, value);
    });
    await Promise.all(deliveries);
  }
}

async function commitForEver(): Promise<void> {
  const consumer = broker.consumer({ "group.id": "group", "auto.offset.reset": "earliest" });
  consumer.subscribe([Topic.of(TOPIC)]);
  for (;;) {
    for (const message of await consumer.poll({ timeoutMs: 60_000 }))
      consumer.stageOffsets(message.committable);
    for (const [{ index }, offset] of await consumer.commitOffsets()) tell("committed", index, offset);
  }
}

/** Writes until it is refused, then looks what can still be done. */
async function fillTheDisk(): Promise<void> {
  const partition = Partition.of(TOPIC, 0);
  const producer = broker.producer();
  const payload = new KafkaPayload(null, Buffer.alloc(3_000, "x"));
  let stored = 0;
  try {
    for (;;) {
      // More than one a write, so that a write fails in its middle.
      await Promise.all([producer.produce(partition, payload), producer.produce(partition, payload)]);
      stored += 2;
    }
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    tell("refused", stored, code, message);
  }
  tell("read", (await broker.read(partition)).length, [...broker.endOffsets(TOPIC).values()].join(","));
  // There is room for a small one, where the large ones did not fit.
  const { offset } = await producer.produce(partition, new KafkaPayload(null, "small"));
  tell("stored", partition.index, offset, "small");
  await broker.close();
}

async function commitUntilRefused(): Promise<void> {
  const consumer = broker.consumer({ "group.id": "group" });
  consumer.subscribe([Topic.of(TOPIC)]);
  await consumer.poll({ maxMessages: 0 });
  const partition = Partition.of(TOPIC, 1);
  for (let offset = 0; ; offset++) {
    consumer.stageOffsets(new Map([[partition, offset]]));
    try {
      await consumer.commitOffsets();
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      tell("refused", offset, broker.committedOffsets("group").get(partition), code, message);
      break;
    }
  }
  await broker.close();
}
