import assert from "node:assert/strict";
import { open, readdir, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite, test } from "node:test";
import { LocalBroker, type LocalFolderOptions } from "../../src/local/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";
import { readNext } from "../contracts/reader.ts";
import { RecordingLogger, temporaryFolder } from "./backends.ts";

const PARTITION = Partition.of("orders", 0);

async function opened(folder: string, options: LocalFolderOptions = {}): Promise<LocalBroker> {
  return await LocalBroker.open(folder, { logger: silentLogger, ...options });
}

/** A folder with a closed broker in it, that has one topic with one partition and these messages. */
async function filled(
  folder: string,
  values: readonly string[],
  options?: LocalFolderOptions,
): Promise<string> {
  await using broker = await opened(folder, options);
  await broker.createTopic("orders", 1);
  const producer = broker.producer();
  for (const value of values) await producer.produce("orders", new KafkaPayload("key", value));
  return join(folder, "topics", "orders", "0-of-1.log");
}

async function values(broker: LocalBroker): Promise<string[]> {
  return (await broker.read(PARTITION)).map(({ payload }) => payload.text());
}

async function commit(broker: LocalBroker, group: string, offset: number): Promise<void> {
  await using consumer = broker.consumer({ "group.id": group });
  consumer.subscribe([Topic.of("orders")]);
  await consumer.poll({ maxMessages: 0 });
  consumer.stageOffsets(new Map([[PARTITION, offset]]));
  await consumer.commitOffsets();
}

async function overwrite(file: string, position: number, bytes: Buffer): Promise<void> {
  await using handle = await open(file, "r+");
  await handle.write(bytes, 0, bytes.length, position);
}

suite("a folder", () => {
  test("has everything again when it is opened again", async () => {
    await using folder = await temporaryFolder();
    const payload = new KafkaPayload("key", null, [["header", Buffer.from([0, 255])]]);
    let timestampMs: number;
    {
      await using broker = await opened(folder.path, { fsync: true });
      await broker.createTopic("orders", 1);
      await broker.createTopic("other", 12);
      ({ timestampMs } = await broker.producer().produce("orders", payload));
      await broker.producer().produce("orders", new KafkaPayload(null, "second"));
      await commit(broker, "group", 1);
    }
    await using broker = await opened(folder.path);
    assert.deepEqual(
      broker.topics(),
      new Map([
        ["orders", 1],
        ["other", 12],
      ]),
    );
    const [first, second] = await broker.read(PARTITION);
    assert.ok(first?.payload.equals(payload));
    assert.equal(first?.timestampMs, timestampMs);
    assert.equal(second?.payload.text(), "second");
    assert.deepEqual(broker.committedOffsets("group"), new Map([[PARTITION, 1]]));
    assert.equal((await broker.producer().produce("orders", payload)).offset, 2);
    const consumer = broker.consumer({ "group.id": "group" });
    consumer.subscribe([Topic.of("orders")]);
    assert.deepEqual(
      (await readNext(consumer, 2)).map(({ offset }) => offset),
      [1, 2],
    );
  });

  test("large messages and many of them are found at every offset", async () => {
    await using folder = await temporaryFolder();
    await using broker = await opened(folder.path);
    await broker.createTopic("orders", 1);
    const producer = broker.producer();
    // Larger than what is read at once, smaller, and many small ones between them.
    const sizes = Array.from({ length: 300 }, (_, at) => (at % 50 === 7 ? 700_000 : at * 10));
    for (const [at, size] of sizes.entries())
      void producer.produce("orders", new KafkaPayload(String(at), Buffer.alloc(size, at)));
    await producer.flush();
    const consumer = broker.consumer({ "group.id": "group", "auto.offset.reset": "earliest" });
    consumer.subscribe([Topic.of("orders")]);
    assert.deepEqual(
      (await readNext(consumer, 300)).map(({ payload }) => payload.value?.length),
      sizes,
    );
    for (const offset of [299, 0, 57, 56, 58, 150, 149]) {
      consumer.seek(new Map([[PARTITION, offset]]));
      const [message] = await readNext(consumer, 1);
      assert.equal(message?.offset, offset);
      assert.ok(message.payload.value?.equals(Buffer.alloc(sizes[offset]!, offset)));
    }
  });

  test("a message that is larger than can be stored is refused, and others are stored", async () => {
    await using folder = await temporaryFolder();
    await using broker = await opened(folder.path);
    await broker.createTopic("orders", 1);
    const producer = broker.producer();
    const tooLarge = producer.produce("orders", new KafkaPayload(null, Buffer.alloc(65 * 1024 * 1024)));
    const fits = producer.produce("orders", new KafkaPayload(null, "fits"));
    await assert.rejects(tooLarge, { code: "ARROYO_PRODUCER", message: /make it smaller/ });
    assert.equal((await fits).offset, 0);
  });

  test("a torn tail is cut off at whatever byte the write ended, with a notice", async () => {
    await using folder = await temporaryFolder();
    const file = await filled(folder.path, ["one", "two"]);
    const whole = (await stat(file)).size;
    const before = await readFile(file);
    await filled(join(folder.path, "longer"), ["one", "two", "three"]);
    const longer = await readFile(join(folder.path, "longer", "topics", "orders", "0-of-1.log"));
    for (let length = whole + 1; length < longer.length; length++) {
      // The third message's own bytes, as far as they were written.
      await writeFile(file, Buffer.concat([before, longer.subarray(whole, length)]));
      const logger = new RecordingLogger();
      await using broker = await opened(folder.path, { logger });
      assert.deepEqual(await values(broker), ["one", "two"]);
      assert.equal(logger.warnings.length, 1, `nothing was said of ${length - whole} bytes`);
      assert.deepEqual(
        [
          logger.warnings[0]?.fields["file"],
          logger.warnings[0]?.fields["position"],
          logger.warnings[0]?.fields["bytes"],
        ],
        [file, whole, length - whole],
      );
      // Shorter than what was torn, so that it would not cover all of it.
      await broker.producer().produce("orders", new KafkaPayload(null, ""));
      await broker.close();
      await using again = await opened(folder.path, { logger });
      assert.deepEqual(await values(again), ["one", "two", ""]);
      assert.equal(logger.warnings.length, 1, "nothing is left of it");
    }
  });

  test("zeros at the end, as the loss of power may leave them, are cut off too", async () => {
    await using folder = await temporaryFolder();
    const file = await filled(folder.path, ["one", "two"]);
    await truncate(file, (await stat(file)).size + 5_000);
    const logger = new RecordingLogger();
    await using broker = await opened(folder.path, { logger });
    assert.deepEqual(await values(broker), ["one", "two"]);
    assert.equal(logger.warnings[0]?.fields["bytes"], 5_000);
  });

  test("damage is an error that names file and position, whichever byte it is in", async () => {
    await using folder = await temporaryFolder();
    const file = await filled(folder.path, ["one", "two", "three"]);
    const intact = await readFile(file);
    const frame = (intact.length - 8 - 2) / 3;
    for (let position = 0; position < intact.length; position++) {
      const damaged = Buffer.from(intact);
      damaged[position] = damaged[position]! ^ 0x40;
      await writeFile(file, damaged);
      await assert.rejects(opened(folder.path), (error: Error & { code?: string }) => {
        assert.equal(error.code, "ARROYO_STORAGE");
        assert.ok(error.message.includes(file), error.message);
        const at = Number(/at byte (\d+)/.exec(error.message)?.[1]);
        const from = position < 8 ? 0 : 8 + Math.min(2, Math.floor((position - 8) / frame)) * frame;
        assert.equal(at, from, `byte ${position}: ${error.message}`);
        return true;
      });
      assert.deepEqual(await readFile(file), damaged, "nothing was cut off");
    }
    await writeFile(file, intact);
    await using broker = await opened(folder.path);
    assert.deepEqual(await values(broker), ["one", "two", "three"]);
  });

  test("damage that comes while it is open is found when it is read, after what is before it", async () => {
    await using folder = await temporaryFolder();
    const file = await filled(folder.path, ["one", "two", "three"]);
    const damage = (await readFile(file)).indexOf("two");
    await using broker = await opened(folder.path);
    await overwrite(file, damage, Buffer.from("TWO"));
    const consumer = broker.consumer({ "group.id": "group", "auto.offset.reset": "earliest" });
    consumer.subscribe([Topic.of("orders")]);
    assert.deepEqual(
      (await consumer.poll()).map(({ payload }) => payload.text()),
      ["one"],
    );
    for (let poll = 0; poll < 2; poll++) {
      await assert.rejects(consumer.poll(), {
        code: "ARROYO_CONSUMER",
        message: /0-of-1\.log is damaged at byte \d+/,
      });
    }
    consumer.seek(new Map([[PARTITION, 2]]));
    assert.equal((await readNext(consumer, 1))[0]?.payload.text(), "three");
  });

  test("what is missing is missed", async () => {
    await using folder = await temporaryFolder();
    {
      await using broker = await opened(folder.path);
      await broker.createTopic("orders", 3);
    }
    const hidden = join(folder.path, "hidden");
    for (const file of [
      join("topics", "orders", "2-of-3.log"),
      join("topics", "orders", "0-of-3.log"),
      "offsets.log",
    ]) {
      await rename(join(folder.path, file), hidden);
      await assert.rejects(opened(folder.path), (error: Error & { code?: string }) => {
        assert.equal(error.code, "ARROYO_STORAGE");
        assert.ok(error.message.includes(file), error.message);
        return true;
      });
      await rename(hidden, join(folder.path, file));
    }
    await using broker = await opened(folder.path);
    assert.equal(broker.topics().get("orders"), 3);
  });

  test("a topic that was not made to its end is not there", async () => {
    await using folder = await temporaryFolder();
    const file = await filled(folder.path, []);
    await rename(join(file, ".."), join(folder.path, "making"));
    await using broker = await opened(folder.path);
    assert.deepEqual(broker.topics(), new Map());
    await broker.createTopic("orders", 2);
    assert.deepEqual(await readdir(join(folder.path, "topics", "orders")), ["0-of-2.log", "1-of-2.log"]);
  });

  test("committed offsets do not grow without end, and a torn or damaged log of them is told like any other", async () => {
    await using folder = await temporaryFolder();
    await filled(folder.path, ["one"]);
    const file = join(folder.path, "offsets.log");
    {
      await using broker = await opened(folder.path);
      const consumer = broker.consumer({ "group.id": "busy" });
      consumer.subscribe([Topic.of("orders")]);
      await consumer.poll();
      for (let offset = 0; offset < 20_000; offset++) {
        consumer.stageOffsets(new Map([[PARTITION, offset]]));
        await consumer.commitOffsets();
      }
      await commit(broker, "other", 5);
    }
    assert.ok((await stat(file)).size < 300_000, String((await stat(file)).size));
    {
      await using broker = await opened(folder.path);
      assert.deepEqual(broker.committedOffsets("busy"), new Map([[PARTITION, 19_999]]));
      assert.deepEqual(broker.committedOffsets("other"), new Map([[PARTITION, 5]]));
      await commit(broker, "other", 6);
    }
    const size = (await stat(file)).size;
    await truncate(file, size - 1);
    const logger = new RecordingLogger();
    {
      await using broker = await opened(folder.path, { logger });
      assert.deepEqual(
        broker.committedOffsets("other"),
        new Map([[PARTITION, 5]]),
        "the last one was not finished",
      );
      assert.equal(logger.warnings[0]?.fields["file"], file);
      await broker.close();
      await (await opened(folder.path, { logger })).close();
      assert.equal(logger.warnings.length, 1, "nothing is left of it");
    }
    await overwrite(file, 30, Buffer.from("?"));
    await assert.rejects(opened(folder.path), {
      code: "ARROYO_STORAGE",
      message: /offsets\.log is damaged at byte 8:/,
    });
  });

  test("is refused when it is none, and is free again after that", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "file");
    await writeFile(file, "");
    await assert.rejects(opened(file), (error: Error & { code?: string }) => {
      assert.equal(error.code, "ARROYO_STORAGE");
      assert.ok(error.message.includes(file), error.message);
      return true;
    });
    const log = await filled(folder.path, ["one"]);
    await rename(log, `${log}.bak`);
    await assert.rejects(opened(folder.path), { code: "ARROYO_STORAGE" });
    await rename(`${log}.bak`, log);
    await (await opened(folder.path)).close();
  });

  test("a second broker is kept out, also one of the same process, until the first is closed", async () => {
    await using folder = await temporaryFolder();
    const first = await opened(folder.path);
    await assert.rejects(opened(folder.path), (error: Error & { code?: string }) => {
      assert.equal(error.code, "ARROYO_STORAGE");
      assert.ok(error.message.includes(folder.path), error.message);
      assert.ok(error.message.includes(`process ${process.pid}`), error.message);
      return true;
    });
    await first.close();
    await (await opened(folder.path)).close();
    await rm(join(folder.path, "lock"));
    await (await opened(folder.path)).close();
  });
});
