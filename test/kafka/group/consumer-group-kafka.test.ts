import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { Topic } from "../../../src/index.ts";
import { Java } from "../e2e/java-members.ts";
import { fill } from "../fill.ts";
import { kafkaTest, ownKafkaTest } from "../kafka-test.ts";
import { Member } from "./polling-member.ts";
import { CLOSE_MS } from "../../contracts/reader.ts";

kafkaTest(
  "KIP-848: a member gets everything, a second one its share, and what stays is not disturbed",
  async (kafka) => {
    const topic = new Topic(await kafka.createTopic({ partitions: 4 }));
    const group = kafka.name("group");
    await fill(
      kafka,
      topic.name,
      Array.from({ length: 40 }, (_, i) => ({ partition: i % 4, value: `m${i}` })),
    );
    await using first = new Member(kafka, group, topic);
    await first.until(() => first.values.length === 40);
    assert.deepEqual(first.events, ["assign 0,1,2,3"]);
    await first.commit();
    const drained = Promise.withResolvers<void>();
    first.drain = () => drained.promise;
    await using second = new Member(kafka, group, topic);
    await wait(1_500);
    assert.deepEqual(second.held, [], "nothing is handed over before it was drained");
    drained.resolve();
    await second.until(() => second.held.length === 2);
    await first.until(() => first.held.length === 2);
    assert.equal(first.events.length, 2);
    assert.deepEqual(
      [...first.held, ...second.held].toSorted((a, b) => a.localeCompare(b)),
      [0, 1, 2, 3].map((index) => `${topic.name}:${index}`),
    );
    assert.deepEqual(second.values, [], "what was committed is not read again");
  },
);

kafkaTest(
  "KIP-848: a static member that comes back in time gets its partitions, and nobody notices",
  async (kafka) => {
    const topic = new Topic(await kafka.createTopic({ partitions: 4 }));
    const group = kafka.name("group");
    await using stays = new Member(kafka, group, topic, { "group.instance.id": "stays" });
    await stays.until(() => stays.held.length === 4);
    let before: string[];
    {
      await using leaves = new Member(kafka, group, topic, { "group.instance.id": "leaves" });
      await leaves.until(() => leaves.held.length === 2);
      before = leaves.held;
    }
    const events = [...stays.events];
    await using back = new Member(kafka, group, topic, { "group.instance.id": "leaves" });
    await back.until(() => back.held.length === 2);
    assert.deepEqual(back.held, before);
    assert.deepEqual(stays.events, events);
  },
);

kafkaTest(
  "KIP-848: a pattern that matches nothing at first, then a topic, then another, then more partitions of it",
  async (kafka) => {
    const prefix = kafka.name("found");
    await using member = new Member(kafka, kafka.name("group"), new RegExp(`^${prefix}-`), {
      "topic.metadata.refresh.interval.ms": 300,
    });
    const first = await kafka.createTopic({ name: `${prefix}-a`, partitions: 1 });
    await member.until(() => member.held.length === 1);
    await kafka.createTopic({ name: `${prefix}-b`, partitions: 2 });
    await member.until(() => member.held.length === 3);
    await kafka.admin.createPartitions({ topics: [{ name: first, count: 3, assignments: null }] });
    await member.until(() => member.held.length === 5);
    await fill(kafka, first, [{ partition: 2, value: "of the new partition" }]);
    await member.until(() => member.values.length === 1);
    assert.deepEqual(
      member.events.filter((event) => !event.startsWith("assign")),
      [],
      "what was held was not disturbed",
    );
  },
);

kafkaTest(
  "KIP-848: group.remote.assignor chooses the brokers' assignor; one that they lack is told of",
  async (kafka) => {
    const topics = [await kafka.createTopic({ partitions: 3 }), await kafka.createTopic({ partitions: 3 })];
    const pattern = new RegExp(`^(${topics.join("|")})$`);
    const group = kafka.name("group");
    const range = { "group.remote.assignor": "range" };
    await using first = new Member(kafka, group, pattern, range);
    await first.until(() => first.held.length === 6);
    await using second = new Member(kafka, group, pattern, range);
    await second.until(() => second.held.length > 0 && first.held.length + second.held.length === 6);
    // Range deals each topic by itself: one member gets two partitions of both. The other assignor would deal three and three.
    assert.deepEqual(new Set([first.held.length, second.held.length]), new Set([2, 4]));

    await using wrong = new Member(kafka, kafka.name("group"), pattern, { "group.remote.assignor": "rnage" });
    await wrong.until(() => wrong.failure !== undefined);
    assert.match(wrong.failure?.message ?? "", /UNSUPPORTED_ASSIGNOR.*"group\.remote\.assignor"/);
  },
);

kafkaTest("KIP-848: a topic that is deleted and made again is read from its beginning", async (kafka) => {
  const topic = new Topic(await kafka.createTopic());
  await fill(
    kafka,
    topic.name,
    Array.from({ length: 5 }, (_, i) => ({ partition: 0, value: `old ${i}` })),
  );
  await using member = new Member(kafka, kafka.name("group"), topic, {
    "topic.metadata.refresh.interval.ms": 300,
    "arroyo.strict.offset.reset": false,
  });
  await member.until(() => member.values.length === 5);
  await member.commit();
  await kafka.admin.deleteTopics({ topics: [topic.name] });
  await kafka.createTopic({ name: topic.name });
  await fill(
    kafka,
    topic.name,
    Array.from({ length: 8 }, (_, i) => ({ partition: 0, value: `new ${i}` })),
  );
  await member.until(() => member.values.at(-1) === "new 7");
  assert.deepEqual(
    new Set(member.values.slice(5)),
    new Set(Array.from({ length: 8 }, (_, i) => `new ${i}`)),
    "nothing of the new topic was passed over",
  );
});

kafkaTest("a classic group becomes one of KIP-848 while it works, member by member", async (kafka) => {
  const topic = new Topic(await kafka.createTopic({ partitions: 4 }));
  const group = kafka.name("group");
  const values = (from: number): { partition: number; value: string }[] =>
    Array.from({ length: 20 }, (_, i) => ({ partition: i % 4, value: `m${from + i}` }));
  await fill(kafka, topic.name, values(0));
  const classic = new Member(kafka, group, topic, {
    "group.protocol": "classic",
    "heartbeat.interval.ms": 300,
  });
  await using _ended = classic;
  await classic.until(() => classic.values.length === 20);
  await classic.commit();
  await using upgraded = new Member(kafka, group, topic);
  await upgraded.until(() => upgraded.held.length === 2);
  await classic.until(() => classic.held.length === 2);
  await fill(kafka, topic.name, values(20));
  await classic.until(() => classic.values.length === 30);
  await upgraded.until(() => upgraded.values.length === 10);
  await classic.commit();
  await classic.consumer.close(CLOSE_MS);
  await upgraded.until(() => upgraded.held.length === 4);
  await fill(kafka, topic.name, values(40));
  await upgraded.until(() => upgraded.values.length === 30);
  const all = [...classic.values, ...upgraded.values];
  assert.equal(new Set(all).size, 60);
  assert.equal(all.length, 60, "nothing was delivered twice");
});

ownKafkaTest(
  "brokers that do not convert a classic group say so, and leave its members in peace",
  { properties: { "group.consumer.migration.policy": "disabled" } },
  async (kafka) => {
    const topic = new Topic(await kafka.createTopic({ partitions: 2 }));
    const group = kafka.name("group");
    await using classic = new Member(kafka, group, topic, { "group.protocol": "classic" });
    await classic.until(() => classic.held.length === 2);
    await using refused = new Member(kafka, group, topic);
    await refused.until(() => refused.failure !== undefined);
    assert.match(
      refused.failure?.message ?? "",
      /GROUP_ID_NOT_FOUND.*classic protocol.*group\.consumer\.migration\.policy/,
    );
    assert.deepEqual(classic.events, ["assign 0,1"]);
  },
);

kafkaTest(
  "KIP-848: in one group with a member of Java's client, that comes and goes",
  async (kafka) => {
    const topic = new Topic(await kafka.createTopic({ partitions: 4 }));
    const group = kafka.name("group");
    await using ours = new Member(kafka, group, topic);
    await ours.until(() => ours.held.length === 4);
    await using jvm = await Java.start();
    const java = jvm.join("java", topic.name, {
      "bootstrap.servers": kafka.bootstrapServers,
      "group.id": group,
      "group.protocol": "consumer",
      "auto.offset.reset": "earliest",
    });
    await java.until(() => java.said.some((line) => /^assigned \d,\d$/.test(line)));
    await ours.until(() => ours.held.length === 2);
    const records = Array.from({ length: 40 }, (_, i) => ({ partition: i % 4, value: `m${i}` }));
    await fill(kafka, topic.name, records);
    await ours.until(() => ours.values.length === 20);
    await java.until(() => java.values.length === 20);
    await ours.commit();
    await java.leave();
    await ours.until(() => ours.held.length === 4);
    await fill(
      kafka,
      topic.name,
      records.map(({ partition, value }) => ({ partition, value: `late ${value}` })),
    );
    await ours.until(() => ours.values.length === 60);
    assert.equal(new Set([...ours.values, ...java.values]).size, 80, "everything came, and nothing twice");
  },
  { java: true, timeout: 120_000 },
);
