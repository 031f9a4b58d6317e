import type { GroupAssignment, Subscription } from "./consumer-protocol.ts";

/** A member of a group as its leader sees it. */
export interface GroupMemberView {
  readonly memberId: string;
  readonly groupInstanceId: string | undefined;
  readonly subscription: Subscription;
}

/** Spreads the partitions of topics over members. Every member of the group must come to the same kind of answer. */
export interface Assignor {
  /** Its name in JoinGroup, the same as in Java's client and librdkafka. */
  readonly name: string;
  /** Whether members keep what they have while they join again (KIP-429): it must not give away what is still owned. */
  readonly incremental?: true;
  /** Partition counts by topic; a topic that is missing does not exist (yet). */
  assign(
    members: readonly GroupMemberView[],
    partitionCounts: ReadonlyMap<string, number>,
  ): Map<string, GroupAssignment>;
}

/** Static members by their instance id first: that one outlives a restart. */
export function byStableId(a: GroupMemberView, b: GroupMemberView): number {
  if (a.groupInstanceId !== undefined && b.groupInstanceId !== undefined) {
    return compare(a.groupInstanceId, b.groupInstanceId);
  }
  if (a.groupInstanceId !== undefined) return -1;
  if (b.groupInstanceId !== undefined) return 1;
  return compare(a.memberId, b.memberId);
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function emptyAssignments(members: readonly GroupMemberView[]): Map<string, Map<string, number[]>> {
  return new Map(members.map((member) => [member.memberId, new Map<string, number[]>()]));
}

function give(
  assignments: Map<string, Map<string, number[]>>,
  memberId: string,
  topic: string,
  index: number,
): void {
  const ofMember = assignments.get(memberId);
  if (ofMember === undefined) return;
  const indices = ofMember.get(topic);
  if (indices === undefined) ofMember.set(topic, [index]);
  else indices.push(index);
}

function subscribedTopics(members: readonly GroupMemberView[]): string[] {
  return [...new Set(members.flatMap((member) => member.subscription.topics))].toSorted(compare);
}

/**
 * Per topic: neighbouring partitions to each member in turn, the first members take one more. Topics with the same
 * number of partitions are therefore joined: partition i of each is with the same member. (Kafka's RangeAssignor.)
 */
export const rangeAssignor: Assignor = {
  name: "range",
  assign(members, partitionCounts) {
    const assignments = emptyAssignments(members);
    for (const topic of subscribedTopics(members)) {
      const count = partitionCounts.get(topic) ?? 0;
      const takers = members
        .filter((member) => member.subscription.topics.includes(topic))
        .toSorted(byStableId);
      const each = Math.floor(count / takers.length);
      const more = count % takers.length;
      let next = 0;
      for (const [rank, taker] of takers.entries()) {
        const end = next + each + (rank < more ? 1 : 0);
        for (; next < end; next++) give(assignments, taker.memberId, topic, next);
      }
    }
    return assignments;
  },
};

/** All partitions of all topics, dealt to the members one by one. (Kafka's RoundRobinAssignor.) */
export const roundRobinAssignor: Assignor = {
  name: "roundrobin",
  assign(members, partitionCounts) {
    const assignments = emptyAssignments(members);
    const circle = members.toSorted(byStableId);
    let turn = 0;
    for (const topic of subscribedTopics(members)) {
      const count = partitionCounts.get(topic) ?? 0;
      for (let index = 0; index < count; index++) {
        let taker = circle[turn % circle.length];
        while (taker !== undefined && !taker.subscription.topics.includes(topic)) {
          turn++;
          taker = circle[turn % circle.length];
        }
        if (taker !== undefined) give(assignments, taker.memberId, topic, index);
        turn++;
      }
    }
    return assignments;
  },
};
