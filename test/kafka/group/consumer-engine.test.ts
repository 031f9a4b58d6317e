import assert from "node:assert/strict";
import { systemClock } from "../../../src/clock.ts";
import { KafkaConsumer } from "../../../src/kafka/consumer.ts";
import type { KafkaConsumerConfig } from "../../../src/kafka/config.ts";
import { silentLogger } from "../../../src/logger.ts";
import { Partition } from "../../../src/message/partition.ts";
import { Topic } from "../../../src/message/topic.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { EngineDriver } from "./engine-driver.ts";

function configFor(kafka: KafkaTest, more: Partial<KafkaConsumerConfig> = {}): KafkaConsumerConfig {
  return {
    "bootstrap.servers": kafka.bootstrapServers,
    "group.id": kafka.name("group"),
    "auto.offset.reset": "earliest",
    ...more,
  } as KafkaConsumerConfig;
}

/** Less than lies between any two limits of a scenario. */
const STANDSTILL_MS = 350;

/**
 * Tries a scenario in which limits of seconds follow each other, and checks what it has come to. Once more, when this
 * process stood still meanwhile: then any of them may be over first.
 */
async function undisturbed(scenario: () => Promise<() => void>): Promise<void> {
  for (;;) {
    let [seenMs, longestMs] = [performance.now(), 0];
    const look = (): void => {
      longestMs = Math.max(longestMs, performance.now() - seenMs);
      seenMs = performance.now();
    };
    const looking = setInterval(look, 25);
    try {
      const check = await scenario();
      look();
      if (longestMs < STANDSTILL_MS) return check();
    } finally {
      clearInterval(looking);
    }
  }
}

kafkaTest("closing does not wait for a main thread that has not heard of its loss yet", async (kafka) => {
  const topic = await kafka.createTopic();
  await using engine = new EngineDriver(
    configFor(kafka, {
      "session.timeout.ms": 1_000,
      "heartbeat.interval.ms": 200,
      "max.poll.interval.ms": 1_000,
    }),
  );
  engine.send({ type: "subscribe", subscription: { topics: [topic] } });
  await engine.next("assigned");
  // Nobody polls.
  await engine.next("lost");
  assert.equal(engine.vitals.member, "expelled");
  assert.deepEqual(
    engine.written.map(({ message }) => message),
    [
      "The main thread has not polled for 1000 ms (max.poll.interval.ms): this member leaves the group, and joins again when it polls.",
    ],
  );
  // It has more time than the test.
  engine.send({ type: "close", timeoutMs: 300_000 });
  await engine.next("closed");
});

for (const isBlocked of [true, false]) {
  kafkaTest(
    isBlocked
      ? "a member that is out because its blocked main thread did not hand over says so from its own thread"
      : "a member that is out because its drain took too long has nothing to say past a main thread that listens",
    (kafka) =>
      undisturbed(async () => {
        const topic = await kafka.createTopic();
        const config = configFor(kafka, {
          "session.timeout.ms": 1_000,
          "heartbeat.interval.ms": 500,
          "max.poll.interval.ms": 2_500,
        });
        await using engine = new EngineDriver(config);
        const polls = setInterval(() => engine.vitals.polled(), 100);
        try {
          engine.send({ type: "subscribe", subscription: { topics: [topic] } });
          await engine.next("assigned");
          await using other = new EngineDriver(config);
          other.send({ type: "subscribe", subscription: { topics: [topic] } });
          const first = await engine.next("revoke", "lost");
          // The hand-over is never answered.
          engine.vitals.polled();
          if (isBlocked) clearInterval(polls);
          const { reason } = first.type === "lost" ? first : await engine.next("lost");
          const { member } = engine.vitals;
          return () => {
            assert.equal(reason, "the drain took longer than the group could wait (max.poll.interval.ms)");
            assert.equal(member, "lost");
            assert.deepEqual(
              engine.written.map(({ message, fields }) => [message, fields["reason"]]),
              isBlocked
                ? [
                    [
                      "The assignment was lost while the main thread did not poll: this member joins again when it polls.",
                      reason,
                    ],
                  ]
                : [],
            );
          };
        } finally {
          clearInterval(polls);
        }
      }),
    { timeout: 120_000 },
  );
}

kafkaTest("unsubscribing from a topic that is not there forgets it", async (kafka) => {
  const topic = await kafka.createTopic();
  // The grace of a topic that is not there is longer than the test, as this clock goes.
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 100 };
  await using engine = new EngineDriver(configFor(kafka), clock);
  engine.send({ type: "subscribe", subscription: { topics: [kafka.name("missing")] } });
  engine.send({ type: "unsubscribe" });
  engine.send({ type: "subscribe", subscription: { topics: [topic] } });
  const { partitions } = await engine.next("assigned");
  assert.deepEqual(
    partitions.map((partition) => partition.topic),
    [topic],
  );
  assert.equal(engine.has("fatal"), false);
});

kafkaTest('an offset out of range is told as one when "auto.offset.reset" is "error"', async (kafka) => {
  const topic = await kafka.createTopic();
  const group = kafka.name("group");
  {
    await using consumer = new KafkaConsumer(configFor(kafka, { "group.id": group }), {
      logger: silentLogger,
    });
    consumer.subscribe([new Topic(topic)]);
    while (consumer.tell().size === 0) await consumer.poll({ timeoutMs: 100 });
    consumer.stageOffsets(new Map([[Partition.of(topic, 0), 50]]));
    await consumer.commitOffsets();
  }
  await using engine = new EngineDriver(
    configFor(kafka, {
      "group.id": group,
      "auto.offset.reset": "error",
      "arroyo.strict.offset.reset": false,
    }),
  );
  engine.send({ type: "subscribe", subscription: { topics: [topic] } });
  const { partitions } = await engine.next("assigned");
  assert.equal(partitions[0]?.offset, 50);
  engine.send({ type: "fetch", positions: partitions.map((partition) => ({ ...partition, epoch: 1 })) });
  const { index, offset } = await engine.next("outOfRange");
  assert.deepEqual([index, offset], [0, 50]);
});
