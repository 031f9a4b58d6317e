import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Kafka } from "../kafka/broker.ts";
import { Scratch } from "../kafka/e2e/member-process.ts";
import { ownKafkaTest, type KafkaTest } from "../kafka/kafka-test.ts";
import { KafkaProxy } from "../kafka/proxy.ts";
import { ClusterView } from "./cluster-view.ts";
import { deleteUnderConsumers } from "./deleted-topic.ts";
import { SeededRandom } from "../seeded-random.ts";
import { PROTOCOLS, Scene, type Protocol } from "./scene.ts";
import { injectFaults } from "./schedule.ts";

const PARTITIONS = 4;
const CATCH_UP_MS = 90_000;
/** How long faults are injected at random: less where the machine is so slow that the others took longer than usual. */
const RANDOM_MS = { most: 60_000, least: 15_000 } as const;
const USUAL_MS = 180_000;

class Trouble {
  readonly #t: TestContext;
  readonly #brokers: Kafka;
  readonly #topic: string;
  readonly #scene: Scene;
  readonly #view: ClusterView;

  constructor(t: TestContext, brokers: Kafka, topic: string, scene: Scene, view: ClusterView) {
    this.#t = t;
    this.#brokers = brokers;
    this.#topic = topic;
    this.#scene = scene;
    this.#view = view;
  }

  async goOn(what: string): Promise<void> {
    await this.#scene.progress(200);
    await this.#scene.caughtUp(CATCH_UP_MS);
    this.#t.diagnostic(`${what}: gone on after ${Math.round(performance.now() / 1_000)} s`);
  }

  async leaderKilled(): Promise<void> {
    const leader = await this.#view.leader(this.#topic, 0);
    await leader.kill();
    await this.goOn("leader killed");
    await leader.start();
  }

  async coordinatorFrozen(): Promise<void> {
    const coordinator = await this.#view.coordinator(this.#scene.groups[2]!.name);
    await coordinator.pause();
    await this.goOn("coordinator frozen: another one takes over");
    await coordinator.resume();
    await this.goOn("the frozen one is back");
  }

  async rollingRestart(): Promise<void> {
    for (const broker of this.#brokers.brokers) {
      await broker.stop();
      await this.#scene.progress(50);
      await broker.start();
      await this.goOn(`broker ${broker.nodeId} restarted`);
    }
  }

  async partitionsMoved(): Promise<void> {
    for (let index = 0; index < PARTITIONS; index++) {
      const { nodeId } = await this.#view.leader(this.#topic, index);
      const others = [1, 2, 3].filter((id) => id !== nodeId);
      await this.#view.reassign(this.#topic, index, others);
    }
    await this.goOn("partitions moved away from their leaders");
  }

  /** So far no member was killed, and nothing may have been handled twice, but of one that was put out or ran out of time. */
  noneTwice(): void {
    for (const group of this.#scene.groups) {
      const { again, isExcused } = group.verdict(this.#scene.acknowledged);
      assert.ok(again === 0 || isExcused, `${group.name}: ${again} handled again, without a reason`);
    }
  }

  async random(proxy: KafkaProxy): Promise<void> {
    const seed = Number(process.env["ARROYO_FAULT_SEED"] ?? Math.ceil(Math.random() * 1_000_000));
    this.#t.diagnostic(`faults at random: ARROYO_FAULT_SEED=${seed} injects the same ones again`);
    await injectFaults({
      brokers: this.#brokers,
      proxy,
      scene: this.#scene,
      random: new SeededRandom(seed),
      milliseconds: Math.max(RANDOM_MS.least, Math.min(RANDOM_MS.most, USUAL_MS - performance.now())),
      catchUpMs: CATCH_UP_MS,
      pauseMs: 1_000,
      over: (fault, tookMs) => this.#t.diagnostic(`${fault}: caught up within ${Math.round(tookMs)} ms`),
    });
  }

  async end(): Promise<void> {
    await this.#scene.stopProducing();
    await this.#scene.caughtUp(CATCH_UP_MS);
    assert.deepEqual(this.#scene.undelivered, []);
    for (const group of this.#scene.groups) {
      for (const member of [...group.members]) await group.part(member, "SIGTERM");
      const { lost, examples, again, handled, complaints } = group.verdict(this.#scene.acknowledged);
      this.#t.diagnostic(`${group.protocol}: ${handled} handled, ${again} of them again`);
      assert.equal(lost, 0, `${group.name} has lost ${examples.join(", ")}`);
      assert.deepEqual(complaints, [], group.name);
    }
  }
}

async function inTrouble(kafka: KafkaTest, brokers: Kafka, t: TestContext): Promise<void> {
  const topic = await kafka.createTopic({ partitions: PARTITIONS, replicas: 3 });
  using scratch = new Scratch();
  await using view = new ClusterView(brokers, topic);
  await using proxy = await KafkaProxy.start(brokers.bootstrapServers);
  await using scene = new Scene({
    kafka,
    servers: proxy.bootstrapServers,
    topic,
    protocols: Object.keys(PROTOCOLS) as Protocol[],
    scratch,
    rate: 200,
  });
  const trouble = new Trouble(t, brokers, topic, scene, view);
  for (const group of scene.groups) {
    group.join();
    group.join();
  }
  await trouble.goOn("start");
  await deleteUnderConsumers(kafka);
  await trouble.goOn("another topic deleted under its consumers");
  await trouble.leaderKilled();
  await trouble.coordinatorFrozen();
  await trouble.rollingRestart();
  await trouble.partitionsMoved();
  trouble.noneTwice();
  await trouble.random(proxy);
  await trouble.end();
}

ownKafkaTest(
  "a cluster in trouble: a topic deleted, a leader killed, a coordinator frozen, a rolling restart, partitions moved, then " +
    "faults at random: under each group protocol nothing is lost, sequences and commits go back only where they may",
  { brokers: 3, properties: { "min.insync.replicas": "2", "unclean.leader.election.enable": "false" } },
  inTrouble,
  { timeout: 600_000 },
);
