import type { Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import type { ClientConfig } from "./client-config.ts";
import type { BrokerConnection } from "./connection.ts";
import type { Leader, TopicMetadata } from "./metadata.ts";
import { ClosedError } from "./transport-error.ts";

export type { ClientConfig } from "./client-config.ts";
export type { Leader, PartitionMetadata, TopicMetadata } from "./metadata.ts";

export interface ClusterOptions {
  readonly config: ClientConfig;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a connection is for: requests of different purposes never wait for each other. */
export type ConnectionPurpose = "metadata" | "fetch" | "produce" | "group" | "join";

/** The brokers, and what is known of their topics. */
export class Cluster {
  constructor(_options: ClusterOptions) {}

  get closed(): boolean {
    return true;
  }

  setTopics(_topics: readonly string[] | "all"): void {}

  refresh(): Promise<void> {
    return Promise.reject(new ClosedError());
  }

  topic(_name: string): TopicMetadata | undefined {
    return undefined;
  }

  topicNames(): readonly string[] {
    return [];
  }

  leader(_topic: string, _index: number): Leader | undefined {
    return undefined;
  }

  updateLeader(_topic: string, _index: number, _nodeId: number, _leaderEpoch: number): void {}

  onChange(_listener: () => void): () => void {
    return () => {};
  }

  connection(_nodeId: number, _purpose: ConnectionPurpose): Promise<BrokerConnection> {
    return Promise.reject(new ClosedError());
  }

  coordinator(_groupId: string): Promise<number> {
    return Promise.reject(new ClosedError());
  }

  forgetCoordinator(_groupId: string): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
