import { alterPartitionReassignmentsV0, Connection } from "@platformatic/kafka";
import { silentLogger, systemClock } from "../../src/index.ts";
import { Cluster } from "../../src/kafka/client/cluster.ts";
import { resolveConsumerConfig } from "../../src/kafka/config.ts";
import type { Kafka, KafkaBroker } from "../kafka/broker.ts";

/** Who leads what in a Kafka, so that a test hits the right broker. */
export class ClusterView implements AsyncDisposable {
  readonly #brokers: Kafka;
  readonly #cluster: Cluster;

  constructor(brokers: Kafka, topic: string) {
    this.#brokers = brokers;
    const config = resolveConsumerConfig({
      "bootstrap.servers": brokers.bootstrapServers,
      "group.id": "view",
    });
    this.#cluster = new Cluster({ config, clock: systemClock, logger: silentLogger });
    this.#cluster.setTopics([topic]);
  }

  /** The broker that leads a partition now. */
  async leader(topic: string, index: number): Promise<KafkaBroker> {
    for (;;) {
      await this.#cluster.refresh();
      const leader = this.#cluster.leader(topic, index);
      if (leader !== undefined) return this.#broker(leader.nodeId);
    }
  }

  /** The broker that coordinates a group now. */
  async coordinator(group: string): Promise<KafkaBroker> {
    this.#cluster.forgetCoordinator(group);
    return this.#broker(await this.#cluster.coordinator(group));
  }

  /** Moves a partition to these brokers, in the order of preference. */
  async reassign(topic: string, index: number, replicas: readonly number[]): Promise<void> {
    const connection = new Connection("arroyo-test");
    const [first] = this.#brokers.brokers;
    await connection.connect("127.0.0.1", first!.ports.PLAINTEXT);
    try {
      await alterPartitionReassignmentsV0.api.async(connection, 10_000, false, [
        { name: topic, partitions: [{ partitionIndex: index, replicas: [...replicas] }] },
      ]);
    } finally {
      await connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.close();
  }

  #broker(nodeId: number): KafkaBroker {
    return this.#brokers.brokers.find((broker) => broker.nodeId === nodeId)!;
  }
}
