import assert from "node:assert/strict";
import { systemClock } from "../../../src/clock.ts";
import { Cluster } from "../../../src/kafka/client/cluster.ts";
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatResponse,
} from "../../../src/kafka/client/consumer-group-apis.ts";
import type { LogFields } from "../../../src/logger.ts";
import { silentLogger, Topic } from "../../../src/index.ts";
import { clientConfig } from "../client/client-config.ts";
import { fill } from "../fill.ts";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { ApiKeys, KafkaProxy } from "../proxy.ts";
import { Member } from "./polling-member.ts";

/** Speaks to a group's coordinator in the name of a member of it. */
class Impostor implements AsyncDisposable {
  readonly #groupId: string;
  readonly #cluster: Cluster;

  constructor(kafka: KafkaTest, groupId: string) {
    this.#groupId = groupId;
    this.#cluster = new Cluster({
      config: clientConfig(kafka.bootstrapServers),
      clock: systemClock,
      logger: silentLogger,
    });
  }

  async beat(memberId: string, memberEpoch: number, topic: string): Promise<ConsumerGroupHeartbeatResponse> {
    const nodeId = await this.#cluster.coordinator(this.#groupId);
    const connection = await this.#cluster.connection(nodeId, "group");
    const joins = memberEpoch === 0;
    const request = {
      groupId: this.#groupId,
      memberId,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: joins ? 60_000 : -1,
      subscribedTopicNames: joins ? [topic] : null,
      serverAssignor: null,
      topicPartitions: joins ? [] : null,
    };
    return await connection.request(ConsumerGroupHeartbeat, [request], { timeoutMs: 10_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.close();
  }
}

for (const [error, happens] of [
  ["UNKNOWN_MEMBER_ID", "that the coordinator does not know any more"],
  ["FENCED_MEMBER_EPOCH", "whose epoch is not the coordinator's"],
] as const) {
  kafkaTest(
    `KIP-848: a member ${happens} (${error}) loses everything, joins again, and goes on from what was committed`,
    async (kafka) => {
      const topic = new Topic(await kafka.createTopic({ partitions: 2 }));
      const values = (from: number): string[] => [0, 1, 2, 3].map((i) => `v${from + i}`);
      const write = (from: number): Promise<void> =>
        fill(
          kafka,
          topic.name,
          values(from).map((value, i) => ({ partition: i % 2, value })),
        );
      await write(0);
      const group = kafka.name("group");
      const reasons: string[] = [];
      const logger = {
        ...silentLogger,
        warn: ({ reason }: LogFields) => void reasons.push(String(reason)),
      };
      await using impostor = new Impostor(kafka, group);
      await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
      const throughProxy = { "bootstrap.servers": proxy.bootstrapServers };
      await using member = new Member(kafka, group, topic, throughProxy, logger);
      await member.until(() => member.values.length === 4);
      await member.commit();
      const { memberId } = member.consumer;
      // It says nothing to the coordinator until the impostor has said everything.
      const isSilent = Promise.withResolvers<void>();
      proxy.intercept = ({ api, direction }) => {
        if (api !== ApiKeys.CONSUMER_GROUP_HEARTBEAT || direction !== "answer") return "pass";
        proxy.stall();
        isSilent.resolve();
        return "pass";
      };
      await isSilent.promise;
      proxy.intercept = () => "pass";
      assert.equal((await impostor.beat(memberId, -1, topic.name)).errorCode, 0);
      // Somebody else with this member's id, and another epoch.
      if (error === "FENCED_MEMBER_EPOCH") {
        assert.equal((await impostor.beat(memberId, 0, topic.name)).errorCode, 0);
      }
      proxy.resume();
      await member.until(() => member.events.length === 3);
      assert.deepEqual(member.events, ["assign 0,1", "lost 0,1", "assign 0,1"]);
      assert.match(reasons.join("\n"), new RegExp(error));
      await write(4);
      await member.until(() => member.values.length === 8);
      assert.deepEqual(
        member.values.toSorted(),
        [...values(0), ...values(4)],
        "nothing again, nothing missing",
      );
      await member.commit();
      assert.deepEqual(
        await kafka.committedOffsets(group, topic.name),
        new Map([
          [0, 4],
          [1, 4],
        ]),
      );
      assert.equal(member.failure, undefined);
    },
  );
}

kafkaTest(
  "KIP-848: an instance id that a running member has is waited for, with a warning, and taken once that one has left",
  async (kafka) => {
    const topic = new Topic(await kafka.createTopic({ partitions: 2 }));
    const group = kafka.name("group");
    const settings = { "group.instance.id": "one" };
    const warned = Promise.withResolvers<void>();
    const logger = {
      ...silentLogger,
      warn: (_fields: LogFields, message: string) => {
        if (message.startsWith("Another member has this group.instance.id still")) warned.resolve();
      },
    };
    const first = new Member(kafka, group, topic, settings);
    await first.until(() => first.held.length === 2);
    await using second = new Member(kafka, group, topic, settings, logger);
    await warned.promise;
    assert.deepEqual([second.held, first.held.length], [[], 2]);
    await first[Symbol.asyncDispose]();
    await second.until(() => second.held.length === 2);
    assert.deepEqual([first.failure, second.failure, second.events], [undefined, undefined, ["assign 0,1"]]);
  },
);
