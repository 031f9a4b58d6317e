import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import {
  CommitOffsets,
  StreamProcessor,
  Topic,
  healthHandler,
  silentLogger,
  type HealthReport,
  type HealthRules,
} from "../../../src/index.ts";
import { KafkaConsumer } from "../../../src/kafka/index.ts";
import { MockClock } from "../../../src/testing/index.ts";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { ApiKeys, KafkaProxy } from "../proxy.ts";
import type { HealthMemberSettings } from "./health-member.ts";
import { MemberProcess, Scratch } from "./member-process.ts";

/** The shortest that a broker allows by default. */
const SESSION_MS = 6_000;
const HEARTBEAT_MS = 500;
const COORDINATOR_LOAD_IN_PROGRESS = 14;
/** Behind the correlation id, the header's tags and the throttle time. */
const JOIN_GROUP_ERROR_AT = 4 + 1 + 4;

interface Started extends AsyncDisposable {
  readonly member: MemberProcess;
  readonly topic: string;
  readonly healthPath: string;
  /** What it waits for where a message tells it to. */
  readonly goOn: string;
  /** What a probe is answered with. */
  probe(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Asks until the status is this; the test's time limit ends it. */
  until(path: string, status: number): Promise<string>;
}

async function start(
  kafka: KafkaTest,
  options: {
    readonly bootstrapServers?: string;
    readonly rules: HealthRules;
    readonly stuckDetectorTimeoutMs?: number;
  },
): Promise<Started> {
  const scratch = new Scratch();
  const topic = await kafka.createTopic();
  const settings: HealthMemberSettings = {
    topic,
    healthPath: scratch.file("health.txt"),
    rules: options.rules,
    stuckDetectorTimeoutMs: options.stuckDetectorTimeoutMs,
    config: {
      "bootstrap.servers": options.bootstrapServers ?? kafka.bootstrapServers,
      "group.id": kafka.name("group"),
      "auto.offset.reset": "earliest",
      "session.timeout.ms": SESSION_MS,
      "max.poll.interval.ms": SESSION_MS,
      "heartbeat.interval.ms": HEARTBEAT_MS,
    },
  };
  const member = new MemberProcess(settings, "health-member.ts");
  await member.says(/^port /);
  const port = member.said.find((line) => line.startsWith("port "))!.slice("port ".length);
  const probe: Started["probe"] = async (path) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return {
    member,
    topic,
    healthPath: settings.healthPath,
    goOn: scratch.file("go-on"),
    probe,
    async until(path, status) {
      for (;;) {
        const answer = await probe(path);
        if (answer.status === status) return answer.text;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async [Symbol.asyncDispose]() {
      await member[Symbol.asyncDispose]();
      scratch[Symbol.dispose]();
    },
  };
}

kafkaTest(
  "blocked for longer than the limit: while it lasts the file is stale, /livez says 503 and why, and the blocking function is named",
  async (kafka) => {
    await using started = await start(kafka, {
      rules: { pollTimeoutMs: 1_500 },
      stuckDetectorTimeoutMs: 1_000,
    });
    const { member, topic, until, probe, healthPath, goOn } = started;
    assert.equal(await until("/readyz", 200), "ok\n");
    assert.equal(await until("/livez", 200), "ok\n");
    await fill(kafka, topic, [{ value: `block ${goOn}` }]);
    await member.says(/^handles block$/);
    await member.complains(/it is blocked here.*at blockTheMainThread \(/);
    assert.match(
      await until("/livez", 503),
      /polling: the main thread has not polled for [\d.]+ s, more than 1\.5 s/,
    );
    assert.equal((await probe("/readyz")).status, 503);
    const staleMs = Date.now() - statSync(healthPath).mtimeMs;
    assert.ok(staleMs > 1_500, `the file was touched ${staleMs} ms ago`);
    assert.equal(member.count(/^free$/), 0, "the main thread is still blocked");
    writeFileSync(goOn, "");
    await member.says(/^free$/);
    await until("/readyz", 200);
    await member.says(/^counted arroyo\.consumer\.stuck$/);
    member.child.kill("SIGTERM");
    assert.equal(await member.ends(), 0);
    assert.doesNotMatch(member.stderr, /debugger/i);
    // Of another place it may tell as well, where the machine stands still.
    assert.equal(member.stderr.match(/it is blocked here.*at blockTheMainThread \(/g)?.length, 1);
  },
);

kafkaTest(
  "thrown out and back: not alive from when it left the group until it polls again",
  async (kafka) => {
    // The limit of the probe is far away: it is the I/O thread that knows.
    await using started = await start(kafka, { rules: { pollTimeoutMs: 60_000 } });
    const { member, topic, until, goOn } = started;
    await until("/readyz", 200);
    await fill(kafka, topic, [{ value: `block ${goOn}` }]);
    await member.says(/^handles block$/);
    assert.match(
      await until("/livez", 503),
      /membership: the member has left the group because the main thread had not polled/,
    );
    assert.equal(member.count(/^free$/), 0, "the main thread is still blocked");
    writeFileSync(goOn, "");
    await member.says(/^free$/);
    await until("/readyz", 200);
    await member.says(/^handles block$/, 2);
    member.child.kill("SIGTERM");
    assert.equal(await member.ends(), 0);
  },
);

kafkaTest(
  "the broker is down: alive, and not ready after the grace; ready again when it is back",
  async (kafka) => {
    await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
    await using started = await start(kafka, {
      bootstrapServers: proxy.bootstrapServers,
      rules: { graceMs: 1_500 },
    });
    const { member, until } = started;
    await until("/readyz", 200);
    proxy.intercept = () => "cut";
    proxy.cutAll();
    const why = await until("/readyz", 503);
    const [, seconds] =
      /coordinator: the group's coordinator has not answered for ([\d.]+) s/.exec(why) ?? [];
    assert.ok(Number(seconds) >= 1.5, why);
    assert.equal(await until("/livez", 200), "ok\n");
    proxy.intercept = () => "pass";
    await until("/readyz", 200);
    member.child.kill("SIGTERM");
    assert.equal(await member.ends(), 0);
  },
);

kafkaTest("thrown out by the group: alive and ready while it gets back in", async (kafka) => {
  const topic = await kafka.createTopic();
  const group = kafka.name("group");
  await using consumer = new KafkaConsumer(
    { "bootstrap.servers": kafka.bootstrapServers, "group.id": group, "heartbeat.interval.ms": HEARTBEAT_MS },
    { logger: silentLogger },
  );
  using health = healthHandler({ watch: consumer });
  const heard: string[] = [];
  const tell = (event: string): void => {
    heard.push(`${event}: ${consumer.vitals.member}`);
  };
  consumer.subscribe([Topic.of(topic)], {
    onAssign: () => tell("assigned"),
    onLost: () => {
      tell("lost");
      const { alive, checks } = health.report().consumers["consumer"]!;
      assert.equal(alive, true);
      assert.match(
        checks.find(({ name }) => name === "membership")!.why,
        /thrown out .* tries to get back in/,
      );
    },
  });
  const until = async (count: number): Promise<void> => {
    while (heard.length < count) await consumer.poll({ timeoutMs: 100 });
  };
  await until(1);
  assert.equal(health.report().ready, true);
  await kafka.admin.removeMembersFromConsumerGroup({
    groupId: group,
    members: [{ memberId: consumer.memberId }],
  });
  await until(3);
  assert.deepEqual(heard, ["assigned: member", "lost: lost", "assigned: member"]);
  assert.equal(health.report().ready, true);
});

kafkaTest("thrown out, and not let in again: not alive, until it gets back in after all", async (kafka) => {
  await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
  const topic = await kafka.createTopic();
  const group = kafka.name("group");
  await using consumer = new KafkaConsumer(
    { "bootstrap.servers": proxy.bootstrapServers, "group.id": group, "heartbeat.interval.ms": HEARTBEAT_MS },
    { logger: silentLogger },
  );
  const clock = new MockClock();
  using health = healthHandler({ watch: consumer, rules: { rejoinTimeoutMs: 10_000 }, clock });
  const membership = (): string =>
    health.report().consumers["consumer"]!.checks.find(({ name }) => name === "membership")!.why;
  let assignments = 0;
  consumer.subscribe([Topic.of(topic)], { onAssign: () => void assignments++ });
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await consumer.poll({ timeoutMs: 50 });
  };
  await until(() => assignments === 1);
  assert.equal(health.report().alive, true);
  // The coordinator answers, and what it says is always that it is not ready yet.
  proxy.intercept = ({ api, direction, payload }) => {
    if (api === ApiKeys.JOIN_GROUP && direction === "answer") {
      payload.writeInt16BE(COORDINATOR_LOAD_IN_PROGRESS, JOIN_GROUP_ERROR_AT);
    }
    return "pass";
  };
  await kafka.admin.removeMembersFromConsumerGroup({
    groupId: group,
    members: [{ memberId: consumer.memberId }],
  });
  await until(() => /thrown out .* tries to get back in/.test(membership()));
  assert.equal(health.report().alive, true, "at first it has its time");
  clock.advance(10_001);
  assert.equal(health.report().alive, false);
  assert.match(membership(), /thrown out of the group [\d.]+ s ago and does not get back in/);
  assert.equal(health.report().ready, false);
  proxy.intercept = () => "pass";
  await until(() => assignments === 2);
  const { alive, ready } = health.report();
  assert.deepEqual({ alive, ready }, { alive: true, ready: true });
});

kafkaTest("shutting down: not ready at once, and alive until the end", async (kafka) => {
  await using started = await start(kafka, { rules: {} });
  const { member, topic, until, probe, goOn } = started;
  await until("/readyz", 200);
  await fill(kafka, topic, [{ value: `wait ${goOn}` }]);
  await member.says(/^handles wait$/);
  member.child.kill("SIGTERM");
  assert.match(await until("/readyz", 503), /shutdown: it shuts down/);
  const answers = [(await probe("/livez")).status];
  writeFileSync(goOn, "");
  try {
    for (;;) answers.push((await probe("/livez")).status);
  } catch {
    // Nobody is there any more.
  }
  assert.equal(await member.ends(), 0);
  assert.equal(member.count(/^ended$/), 1);
  assert.deepEqual(new Set(answers), new Set([200]));
});

kafkaTest("quiet for five minutes: alive and ready all the while", async (kafka) => {
  await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
  const topic = await kafka.createTopic();
  const processor = new StreamProcessor({
    consumer: new KafkaConsumer(
      {
        "bootstrap.servers": proxy.bootstrapServers,
        "group.id": kafka.name("group"),
        "heartbeat.interval.ms": HEARTBEAT_MS,
      },
      { logger: silentLogger },
    ),
    topic,
    logger: silentLogger,
    factory: { createWithPartitions: (commit) => new CommitOffsets(commit) },
  });
  const clock = new MockClock();
  using health = healthHandler({ watch: processor, clock });
  const { promise: quiet, resolve, reject } = Promise.withResolvers<void>();
  let fakeSeconds = 0;
  // With each heartbeat most of the grace goes by.
  proxy.intercept = ({ api, direction }) => {
    if (api !== ApiKeys.HEARTBEAT || direction !== "answer" || processor.vitals.partitions === 0)
      return "pass";
    clock.advance(45_000);
    fakeSeconds += 45;
    const report: HealthReport = health.report();
    if (!report.alive || !report.ready) reject(new Error(JSON.stringify(report)));
    if (fakeSeconds >= 300) resolve();
    return "pass";
  };
  const ran = processor.run();
  try {
    await quiet;
  } finally {
    processor.signalShutdown();
    await ran;
  }
});
