import assert from "node:assert/strict";
import { Scratch } from "../kafka/e2e/member-process.ts";
import { ownKafkaTest } from "../kafka/kafka-test.ts";
import { ClusterView } from "./cluster-view.ts";
import { PROTOCOLS, Scene, type Protocol } from "./scene.ts";

const PARTITIONS = 4;
const CATCH_UP_MS = 45_000;

ownKafkaTest(
  "a cluster in trouble: leaders killed, a coordinator frozen, all brokers restarted, partitions moved, a member killed; " +
    "under each group protocol nothing is lost, and no commit goes back",
  { brokers: 3, properties: { "min.insync.replicas": "2", "unclean.leader.election.enable": "false" } },
  async (kafka, brokers, t) => {
    const topic = await kafka.createTopic({ partitions: PARTITIONS, replicas: 3 });
    using scratch = new Scratch();
    await using view = new ClusterView(brokers, topic);
    await using scene = new Scene({
      kafka,
      servers: brokers.bootstrapServers,
      topic,
      protocols: Object.keys(PROTOCOLS) as Protocol[],
      scratch,
      rate: 400,
    });
    const goOn = async (what: string): Promise<void> => {
      await scene.progress(400);
      await scene.caughtUp(CATCH_UP_MS);
      t.diagnostic(`${what}: gone on after ${Math.round(performance.now() / 1_000)} s`);
    };
    for (const group of scene.groups) {
      group.join();
      group.join();
    }
    await goOn("start");

    const leader = await view.leader(topic, 0);
    await leader.kill();
    await goOn("leader killed");
    await leader.start();

    const coordinator = await view.coordinator(scene.groups[2]!.name);
    await coordinator.pause();
    await goOn("coordinator frozen");
    await coordinator.resume();
    await goOn("coordinator back");

    for (const broker of brokers.brokers) {
      await broker.stop();
      await scene.progress(200);
      await broker.start();
      await goOn(`broker ${broker.nodeId} restarted`);
    }

    for (let index = 0; index < PARTITIONS; index++) {
      const { nodeId } = await view.leader(topic, index);
      await view.reassign(
        topic,
        index,
        [1, 2, 3].filter((id) => id !== nodeId),
      );
    }
    await goOn("partitions moved away from their leaders");

    for (const group of scene.groups) {
      const { again } = group.verdict(scene.acknowledged);
      const lost = group.count("arroyo.consumer.kafka.lost");
      assert.ok(
        again === 0 || lost > 0,
        `${group.name}: ${again} handled again, though it was never out of its group`,
      );
    }

    for (const group of scene.groups) await group.part(group.members[0]!, "SIGKILL");
    await goOn("members killed");
    await scene.stopProducing();
    await scene.caughtUp(CATCH_UP_MS);

    assert.deepEqual(scene.undelivered, []);
    for (const group of scene.groups) {
      for (const member of [...group.members]) await group.part(member, "SIGTERM");
      const { lost, examples, again, handled } = group.verdict(scene.acknowledged);
      t.diagnostic(`${group.protocol}: ${handled} handled, ${again} of them again`);
      assert.equal(lost, 0, `${group.name} has lost ${examples.join(", ")}`);
      assert.deepEqual(group.complaints, [], group.name);
    }
  },
  { timeout: 280_000 },
);
