import assert from "node:assert/strict";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { assertNothingLost, handledAgain } from "./judge.ts";
import { handledIn, MemberProcess, Scratch, type HandledMessage } from "./member-process.ts";

const PARTITIONS = 6;

/** A topic, a group, and members of it that come and go. */
class Scene {
  readonly #kafka: KafkaTest;
  readonly #scratch: Scratch;
  readonly #topic: string;
  readonly #group: string;
  readonly #names: string[] = [];

  private constructor(kafka: KafkaTest, scratch: Scratch, topic: string) {
    this.#kafka = kafka;
    this.#scratch = scratch;
    this.#topic = topic;
    this.#group = kafka.name("group");
  }

  static async of(kafka: KafkaTest, scratch: Scratch, count: number): Promise<Scene> {
    const topic = await kafka.createTopic({ partitions: PARTITIONS });
    const records = Array.from({ length: count }, (_, i) => ({ partition: i % PARTITIONS, value: `v${i}` }));
    await fill(kafka, topic, records);
    return new Scene(kafka, scratch, topic);
  }

  member(name: string): MemberProcess {
    this.#names.push(name);
    return new MemberProcess({
      topic: this.#topic,
      handledPath: this.#scratch.file(name),
      handleMs: 2,
      config: {
        "bootstrap.servers": this.#kafka.bootstrapServers,
        "group.id": this.#group,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 300,
      },
    });
  }

  get handled(): HandledMessage[] {
    return this.#names.flatMap((name) => handledIn(this.#scratch.file(name)));
  }

  async committed(): Promise<number> {
    const offsets = await this.#kafka.committedOffsets(this.#group, this.#topic);
    return [...offsets.values()].reduce((sum, offset) => sum + offset, 0);
  }

  /** Resolves when so many messages are committed. */
  async until(count: number): Promise<void> {
    while ((await this.committed()) < count);
  }

  async ends(): Promise<Map<number, number>> {
    return await this.#kafka.endOffsets(this.#topic, PARTITIONS);
  }
}

kafkaTest(
  "incremental members that join and leave in the middle of work: each message is handled once, and none is lost",
  async (kafka) => {
    using scratch = new Scratch();
    const count = 2_400;
    const scene = await Scene.of(kafka, scratch, count);
    await using first = scene.member("first");
    await first.says(/^assigned \d(,\d){5}$/);
    await scene.until(300);
    await using second = scene.member("second");
    await second.says(/^assigned/);
    await using third = scene.member("third");
    await third.says(/^assigned/);
    await scene.until(1_500);
    second.child.kill("SIGTERM");
    assert.equal(await second.ends(), 0, second.stderr);
    await scene.until(count);
    for (const member of [first, third]) {
      member.child.kill("SIGTERM");
      assert.equal(await member.ends(), 0, member.stderr);
      assert.equal(member.count(/metric arroyo\.consumer\.kafka\.lost/), 0);
    }
    assertNothingLost(scene.handled, await scene.ends());
    assert.equal(handledAgain(scene.handled), 0);
  },
  { timeout: 90_000 },
);

kafkaTest(
  "an incremental member that is frozen, and one that is killed: the others go on from what was committed",
  async (kafka) => {
    using scratch = new Scratch();
    const count = 4_200;
    const scene = await Scene.of(kafka, scratch, count);
    await using first = scene.member("first");
    await first.says(/^assigned/);
    await using frozen = scene.member("frozen");
    await frozen.says(/^assigned/);
    await using killed = scene.member("killed");
    await killed.says(/^assigned/);
    await scene.until(1_200);
    frozen.child.kill("SIGSTOP");
    await killed.kill("SIGKILL");
    await first.says(/^assigned \d(,\d){5}$/, 2);
    frozen.child.kill("SIGCONT");
    await frozen.says(/metric arroyo\.consumer\.kafka\.lost/);
    await frozen.says(/^assigned/, frozen.count(/^assigned/) + 1);
    await scene.until(count);
    for (const member of [first, frozen]) {
      member.child.kill("SIGTERM");
      assert.equal(await member.ends(), 0, member.stderr);
    }
    assertNothingLost(scene.handled, await scene.ends());
  },
  { timeout: 90_000 },
);
