import type { Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import { ClassicMember } from "./classic-member.ts";
import type { Cluster } from "./cluster.ts";
import { ConsumerGroupCoordinator } from "./consumer-group-coordinator.ts";
import { ConsumerGroupMember } from "./consumer-group-member.ts";
import { GroupCoordinator } from "./group-coordinator.ts";
import type { Membership, MembershipEvents } from "./membership.ts";
import type { SubscribedTopics } from "./subscribed-topics.ts";

export interface MembershipOptions {
  readonly config: ResolvedConsumerConfig;
  readonly cluster: Cluster;
  readonly topics: SubscribedTopics;
  readonly events: MembershipEvents;
  /** The group's coordinator has answered, whatever it said. */
  readonly answered: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Joins the group, under the protocol that `group.protocol` names. */
export function makeMembership(options: MembershipOptions): Membership {
  const { config, cluster, topics, events, answered, clock, logger } = options;
  if (config["group.protocol"] === "consumer") {
    return new ConsumerGroupMember({
      groupId: config["group.id"],
      groupInstanceId: config["group.instance.id"] ?? null,
      rackId: config["client.rack"] || null,
      serverAssignor: config["group.remote.assignor"] ?? null,
      rebalanceTimeoutMs: config["max.poll.interval.ms"],
      retryBackoffMs: config["retry.backoff.ms"],
      retryBackoffMaxMs: config["retry.backoff.max.ms"],
      requests: new ConsumerGroupCoordinator(cluster, config, answered),
      topics,
      events,
      clock,
      logger,
    });
  }
  return new ClassicMember({
    groupId: config["group.id"],
    groupInstanceId: config["group.instance.id"] ?? null,
    strategies: config["partition.assignment.strategy"],
    heartbeatIntervalMs: config["heartbeat.interval.ms"],
    rebalanceTimeoutMs: config["max.poll.interval.ms"],
    retryBackoffMs: config["retry.backoff.ms"],
    retryBackoffMaxMs: config["retry.backoff.max.ms"],
    requests: new GroupCoordinator(cluster, config, answered),
    topics,
    events,
    clock,
    logger,
  });
}
