import { Partition } from "../message/partition.ts";

/** Topic name to its number of partitions. */
export type PartitionCounts = ReadonlyMap<string, number>;

/** Who has which partitions, or should. Every member has an entry. */
export type Assignment<M> = ReadonlyMap<M, ReadonlySet<Partition>>;

interface Subscriber {
  /** Names of the topics that it wants, of those that there are. */
  topics(): readonly string[];
}

function allTopics(members: readonly Subscriber[]): readonly string[] {
  return [...new Set(members.flatMap((member) => member.topics()))].toSorted();
}

/**
 * Per topic: neighbouring partitions to each member, in the order of the members; the first ones take one more. (Kafka's
 * RangeAssignor.)
 */
export function assignByRange<M extends Subscriber>(
  members: readonly M[],
  counts: PartitionCounts,
): Assignment<M> {
  const assignment = new Map(members.map((member) => [member, new Set<Partition>()]));
  for (const topic of allTopics(members)) {
    const takers = members.filter((member) => member.topics().includes(topic));
    const count = counts.get(topic) ?? 0;
    let next = 0;
    for (const [rank, taker] of takers.entries()) {
      const share = shareOf(rank, count, takers.length);
      for (const end = next + share; next < end; next++)
        assignment.get(taker)!.add(Partition.of(topic, next));
    }
  }
  return assignment;
}

/**
 * Per topic as evenly as by range, but every member keeps what it has as far as that goes: the fewest partitions move.
 */
export function assignSticky<M extends Subscriber>(
  members: readonly M[],
  counts: PartitionCounts,
  current: Assignment<M>,
): Assignment<M> {
  const assignment = new Map(members.map((member) => [member, new Set<Partition>()]));
  for (const topic of allTopics(members)) {
    const free = new Set(
      Array.from({ length: counts.get(topic) ?? 0 }, (_, index) => Partition.of(topic, index)),
    );
    const count = free.size;
    const ofTopic = (member: M): readonly Partition[] =>
      [...(current.get(member) ?? [])].filter((partition) => partition.topic.name === topic);
    // Who has most keeps most; of those who have the same, the one with the least so far gets the one more.
    const takers = members
      .filter((member) => member.topics().includes(topic))
      .map((member) => ({ member, had: ofTopic(member), soFar: assignment.get(member)!.size }))
      .toSorted((a, b) => b.had.length - a.had.length || a.soFar - b.soFar)
      .map(({ member, had }, rank, all) => ({ member, had, share: shareOf(rank, count, all.length) }));
    for (const { member, had, share } of takers) {
      for (const partition of had.slice(0, share)) {
        assignment.get(member)!.add(partition);
        free.delete(partition);
      }
    }
    for (const { member, had, share } of takers) {
      for (const partition of [...free].slice(0, Math.max(0, share - had.length))) {
        assignment.get(member)!.add(partition);
        free.delete(partition);
      }
    }
  }
  return assignment;
}

/** How many of so many partitions the member of a rank gets. */
function shareOf(rank: number, partitions: number, members: number): number {
  return Math.floor(partitions / members) + (rank < partitions % members ? 1 : 0);
}
