import { byStableId, compare, type Assignor, type GroupMemberView } from "./assignors.ts";
import type { GroupAssignment } from "./consumer-protocol.ts";
import { partitionKey, type PartitionId } from "./protocol.ts";

/** A member while partitions are dealt out. */
interface Taker {
  readonly view: GroupMemberView;
  readonly topics: ReadonlySet<string>;
  /** Topic to what it gets of it, and whether it has that now. */
  readonly gets: Map<string, Map<number, boolean>>;
  load: number;
}

/**
 * Everybody keeps what he has, as far as the loads allow, and in one rebalance gets only what nobody else has (any more):
 * what is to move is left out until its owner has given it up and joined again. (Kafka's CooperativeStickyAssignor, KIP-429.)
 *
 * The loads are as even as the subscriptions allow: nothing that could be moved, nor any chain of moves, would make them
 * more so. Nothing is moved that does not serve this.
 */
export const cooperativeStickyAssignor: Assignor = {
  name: "cooperative-sticky",
  incremental: true,
  assign(members, partitionCounts) {
    const takers = members.toSorted(byStableId).map((view): Taker => ({
      view,
      topics: new Set(view.subscription.topics),
      gets: new Map(),
      load: 0,
    }));
    const subscribers = subscribersByTopic(takers, partitionCounts);
    const claims = validClaims(takers, partitionCounts);
    const unowned: PartitionId[] = [];
    for (const [topic, { length }] of subscribers) {
      if (length === 0) continue;
      for (let index = 0; index < (partitionCounts.get(topic) ?? 0); index++) {
        const owner = claims.get(partitionKey({ topic, index }));
        if (owner === undefined) unowned.push({ topic, index });
        else give(owner, topic, index, true);
      }
    }
    for (const { topic, index } of unowned) {
      const [first, ...others] = subscribers.get(topic) ?? [];
      if (first === undefined) continue;
      const taker = others.reduce((least, other) => (other.load < least.load ? other : least), first);
      give(taker, topic, index, false);
    }
    balance(takers, subscribers);
    return withoutWhatOthersHold(takers, claims);
  },
};

/** Those that want a topic, the topics with the fewest of them first: they have the least choice. */
function subscribersByTopic(
  takers: readonly Taker[],
  partitionCounts: ReadonlyMap<string, number>,
): ReadonlyMap<string, readonly Taker[]> {
  const topics = [...partitionCounts.keys()].map((topic) => {
    return [topic, takers.filter((taker) => taker.topics.has(topic))] as const;
  });
  return new Map(topics.toSorted(([a, as], [b, bs]) => as.length - bs.length || compare(a, b)));
}

/**
 * Who has each partition, by what the members say. Of two that say so the one of the later generation has it: the other
 * one has missed that it was lost. Of two in the same generation neither is believed.
 */
function validClaims(
  takers: readonly Taker[],
  partitionCounts: ReadonlyMap<string, number>,
): ReadonlyMap<string, Taker> {
  const claims = new Map<string, { taker: Taker | undefined; generationId: number }>();
  for (const taker of takers) {
    const { owned, generationId } = taker.view.subscription;
    for (const [topic, indices] of owned) {
      for (const index of new Set(indices)) {
        if (index < 0 || index >= (partitionCounts.get(topic) ?? 0)) continue;
        const key = partitionKey({ topic, index });
        const other = claims.get(key);
        if (other === undefined || other.generationId < generationId) {
          claims.set(key, { taker: taker.topics.has(topic) ? taker : undefined, generationId });
        } else if (other.generationId === generationId) {
          other.taker = undefined;
        }
      }
    }
  }
  const valid = new Map<string, Taker>();
  for (const [key, { taker }] of claims) if (taker !== undefined) valid.set(key, taker);
  return valid;
}

/**
 * Moves partitions from the most to the least loaded, over others if need be, until no move makes the loads more even.
 * Always from the most loaded one: whoever is cut down further than the others has moved for nothing.
 */
function balance(takers: readonly Taker[], subscribers: ReadonlyMap<string, readonly Taker[]>): void {
  for (let moved = true; moved;) {
    moved = false;
    const open = new Set(takers);
    while (open.size > 0) {
      const from = [...open].reduce((most, taker) => (taker.load > most.load ? taker : most));
      if (from.load > 1 + leastLoad(takers) && lighten(from, subscribers)) moved = true;
      else open.delete(from);
    }
  }
}

function leastLoad(takers: readonly Taker[]): number {
  return takers.reduce((least, { load }) => Math.min(least, load), Infinity);
}

/** Takes one partition off a member, if somebody who can be reached would still have less than it. */
function lighten(from: Taker, subscribers: ReadonlyMap<string, readonly Taker[]>): boolean {
  /** How a member is reached: from whom, with a partition of which topic. */
  const reached = new Map<Taker, { readonly from: Taker; readonly topic: string } | undefined>([
    [from, undefined],
  ]);
  let least: Taker = from;
  // A Map goes on to what is added while it is gone through: breadth first, so the shortest chain is found.
  for (const [taker] of reached) {
    if (taker.load < least.load) least = taker;
    for (const [topic, indices] of taker.gets) {
      if (indices.size === 0) continue;
      for (const other of subscribers.get(topic) ?? []) {
        if (!reached.has(other)) reached.set(other, { from: taker, topic });
      }
    }
  }
  if (least.load > from.load - 2) return false;
  for (let to = least, step = reached.get(to); step !== undefined; step = reached.get(to)) {
    move(step.from, to);
    to = step.from;
  }
  return true;
}

/**
 * Moves one partition that both may have: rather one that the giver does not have yet, and of the topic of which it has
 * the most more, so that each topic is spread as well.
 */
function move(from: Taker, to: Taker): void {
  let best:
    | { readonly topic: string; readonly index: number; readonly isOwned: boolean; readonly more: number }
    | undefined;
  for (const [topic, indices] of from.gets) {
    if (!to.topics.has(topic)) continue;
    const more = indices.size - (to.gets.get(topic)?.size ?? 0);
    for (const [index, isOwned] of indices) {
      // Whoever gives back what it was about to give up anyway moves nothing at all.
      const isBetter =
        best === undefined ||
        (isOwned === best.isOwned
          ? more > best.more || (more === best.more && topic === best.topic && index > best.index)
          : !isOwned);
      if (isBetter) best = { topic, index, isOwned, more };
    }
  }
  if (best === undefined) return;
  from.gets.get(best.topic)?.delete(best.index);
  from.load--;
  give(to, best.topic, best.index, false);
}

function give(taker: Taker, topic: string, index: number, isOwned: boolean): void {
  const indices = taker.gets.get(topic);
  if (indices === undefined) taker.gets.set(topic, new Map([[index, isOwned]]));
  else indices.set(index, isOwned);
  taker.load++;
}

/** What each gets now: what is its own, and what nobody else has. */
function withoutWhatOthersHold(
  takers: readonly Taker[],
  claims: ReadonlyMap<string, Taker>,
): Map<string, GroupAssignment> {
  const holders = new Map<string, Set<Taker>>();
  for (const taker of takers) {
    for (const [topic, indices] of taker.view.subscription.owned) {
      for (const index of indices) {
        const key = partitionKey({ topic, index });
        const ofPartition = holders.get(key);
        if (ofPartition === undefined) holders.set(key, new Set([taker]));
        else ofPartition.add(taker);
      }
    }
  }
  const isFree = (key: string, taker: Taker): boolean =>
    claims.get(key) === taker || [...(holders.get(key) ?? [])].every((holder) => holder === taker);
  const assignments = new Map<string, GroupAssignment>();
  for (const taker of takers) {
    const assignment = new Map<string, readonly number[]>();
    for (const [topic, indices] of taker.gets) {
      const free = [...indices.keys()].filter((index) => isFree(partitionKey({ topic, index }), taker));
      const sorted = free.toSorted((a, b) => a - b);
      if (sorted.length > 0) assignment.set(topic, sorted);
    }
    assignments.set(taker.view.memberId, assignment);
  }
  return assignments;
}
