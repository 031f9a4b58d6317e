import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compare, type GroupMemberView } from "../../../src/kafka/client/assignors.ts";
import type { GroupAssignment } from "../../../src/kafka/client/consumer-protocol.ts";
import { cooperativeStickyAssignor } from "../../../src/kafka/client/sticky-assignor.ts";

const TOPICS = ["a", "b", "c", "d"];

/** A group as it goes from rebalance to rebalance: each member claims what the last one gave it. */
class Group {
  readonly counts: Map<string, number>;
  readonly subscriptions = new Map<string, readonly string[]>();
  owned = new Map<string, GroupAssignment>();
  generationId = 0;

  constructor(counts: Readonly<Record<string, number>>) {
    this.counts = new Map(Object.entries(counts));
  }

  join(id: string, ...topics: string[]): this {
    this.subscriptions.set(id, topics);
    return this;
  }

  leave(id: string): this {
    this.subscriptions.delete(id);
    this.owned.delete(id);
    return this;
  }

  get views(): GroupMemberView[] {
    return [...this.subscriptions].map(([memberId, topics]) => ({
      memberId,
      groupInstanceId: undefined,
      subscription: { topics, owned: this.owned.get(memberId) ?? new Map(), generationId: this.generationId },
    }));
  }

  /** One rebalance. Returns whether somebody gave something up, and so joins again. */
  rebalance(): boolean {
    const before = this.owned;
    const after = cooperativeStickyAssignor.assign(this.views, this.counts);
    for (const [id, assignment] of after) {
      for (const key of keysOf(assignment)) {
        for (const [other, theirs] of before) {
          const isTaken = other !== id && keysOf(theirs).has(key) && !keysOf(before.get(id)).has(key);
          assert.ok(!isTaken, `${key} went to ${id} while ${other} still had it`);
        }
      }
    }
    this.owned = after;
    this.generationId++;
    return [...before].some(([id, assignment]) => [...keysOf(assignment)].some((key) => !this.has(id, key)));
  }

  /** Rebalances until nobody gives anything up any more, which must not take long. */
  settle(most: number = 4): this {
    for (let rebalances = 1; this.rebalance(); rebalances++)
      assert.ok(rebalances < most, "it does not come to rest");
    return this;
  }

  has(id: string, key: string): boolean {
    return keysOf(this.owned.get(id)).has(key);
  }

  loads(): number[] {
    return [...this.subscriptions.keys()].map((id) => keysOf(this.owned.get(id)).size);
  }
}

function keysOf(assignment: GroupAssignment | undefined): Set<string> {
  return new Set(
    [...(assignment ?? [])].flatMap(([topic, indices]) => indices.map((index) => `${topic}:${index}`)),
  );
}

function assertEveryPartitionOnce(group: Group): void {
  const owners = new Map<string, string>();
  for (const [id, assignment] of group.owned) {
    for (const key of keysOf(assignment)) {
      assert.equal(owners.get(key), undefined, `${key} has two owners`);
      assert.ok(group.subscriptions.get(id)?.includes(key.split(":")[0] ?? ""));
      owners.set(key, id);
    }
  }
  const wanted = new Set([...group.subscriptions.values()].flat());
  let expected = 0;
  for (const topic of wanted) expected += group.counts.get(topic) ?? 0;
  assert.equal(owners.size, expected);
}

/** No partition, and no chain of partitions, could go to somebody who would still have less than who gives it. */
function assertBalanced(group: Group): void {
  const load = (id: string): number => keysOf(group.owned.get(id)).size;
  for (const from of group.subscriptions.keys()) {
    const reached = new Set([from]);
    for (const id of reached) {
      for (const topic of group.owned.get(id)?.keys() ?? []) {
        for (const [other, topics] of group.subscriptions) if (topics.includes(topic)) reached.add(other);
      }
    }
    for (const to of reached) {
      assert.ok(
        load(to) + 2 > load(from),
        `${from} has ${load(from)}, ${to} could have one of its ${load(to)}`,
      );
    }
  }
}

const counts = fc.record(Object.fromEntries(TOPICS.map((topic) => [topic, fc.nat(9)])));
const topics = fc.subarray(TOPICS);
const ids = fc.constantFrom("m1", "m2", "m3", "m4", "m5", "m6");
const events = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant("join" as const), id: ids, topics }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("leave" as const), id: ids }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant("grow" as const), topic: fc.constantFrom(...TOPICS) }),
    },
  ),
  { minLength: 1, maxLength: 12 },
);

test("whoever comes, goes or wants other topics: it comes to rest with all of it once, as even as can be, and never taken from somebody", () => {
  fc.assert(
    fc.property(counts, events, (given, happening) => {
      const group = new Group(given);
      for (const event of happening) {
        if (event.type === "join") group.join(event.id, ...event.topics);
        else if (event.type === "leave") group.leave(event.id);
        else group.counts.set(event.topic, (group.counts.get(event.topic) ?? 0) + 1);
        if (group.subscriptions.size === 0) continue;
        group.settle();
        assertEveryPartitionOnce(group);
        assertBalanced(group);
        const settled = new Map(group.owned);
        assert.equal(group.rebalance(), false);
        assert.deepEqual(group.owned, settled, "a rebalance without a reason moves nothing");
      }
    }),
    { numRuns: 500 },
  );
});

test("with equal subscriptions no more is moved than it takes to be even", () => {
  fc.assert(
    fc.property(
      counts,
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
      (given, before, after) => {
        const group = new Group(given);
        for (let i = 0; i < before; i++) group.join(`m${i}`, ...TOPICS);
        group.settle();
        const old = new Map(group.owned);
        for (let i = before; i < after; i++) group.join(`m${i}`, ...TOPICS);
        for (let i = after; i < before; i++) group.leave(`m${i}`);
        group.settle();
        const total = Object.values(given).reduce((sum, count) => sum + count, 0);
        const most = Math.ceil(total / after);
        const withMost = total % after === 0 ? after : total % after;
        const stayed = [...old].filter(([id]) => group.subscriptions.has(id));
        // The largest holdings may stay the largest; everybody else is cut to the smaller share.
        const kept = stayed
          .map(([, assignment]) => keysOf(assignment).size)
          .toSorted((a, b) => b - a)
          .reduce(
            (sum, size, rank) => sum + Math.min(size, rank < withMost ? most : Math.floor(total / after)),
            0,
          );
        const really = stayed.reduce(
          (sum, [id, assignment]) => sum + [...keysOf(assignment)].filter((key) => group.has(id, key)).length,
          0,
        );
        assert.equal(really, kept);
      },
    ),
    { numRuns: 500 },
  );
});

test("each topic is spread over the members, too", () => {
  const group = new Group({ a: 6, b: 6, c: 6 })
    .join("m1", ...TOPICS)
    .join("m2", ...TOPICS)
    .settle();
  group.join("m3", ...TOPICS).settle();
  for (const [, assignment] of group.owned) {
    assert.deepEqual([...assignment].map(([topic, { length }]) => `${topic}${length}`).toSorted(compare), [
      "a2",
      "b2",
      "c2",
    ]);
  }
});

test("a chain of moves is found where no single one helps", () => {
  // m1 can only give "b" to m2, and m2 only "c" to m3, which has nothing.
  const group = new Group({ a: 0, b: 3, c: 1, d: 0 });
  group.join("m1", "b").join("m2", "b", "c").settle();
  group.join("m3", "c").settle();
  assert.deepEqual(group.loads(), [2, 1, 1]);
});

test("the order in which the members are listed decides nothing", () => {
  fc.assert(
    fc.property(counts, fc.array(topics, { minLength: 1, maxLength: 6 }), fc.nat(5), (given, wanted, at) => {
      const group = new Group(given);
      for (const [i, names] of wanted.entries()) group.join(`m${i}`, ...names);
      const turned = [...group.views.slice(at), ...group.views.slice(0, at)];
      const one = cooperativeStickyAssignor.assign(group.views, group.counts);
      const other = cooperativeStickyAssignor.assign(turned, group.counts);
      for (const [id, assignment] of one) assert.deepEqual(keysOf(other.get(id)), keysOf(assignment));
    }),
  );
});

function claiming(
  memberId: string,
  generationId: number,
  owned: Readonly<Record<string, number[]>>,
): GroupMemberView {
  return {
    memberId,
    groupInstanceId: undefined,
    subscription: { topics: ["a"], owned: new Map(Object.entries(owned)), generationId },
  };
}

function assignedTo(members: readonly GroupMemberView[], count: number): Record<string, readonly number[]> {
  const assignments = cooperativeStickyAssignor.assign(members, new Map([["a", count]]));
  return Object.fromEntries([...assignments].map(([id, assignment]) => [id, assignment.get("a") ?? []]));
}

test("of two that claim a partition, the one of the later generation has it", () => {
  const stale = claiming("m1", 3, { a: [0, 1] });
  const current = claiming("m2", 4, { a: [0, 1] });
  const neither = claiming("m3", -1, {});
  assert.deepEqual(assignedTo([stale, current], 2), { m1: [], m2: [0] });
  assert.deepEqual(assignedTo([stale, current, neither], 2), { m1: [], m2: [0], m3: [] });
});

test("of two that claim a partition in the same generation, neither is believed", () => {
  const assigned = assignedTo([claiming("m1", 4, { a: [0] }), claiming("m2", 4, { a: [0] })], 2);
  assert.deepEqual(Object.values(assigned).flat(), [1], "both have to give it up before anybody gets it");
});

test("claims for what is not there, or not subscribed to, are worth nothing", () => {
  const lost = claiming("m1", 4, { a: [0, 7, -1], gone: [0] });
  assert.deepEqual(assignedTo([lost], 2), { m1: [0, 1] });
  const other: GroupMemberView = {
    ...claiming("m2", 4, { a: [1] }),
    subscription: { topics: ["b"], owned: new Map([["a", [1]]]), generationId: 4 },
  };
  // It still has it, so it has to give it up first.
  assert.deepEqual(assignedTo([lost, other], 2), { m1: [0], m2: [] });
});

test("a large group is dealt with in no time", () => {
  const names = Array.from({ length: 50 }, (_, i) => `t${i}`);
  const group = new Group(Object.fromEntries(names.map((name) => [name, 40])));
  for (let i = 0; i < 100; i++) group.join(`m${i}`, ...names.filter((_, at) => (at + i) % 3 !== 0));
  const before = process.threadCpuUsage();
  const first = cooperativeStickyAssignor.assign(group.views, group.counts);
  group.owned = first;
  group.join("new", ...names);
  cooperativeStickyAssignor.assign(group.views, group.counts);
  const { user, system } = process.threadCpuUsage(before);
  assert.ok(user + system < 5_000_000, `it took ${(user + system) / 1_000} ms`);
});
