import assert from "node:assert/strict";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { appears, isTouched } from "./files.ts";
import { assertHandledOnceInOrder, assertNothingLost } from "./judge.ts";
import { handledIn } from "./journal.ts";
import { MemberProcess, Scratch, type MemberSettings } from "./member-process.ts";

/** The shortest that a broker allows by default. */
const SESSION_MS = 6_000;
const HEARTBEAT_MS = 500;

function settingsFor(
  kafka: KafkaTest,
  group: string,
  topic: string,
  handledPath: string,
  config: Readonly<Record<string, unknown>>,
): MemberSettings {
  return {
    topic,
    handledPath,
    config: {
      "bootstrap.servers": kafka.bootstrapServers,
      "group.id": group,
      "auto.offset.reset": "earliest",
      "session.timeout.ms": SESSION_MS,
      "heartbeat.interval.ms": HEARTBEAT_MS,
      ...config,
    },
  };
}

kafkaTest(
  "blocked for longer than session.timeout.ms but less than max.poll.interval.ms: no rebalance, nothing twice",
  async (kafka) => {
    using scratch = new Scratch();
    const topic = await kafka.createTopic({ partitions: 2 });
    const group = kafka.name("group");
    const records = Array.from({ length: 100 }, (_, i) => ({ partition: i % 2, value: `v${i}` }));
    await fill(kafka, topic, records);
    const path = scratch.file("handled");
    await using member = new MemberProcess({
      ...settingsFor(kafka, group, topic, path, { "max.poll.interval.ms": 60_000 }),
      blockOn: { value: "v50", milliseconds: SESSION_MS + 4_000 },
    });
    await member.says(/^blocking$/);
    await member.says(/^free$/);
    await member.says(/^metric arroyo.consumer.kafka.rebalance$/);
    member.child.kill("SIGTERM");
    assert.equal(await member.ends(), 0);
    assert.equal(member.count(/kafka\.rebalance/), 1);
    assert.equal(member.count(/kafka\.lost/), 0);
    assert.equal(member.count(/^assigned/), 1);
    const handled = handledIn(path);
    assertHandledOnceInOrder(handled);
    assert.deepEqual(await kafka.committedOffsets(group, topic), handledEnds(handled));
  },
  { timeout: 120_000 },
);

kafkaTest(
  "blocked for longer than max.poll.interval.ms: the health file stays away, the member leaves, another goes on, it comes back",
  async (kafka) => {
    using scratch = new Scratch();
    const topic = await kafka.createTopic({ partitions: 2 });
    const group = kafka.name("group");
    const records = Array.from({ length: 200 }, (_, i) => ({ partition: i % 2, value: `v${i}` }));
    await fill(kafka, topic, records);
    const config = { "max.poll.interval.ms": SESSION_MS };
    const blockedPath = scratch.file("blocked");
    const otherPath = scratch.file("other");
    const health = scratch.file("health.txt");
    const until = scratch.file("go on");
    await using blocked = new MemberProcess({
      ...settingsFor(kafka, group, topic, blockedPath, config),
      healthPath: health,
      blockOn: { value: "v120", until },
    });
    await blocked.says(/^blocking$/);
    rmSync(health, { force: true });
    await blocked.complains(/has not polled for 6000 ms/);
    // Not before: the time that the group gives for a hand-over is the same, and might be over first.
    await using other = new MemberProcess(settingsFor(kafka, group, topic, otherPath, config));
    await other.says(/^assigned 0,1$/);
    assert.equal(blocked.count(/^free$/), 0, "the main thread is still blocked");
    assert.equal(existsSync(health), false, "nobody has touched the health file");
    writeFileSync(until, "");
    await blocked.says(/^free$/);
    await appears(health);
    await blocked.says(/^metric arroyo.consumer.kafka.rebalance$/, 2);
    assert.equal(blocked.count(/^metric arroyo.consumer.kafka.lost$/), 1);
    await fill(kafka, topic, [
      { partition: 0, value: "last" },
      { partition: 1, value: "last" },
    ]);
    for (const member of [blocked, other]) {
      member.child.kill("SIGTERM");
      assert.equal(await member.ends(), 0);
    }
    const ends = await kafka.endOffsets(topic, 2);
    const handled = [...handledIn(blockedPath), ...handledIn(otherPath)];
    for (const [partition, offset] of await kafka.committedOffsets(group, topic)) {
      const upTo = new Map([[partition, offset]]);
      assertNothingLost(handled, upTo);
      assert.ok(offset <= (ends.get(partition) ?? 0));
    }
  },
  { timeout: 120_000 },
);

kafkaTest(
  "the health file is touched about once a second, also on a quiet topic, and is back after the probe has removed it",
  async (kafka) => {
    using scratch = new Scratch();
    const topic = await kafka.createTopic();
    const health = scratch.file("health.txt");
    await using member = new MemberProcess({
      ...settingsFor(kafka, kafka.name("group"), topic, scratch.file("handled"), {}),
      healthPath: health,
    });
    await member.says(/^assigned 0$/);
    await appears(health);
    // That it is no more often is for a test with a clock to say (test/strategies/healthcheck.test.ts).
    for (let touches = 0; touches < 3; touches++) await isTouched(health);
    rmSync(health);
    await appears(health);
  },
);

function handledEnds(
  handled: readonly { readonly partition: number; readonly offset: number }[],
): Map<number, number> {
  const ends = new Map<number, number>();
  for (const { partition, offset } of handled) ends.set(partition, offset + 1);
  return new Map([...ends].toSorted(([a], [b]) => a - b));
}
