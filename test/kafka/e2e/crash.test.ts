import assert from "node:assert/strict";
import { fill } from "../fill.ts";
import { kafkaTest, ownKafkaTest } from "../kafka-test.ts";
import { assertHandledOnceInOrder, assertNothingLost, handledAgain } from "./judge.ts";
import { handledIn } from "./journal.ts";
import { MemberProcess, Scratch } from "./member-process.ts";

kafkaTest(
  "kill -9 in mid-stream, then restart: nothing is lost, and only what was not committed is handled again",
  async (kafka) => {
    using scratch = new Scratch();
    const topic = await kafka.createTopic({ partitions: 2 });
    const group = kafka.name("group");
    const count = 6_000;
    await fill(
      kafka,
      topic,
      Array.from({ length: count }, (_, i) => ({ partition: i % 2, value: `v${i}` })),
    );
    const path = scratch.file("handled");
    const settings = {
      topic,
      handledPath: path,
      handleMs: 2,
      config: {
        "bootstrap.servers": kafka.bootstrapServers,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 500,
      },
    };
    let again = 0;
    let committed = new Map<number, number>();
    for (const last of ["v2500", "v5000"]) {
      // It gets no further, however late it is killed.
      const blockOn = { value: last, until: scratch.file("never") };
      await using member = new MemberProcess({ ...settings, blockOn });
      await member.says(/^assigned 0,1$/);
      const before = sum(await kafka.committedOffsets(group, topic));
      while (sum(await kafka.committedOffsets(group, topic)) < before + 500);
      await member.kill("SIGKILL");
      committed = await kafka.committedOffsets(group, topic);
      again += handledIn(path).filter(
        ({ partition, offset }) => offset >= (committed.get(partition) ?? 0),
      ).length;
      assertNothingLost(handledIn(path), committed);
    }
    await using last = new MemberProcess({ ...settings, handleMs: undefined });
    while (sum(await kafka.committedOffsets(group, topic)) < count) {
      assert.equal(last.child.exitCode, null, last.stderr);
    }
    last.child.kill("SIGTERM");
    assert.equal(await last.ends(), 0);
    const handled = handledIn(path);
    assertNothingLost(handled, await kafka.endOffsets(topic, 2));
    assert.ok(
      handledAgain(handled) <= again,
      `${handledAgain(handled)} handled again, ${again} were not committed`,
    );
  },
  { timeout: 150_000 },
);

kafkaTest(
  "a handler that throws: nothing beyond what was done is committed, the group is left, run() rejects with it",
  async (kafka) => {
    using scratch = new Scratch();
    const topic = await kafka.createTopic();
    const group = kafka.name("group");
    await fill(
      kafka,
      topic,
      Array.from({ length: 20 }, (_, i) => ({ value: `v${i}` })),
    );
    const path = scratch.file("handled");
    await using member = new MemberProcess({
      topic,
      handledPath: path,
      throwOn: "v12",
      config: {
        "bootstrap.servers": kafka.bootstrapServers,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 300_000,
      },
    });
    assert.equal(await member.ends(), 1);
    assert.equal(member.count(/^failed cannot handle v12$/), 1);
    assert.ok(((await kafka.committedOffsets(group, topic)).get(0) ?? 0) <= 12);
    assertHandledOnceInOrder(handledIn(path));
    // It has left: the next member does not wait for the end of its session, which would be longer than the test.
    await using next = new MemberProcess({
      topic,
      handledPath: path,
      config: {
        "bootstrap.servers": kafka.bootstrapServers,
        "group.id": group,
        "auto.offset.reset": "earliest",
      },
    });
    await next.says(/^assigned 0$/);
    next.child.kill("SIGTERM");
    assert.equal(await next.ends(), 0);
  },
);

ownKafkaTest(
  "SIGTERM while the broker does not answer: the budget holds, whatever the sockets do",
  {},
  async (kafka, brokers) => {
    using scratch = new Scratch();
    const topic = await kafka.createTopic();
    await fill(
      kafka,
      topic,
      Array.from({ length: 100 }, (_, i) => ({ value: `v${i}` })),
    );
    await using member = new MemberProcess({
      topic,
      handledPath: scratch.file("handled"),
      joinTimeoutMs: 2_000,
      config: {
        "bootstrap.servers": kafka.bootstrapServers,
        "group.id": kafka.name("group"),
        "auto.offset.reset": "earliest",
      },
    });
    await member.says(/^assigned 0$/);
    await brokers.brokers[0]!.pause();
    member.child.kill("SIGTERM");
    const startedMs = performance.now();
    await member.ends();
    const tookMs = performance.now() - startedMs;
    await brokers.brokers[0]!.resume();
    // 2 + 3 + 1 s on an idle machine. Without the setting it would be 25 + 3 + 1.
    assert.ok(tookMs < 25_000, `it took ${tookMs} ms`);
  },
);

kafkaTest(
  "no broker can be reached: it is logged once, and run() can still be shut down without waiting for any",
  async () => {
    using scratch = new Scratch();
    await using member = new MemberProcess({
      topic: "orders",
      handledPath: scratch.file("handled"),
      config: { "bootstrap.servers": "127.0.0.1:1", "group.id": "g" },
    });
    await member.says(/unreachable|cannot be reached|no broker/i);
    const startedMs = performance.now();
    member.child.kill("SIGTERM");
    assert.equal(await member.ends(), 0);
    // The whole budget would be 29 s.
    assert.ok(performance.now() - startedMs < 15_000);
    assert.equal(member.count(/unreachable|cannot be reached|no broker/i), 1);
  },
);

function sum(offsets: ReadonlyMap<number, number>): number {
  return [...offsets.values()].reduce((total, offset) => total + offset, 0);
}
