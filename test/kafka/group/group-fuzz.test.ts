import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsumerError } from "../../../src/errors.ts";
import { ASSIGNORS } from "../../../src/kafka/client/assignor-names.ts";
import type { GroupMemberView } from "../../../src/kafka/client/assignors.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type Subscription,
} from "../../../src/kafka/client/consumer-protocol.ts";
import type { SeededRandom } from "../../seeded-random.ts";
import { fuzz } from "../fuzzing.ts";

const MAX_ALLOCATED = 100_000;
const COUNTS: ReadonlyMap<string, number> = new Map([
  ["orders", 6],
  ["clicks", 3],
]);

const owned = new Map([
  ["orders", [0, 1, 2]],
  ["clicks", [1]],
]);
const subscriptions = [
  encodeSubscription(["orders", "clicks"]),
  encodeSubscription(["orders", "clicks"], { owned, generationId: 7 }),
  encodeSubscription(["orders"], { owned, generationId: 7 }, true),
  encodeSubscription(["clicks", "gone"], { owned: new Map([["orders", [5, 4]]]), generationId: 8 }, true),
  // Version 0, as old members write it: a topic and user data.
  Buffer.from("00000000000100066f7264657273000000020102", "hex"),
];
const sound = subscriptions.map(decodeSubscription);

function member(memberId: string, subscription: Subscription): GroupMemberView {
  return { memberId, groupInstanceId: undefined, subscription };
}

/** Whatever members claim: nothing that does not exist is given to anybody, and nothing twice. */
function dealOut(subscription: Subscription, random: SeededRandom): void {
  const members = [member("a", sound[1]!), member("b", subscription), member("c", random.pick(sound))];
  for (const assignor of ASSIGNORS.values()) {
    const given = new Set<string>();
    for (const [memberId, assignment] of assignor.assign(members, COUNTS)) {
      const { topics } = members.find((each) => each.memberId === memberId)!.subscription;
      for (const [topic, indices] of assignment) {
        assert.ok(topics.includes(topic), `${assignor.name}: ${memberId} does not want ${topic}`);
        for (const index of indices) {
          assert.ok(index >= 0 && index < COUNTS.get(topic)!, `${assignor.name}: ${topic}:${index}`);
          assert.ok(!given.has(`${topic}:${index}`), `${assignor.name}: ${topic}:${index} twice`);
          given.add(`${topic}:${index}`);
        }
      }
    }
  }
}

test("20,000 damaged subscriptions end in one that assignors can deal with, or in a ConsumerError", () => {
  fuzz({ inputs: subscriptions, runs: 20_000, maxAllocatedBytes: MAX_ALLOCATED }, (bytes, random) => {
    let subscription: Subscription;
    try {
      subscription = decodeSubscription(bytes);
    } catch (error) {
      if (!(error instanceof ConsumerError)) throw error;
      return "error";
    }
    dealOut(subscription, random);
    return "value";
  });
});

test("20,000 damaged assignments end in an assignment or in a ConsumerError", () => {
  const inputs = [encodeAssignment(owned), encodeAssignment(new Map([["orders", [0]]]))];
  fuzz({ inputs, runs: 20_000, maxAllocatedBytes: MAX_ALLOCATED }, (bytes) => {
    try {
      for (const indices of decodeAssignment(bytes).values()) assert.ok(indices.length * 4 <= bytes.length);
      return "value";
    } catch (error) {
      if (!(error instanceof ConsumerError)) throw error;
      return "error";
    }
  });
});
