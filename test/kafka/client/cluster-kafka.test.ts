import assert from "node:assert/strict";
import { systemClock } from "../../../src/clock.ts";
import type { LogFields, Logger } from "../../../src/logger.ts";
import { Heartbeat } from "../../../src/kafka/client/apis.ts";
import { Cluster } from "../../../src/kafka/client/cluster.ts";
import { TransportError } from "../../../src/kafka/client/transport-error.ts";
import { ownKafkaTest } from "../kafka-test.ts";
import { clientConfig } from "./client-config.ts";

const HEARTBEAT = [{ groupId: "nobody", generationId: 1, memberId: "none", groupInstanceId: null }] as const;

ownKafkaTest("a cluster outlives its broker's death", {}, async (kafka, { brokers: [broker] }) => {
  const lines: string[] = [];
  const note = (_fields: LogFields, message: string): void => void lines.push(message);
  let unreachable = (): void => {};
  const logger: Logger = {
    debug: () => {},
    info: note,
    error: note,
    warn: (fields, message) => {
      note(fields, message);
      unreachable();
    },
  };
  const cluster = new Cluster({ config: clientConfig(kafka.bootstrapServers), clock: systemClock, logger });
  try {
    const topic = await kafka.createTopic({ partitions: 3 });
    const complete = new Promise<void>((resolve) => {
      cluster.onChange(() => {
        if ([0, 1, 2].every((index) => cluster.leader(topic, index) !== undefined)) resolve();
      });
    });
    cluster.setTopics([topic]);
    await cluster.refresh();
    await complete;
    const { topicId } = cluster.topic(topic) ?? {};
    const group = kafka.name("group");
    const connection = await cluster.connection(await cluster.coordinator(group), "group");
    assert.ok(connection.version(Heartbeat) >= 4);

    const isTold = new Promise<void>((resolve) => (unreachable = resolve));
    await broker?.kill();
    await assert.rejects(
      connection.request(Heartbeat, [...HEARTBEAT], { timeoutMs: 30_000 }),
      TransportError,
    );
    const refreshed = cluster.refresh();
    await isTold;

    await broker?.start();
    await refreshed;
    const anew = await cluster.connection(await cluster.coordinator(group), "group");
    // It answers; with what does not matter (a coordinator that still loads its groups says 0, whoever asks).
    await anew.request(Heartbeat, [...HEARTBEAT], { timeoutMs: 30_000 });
    assert.equal(cluster.topic(topic)?.topicId, topicId);
    assert.equal(lines.filter((line) => /cannot be reached/.test(line)).length, 1);
    assert.equal(lines.filter((line) => /can be reached again/.test(line)).length, 1);
  } finally {
    await cluster.close();
  }
});
