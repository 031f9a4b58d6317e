import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { silentLogger, type BrokerMessage } from "../../../src/index.ts";
import { KafkaConsumer, type KafkaPayload } from "../../../src/kafka/index.ts";
import { Topic } from "../../../src/message/topic.ts";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import type { DlqProcessReport, DlqProcessSettings } from "./dlq-process.ts";

const MESSAGES = 1_000_000;
const PARTITIONS = 4;
const FILL_AT_ONCE = 100_000;
const FIRST_TIMESTAMP_MS = 1_767_225_600_000;
const FILLING = ".".repeat(40);
const MIB = 1_048_576;

const isBad = (i: number): boolean => i % 100 === 37;
const valueOf = (i: number): string => `${isBad(i) ? "bad" : "good"} ${i} ${FILLING}`;
/** Seven in a row, so that every partition has bad ones. */
const partitionOf = (i: number): number => Math.floor(i / 7) % PARTITIONS;
const numberIn = (payload: KafkaPayload): number => Number(payload.text().split(" ")[1]);

async function fillInput(kafka: KafkaTest, topic: string): Promise<void> {
  for (let from = 0; from < MESSAGES; from += FILL_AT_ONCE) {
    await fill(
      kafka,
      topic,
      Array.from({ length: FILL_AT_ONCE }, (_, at) => {
        const i = from + at;
        return {
          partition: partitionOf(i),
          key: String(i),
          value: valueOf(i),
          timestamp: BigInt(FIRST_TIMESTAMP_MS + i),
        };
      }),
    );
  }
}

/** Everything that is in a topic, message by message, each once: a reader that was put out of its group begins anew. */
async function readAll(
  kafka: KafkaTest,
  topic: string,
  seen: (message: BrokerMessage<KafkaPayload>) => void,
): Promise<void> {
  const ends = await kafka.endOffsets(topic, PARTITIONS);
  const next = new Map<number, number>();
  await using consumer = new KafkaConsumer(
    {
      "bootstrap.servers": kafka.bootstrapServers,
      "group.id": kafka.name("reader"),
      "auto.offset.reset": "earliest",
    },
    { logger: silentLogger },
  );
  consumer.subscribe([Topic.of(topic)]);
  while ([...ends].some(([index, end]) => (next.get(index) ?? 0) < end)) {
    for (const message of await consumer.poll({ timeoutMs: 1_000, maxMessages: 10_000 })) {
      const { index } = message.partition;
      if (message.offset < (next.get(index) ?? 0)) continue;
      next.set(index, message.nextOffset);
      seen(message);
    }
  }
}

async function runPipeline(settings: DlqProcessSettings): Promise<DlqProcessReport> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--expose-gc", join(import.meta.dirname, "dlq-process.ts")],
    { env: { ...process.env, DLQ_PROCESS: JSON.stringify(settings) }, timeout: 300_000 },
  );
  return JSON.parse(stdout) as DlqProcessReport;
}

kafkaTest(
  "1,000,000 messages, 1 % of them invalid: the good ones out once, the bad ones dead-lettered once, memory flat",
  async (kafka, t) => {
    const [input, output, dlq] = [
      await kafka.createTopic({ partitions: PARTITIONS }),
      await kafka.createTopic({ partitions: PARTITIONS }),
      await kafka.createTopic({ partitions: PARTITIONS }),
    ];
    await fillInput(kafka, input);
    const ends = await kafka.endOffsets(input, PARTITIONS);
    const group = kafka.name("group");
    const { memory, seconds } = await runPipeline({
      ...{ bootstrapServers: kafka.bootstrapServers, group, input, output, dlq },
      ends: [...ends].toSorted(([a], [b]) => a - b).map(([, end]) => end),
    });

    assert.deepEqual(await kafka.committedOffsets(group, input), ends);

    const out = new Uint8Array(MESSAGES);
    await readAll(kafka, output, ({ payload }) => out[numberIn(payload)]!++);
    const wrong = [...out.keys()].filter((i) => out[i] !== (isBad(i) ? 0 : 1));
    const examples = wrong.slice(0, 5).map((i) => `${i} ${out[i]} times`);
    assert.equal(wrong.length, 0, `${wrong.length} messages: ${examples.join(", ")}`);

    const letters = new Map<number, KafkaPayload>();
    let count = 0;
    await readAll(kafka, dlq, ({ payload }) => {
      letters.set(numberIn(payload), payload);
      count++;
    });
    const offsets = Array.from({ length: PARTITIONS }, () => 0);
    let bad = 0;
    for (let i = 0; i < MESSAGES; i++) {
      const partition = partitionOf(i);
      const offset = offsets[partition]!++;
      if (!isBad(i)) continue;
      bad++;
      const letter = letters.get(i);
      assert.ok(letter !== undefined, `message ${i} is not in the dead letter topic`);
      assert.equal(letter.text(), valueOf(i));
      assert.equal(letter.key?.toString(), String(i));
      assert.deepEqual(
        letter.headers.map(([name, value]) => [name, value?.toString()]),
        [
          ["original_topic", input],
          ["original_partition", String(partition)],
          ["original_offset", String(offset)],
          ["original_timestamp_ms", String(FIRST_TIMESTAMP_MS + i)],
          ["dlq_reason", `no order: ${valueOf(i).length} characters`],
        ],
      );
    }
    assert.deepEqual([count, letters.size], [bad, bad]);

    const most = (of: "rss" | "used", from: number, to: number): number =>
      Math.max(...memory.filter(({ done }) => done >= from && done <= to).map((sample) => sample[of] / MIB));
    const growth = (of: "rss" | "used"): number => {
      const [middle, end] = [most(of, MESSAGES * 0.3, MESSAGES * 0.6), most(of, MESSAGES * 0.6, MESSAGES)];
      t.diagnostic(`${of}: ${middle.toFixed(1)} MiB in the middle, ${end.toFixed(1)} at the end`);
      return end - middle;
    };
    t.diagnostic(`${seconds.toFixed(1)} s, ${bad} bad`);
    assert.ok(memory.length >= 10, `${memory.length} samples`);
    // A hundred bytes of each message would be about fifty.
    assert.ok(growth("used") < 32);
    // Of the other threads as well, and with what is only waiting to be collected.
    assert.ok(growth("rss") < 160);
  },
  { timeout: 400_000 },
);
