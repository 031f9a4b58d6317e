import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupSession } from "../../../src/kafka/client/group-session.ts";
import { HandOvers } from "../../../src/kafka/client/hand-overs.ts";
import { Holdings } from "../../../src/kafka/client/holdings.ts";
import { partitionKey, type ConsumerEvent, type PartitionId } from "../../../src/kafka/client/protocol.ts";
import { settle } from "./fake-group.ts";

const A: PartitionId = { topic: "t", index: 0 };
const B: PartitionId = { topic: "t", index: 1 };
const SESSION = new GroupSession({
  groupId: "g",
  memberId: "m",
  generationId: 1,
  groupInstanceId: null,
  cleanAtMs: 0,
});

/** Two partitions that are assigned, at offset 0. */
async function assigned() {
  const events: ConsumerEvent[] = [];
  const stopped: string[] = [];
  const handOvers = new HandOvers();
  const holdings = new Holdings({
    fetcher: {
      start: () => {},
      stop: (partitions) => void stopped.push(...partitions.map(partitionKey)),
    },
    topicIdOf: () => undefined,
    handOvers,
    stored: { flush: () => Promise.resolve(), clear: () => {} },
    commits: { reassigned: () => {} },
    watch: { start: () => {}, stop: () => {} },
    resolve: (_session, partitions, found) => {
      found(partitions.map((partition) => ({ ...partition, offset: 0, leaderEpoch: -1 })));
      return Promise.resolve();
    },
    send: (event) => events.push(event),
    fatal: (error) => assert.fail(String(error)),
  });
  holdings.assigned(SESSION, [A, B]);
  await settle();
  events.length = 0;
  return { events, stopped, handOvers, holdings };
}

test("a partition whose log goes back is lost and given again; nothing of before can be committed, the other stays", async () => {
  const { events, stopped, handOvers, holdings } = await assigned();
  const [a, b] = [holdings.assignmentOf("t:0"), holdings.assignmentOf("t:1")];
  const restarted = holdings.restart({ ...A, offset: 40, leaderEpoch: 6 }, "the log was cut");
  assert.notEqual(holdings.assignmentOf("t:0"), a);
  assert.equal(holdings.assignmentOf("t:1"), b);
  assert.deepEqual(stopped, ["t:0"]);
  const [lost] = events;
  assert.ok(lost?.type === "lost");
  assert.deepEqual([lost.partitions, lost.reason], [[A], "the log was cut"]);
  await settle();
  assert.equal(events.length, 1, "not before the main thread is through with the loss");
  handOvers.release(lost.id);
  await restarted;
  const again = events[1];
  assert.ok(again?.type === "assigned");
  assert.deepEqual(again.partitions, [{ ...A, offset: 40, leaderEpoch: 6 }]);
  assert.deepEqual([again.id, again.memberId], [holdings.assignmentOf("t:0"), "m"]);
});

test("a partition that is revoked before it was given again is not given", async () => {
  const { events, handOvers, holdings } = await assigned();
  const restarted = holdings.restart({ ...A, offset: 40, leaderEpoch: 6 }, "the log was cut");
  const [lost] = events;
  assert.ok(lost?.type === "lost");
  await holdings.revoke(SESSION, [A], 1_000, 1_000);
  handOvers.release(lost.id);
  await restarted;
  assert.deepEqual(
    events.map(({ type }) => type),
    ["lost"],
  );
  assert.equal(holdings.assignmentOf("t:0"), undefined);
  await holdings.restart({ ...A, offset: 40, leaderEpoch: 6 }, "the log was cut");
  assert.equal(events.length, 1, "what is not ours is left alone");
});

test("a partition whose log goes back in the middle of its hand-over goes all the same", async () => {
  const { events, handOvers, holdings } = await assigned();
  holdings.fetch([{ ...A, offset: 0, leaderEpoch: -1, epoch: 5 }]);
  const revoked = holdings.revoke(SESSION, [A], 1_000, 1_000);
  const [revoke] = events;
  assert.ok(revoke?.type === "revoke");
  assert.equal(holdings.epochOf(A), undefined, "what was asked for its sake is of no use any more");
  const restarted = holdings.restart({ ...A, offset: 40, leaderEpoch: 6 }, "the log was cut");
  await settle();
  handOvers.release(revoke.id);
  await Promise.all([revoked, restarted]);
  assert.deepEqual(
    events.map(({ type }) => type),
    ["revoke"],
  );
  assert.deepEqual(holdings.partitions, [B]);
});
