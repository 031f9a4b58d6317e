import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ASSIGNORS } from "../../../src/kafka/client/assignor-names.ts";
import {
  rangeAssignor,
  roundRobinAssignor,
  type GroupMemberView,
} from "../../../src/kafka/client/assignors.ts";

function member(memberId: string, ...topics: string[]): GroupMemberView {
  return {
    memberId,
    groupInstanceId: undefined,
    subscription: { topics, owned: new Map(), generationId: -1 },
  };
}

function plain(
  assignments: Map<string, ReadonlyMap<string, readonly number[]>>,
): Record<string, Record<string, readonly number[]>> {
  return Object.fromEntries([...assignments].map(([id, topics]) => [id, Object.fromEntries(topics)]));
}

test("range gives neighbours to a member, and the first members one more", () => {
  const counts = new Map([
    ["a", 5],
    ["b", 2],
  ]);
  assert.deepEqual(plain(rangeAssignor.assign([member("m2", "a", "b"), member("m1", "a", "b")], counts)), {
    m1: { a: [0, 1, 2], b: [0] },
    m2: { a: [3, 4], b: [1] },
  });
});

test("roundrobin deals partitions of all topics one by one", () => {
  const counts = new Map([
    ["a", 3],
    ["b", 2],
  ]);
  assert.deepEqual(
    plain(roundRobinAssignor.assign([member("m1", "a", "b"), member("m2", "a", "b")], counts)),
    {
      m1: { a: [0, 2], b: [1] },
      m2: { a: [1], b: [0] },
    },
  );
});

test("roundrobin passes over members that have not subscribed to the topic", () => {
  const counts = new Map([
    ["a", 2],
    ["b", 1],
  ]);
  assert.deepEqual(plain(roundRobinAssignor.assign([member("m1", "a"), member("m2", "b")], counts)), {
    m1: { a: [0, 1] },
    m2: { b: [0] },
  });
});

test("static members are ordered by their instance id, so that a restart changes nothing", () => {
  const named = (memberId: string, groupInstanceId: string): GroupMemberView => ({
    ...member(memberId, "a"),
    groupInstanceId,
  });
  const counts = new Map([["a", 2]]);
  const before = plain(rangeAssignor.assign([named("x1", "i-1"), named("x2", "i-2")], counts));
  const after = plain(rangeAssignor.assign([named("z9", "i-1"), named("x2", "i-2")], counts));
  assert.deepEqual(before["x1"], after["z9"]);
  assert.deepEqual(before["x2"], after["x2"]);
});

for (const [name, assignor] of ASSIGNORS) {
  test(`${name}: every partition of a subscribed topic goes to exactly one member that wants it`, () => {
    const topic = fc.constantFrom("a", "b", "c");
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ id: fc.string({ minLength: 1 }), topics: fc.uniqueArray(topic) }), {
          selector: ({ id }) => id,
          minLength: 1,
          maxLength: 6,
        }),
        fc.dictionary(topic, fc.nat(12)),
        (given, counts) => {
          const members = given.map(({ id, topics }) => member(id, ...topics));
          const assignments = assignor.assign(members, new Map(Object.entries(counts)));
          const owners = new Map<string, string>();
          for (const [id, topics] of assignments) {
            for (const [name, indices] of topics) {
              assert.ok(members.find((one) => one.memberId === id)?.subscription.topics.includes(name));
              for (const index of indices) {
                assert.equal(owners.get(`${name}:${index}`), undefined);
                owners.set(`${name}:${index}`, id);
              }
            }
          }
          const wanted = new Set(members.flatMap((one) => one.subscription.topics));
          let expected = 0;
          for (const name of wanted) expected += counts[name] ?? 0;
          assert.equal(owners.size, expected);
          assert.equal(assignments.size, members.length);
        },
      ),
    );
  });
}
