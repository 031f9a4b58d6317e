import assert from "node:assert/strict";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ConfigurationError, DeadlineError } from "../../../src/errors.ts";
import { KafkaPayload, ReloadingKafkaProducer, watchConfigFile } from "../../../src/kafka/index.ts";
import type { KafkaProducerConfig } from "../../../src/kafka/index.ts";
import { silentLogger } from "../../../src/logger.ts";
import { kafkaTest } from "../kafka-test.ts";
import { readAll } from "./read-all.ts";
import { checkExactlyOnce, type Outcome } from "./stream.ts";

kafkaTest(
  "settings are swapped while it produces: every message is there once, in order by key",
  async (kafka) => {
    const topic = await kafka.createTopic({ partitions: 3 });
    const servers = { "bootstrap.servers": kafka.bootstrapServers };
    await using producer = new ReloadingKafkaProducer(servers, { logger: silentLogger });
    const changes: Omit<KafkaProducerConfig, "metadata.broker.list">[] = [
      { ...servers, "client.id": "second", "linger.ms": 0 },
      { ...servers, "client.id": "third", "compression.type": "lz4" },
      { ...servers, "client.id": "fourth", "linger.ms": 20, "batch.size": 2_000 },
      { ...servers, "client.id": "fifth", "enable.idempotence": false },
    ];
    const outcomes: Promise<Outcome>[] = [];
    let isDone = false;
    const produceAll = async (): Promise<void> => {
      for (let value = 0; !isDone; value++) {
        outcomes.push(
          producer
            .produce(topic, new KafkaPayload(`${value % 16}`, `${value}`))
            .then(({ partition, offset }) => ({ value, index: partition.index, offset })),
        );
        if (value >= 200) await outcomes[value - 200];
        else await turn();
      }
    };
    const producing = produceAll();
    for (const change of changes) {
      await outcomes.at(-1);
      await producer.reload(change as KafkaProducerConfig);
    }
    await producer.produce(topic, new KafkaPayload("0", "-1"));
    isDone = true;
    await producing;
    await producer.flush();
    assert.equal(producer.generation, 5);
    assert.equal(producer.inFlight, 0);
    const settled = await Promise.all(outcomes);
    const records = await readAll(kafka, topic, settled.length + 1, 3);
    assert.equal(records.length, settled.length + 1);
    checkExactlyOnce(
      settled,
      records.filter(({ value }) => value !== "-1"),
    );
  },
);

kafkaTest("brokers that cannot be reached leave the old settings in force", async (kafka) => {
  const topic = await kafka.createTopic();
  await using producer = new ReloadingKafkaProducer(
    { "bootstrap.servers": kafka.bootstrapServers },
    { logger: silentLogger, connectTimeoutMs: 300 },
  );
  await producer.produce(topic, new KafkaPayload(null, "1"));
  await assert.rejects(producer.reload({ "bootstrap.servers": "127.0.0.1:1" }), (error) => {
    assert.ok(DeadlineError.is(error));
    assert.match(error.message, /^The brokers at 127\.0\.0\.1:1 have not answered within 300 ms/);
    return true;
  });
  await assert.rejects(
    producer.reload({ "bootstrap.servers": "x:1", "linger.mss": 1 } as never),
    ConfigurationError,
  );
  const { offset } = await producer.produce(topic, new KafkaPayload(null, "2"));
  assert.equal(offset, 1);
  assert.equal(producer.generation, 1);
});

kafkaTest("settings come from a file, and what is wrong there is passed over", async (kafka) => {
  const dir = await mkdtemp(join(tmpdir(), "arroyo-settings-"));
  try {
    const path = join(dir, "producer.json");
    const config = { "bootstrap.servers": kafka.bootstrapServers };
    const write = async (text: string): Promise<void> => {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    };
    await write(JSON.stringify(config));
    const told = { lines: [] as string[], next: Promise.withResolvers<void>() };
    const tell = (_fields: unknown, message: string): void => {
      told.lines.push(message);
      told.next.resolve();
      told.next = Promise.withResolvers();
    };
    const logger = { ...silentLogger, info: tell, error: tell };
    await using producer = new ReloadingKafkaProducer(config, {
      logger,
      settings: watchConfigFile(path, { everyMs: 20, logger }),
    });
    for (const text of ["{", "[]", '{"bootstrap.servers":"x:1","acks":7}']) {
      const { promise } = told.next;
      await write(text);
      await promise;
    }
    const { promise } = told.next;
    await write(JSON.stringify({ ...config, "linger.ms": 0 }));
    await promise;
    assert.deepEqual(told.lines, [
      "The file with settings is of no use as it is.",
      "The file with settings is of no use as it is.",
      "New settings are wrong.",
      "The producer has new settings.",
    ]);
    assert.equal(producer.generation, 2);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("options are checked, and a source that fails is told", async () => {
  const config = { "bootstrap.servers": "127.0.0.1:1" };
  assert.throws(() => new ReloadingKafkaProducer(config, { jitterMs: -1 }), {
    message: "ReloadingKafkaProducer: jitterMs is -1, but must be 0 or more.",
  });
  assert.throws(() => watchConfigFile("settings.json", { everyMs: 0 }), ConfigurationError);
  const told = Promise.withResolvers<string>();
  await using _producer = new ReloadingKafkaProducer(config, {
    logger: { ...silentLogger, error: (_fields, message) => told.resolve(message) },
    settings: () => {
      throw new Error("no source");
    },
  });
  assert.match(await told.promise, /^The source of settings has failed/);
});
