import assert from "node:assert/strict";
import { test } from "node:test";
import { Delivery } from "../../../src/kafka/delivery.ts";
import { Rebalancing } from "../../../src/kafka/rebalancing.ts";
import type { ConsumerCommand, ConsumerEvent, PartitionId } from "../../../src/kafka/client/protocol.ts";
import { threadsMs } from "../../../src/kafka/client/threads-clock.ts";
import { fetched } from "./fetched.ts";
import type { RebalanceCallbacks } from "../../../src/backend/consumer.ts";
import { Partition } from "../../../src/message/partition.ts";

const A: PartitionId = { topic: "t", index: 0 };
const B: PartitionId = { topic: "t", index: 1 };

interface Fixture {
  readonly rebalancing: Rebalancing;
  readonly delivery: Delivery;
  readonly sent: ConsumerCommand[];
  /** What the callbacks were told, in order. */
  readonly told: string[];
  /** Lets commits that are open come to their end. */
  settleCommits: () => void;
  openCommits: boolean;
}

function fixture(callbacks: RebalanceCallbacks = {}): Fixture {
  const sent: ConsumerCommand[] = [];
  const told: string[] = [];
  const delivery = new Delivery({ credit: () => {}, end: () => {} });
  const settled = Promise.withResolvers<void>();
  const fixture: Fixture = {
    delivery,
    sent,
    told,
    openCommits: false,
    settleCommits: settled.resolve,
    rebalancing: new Rebalancing({
      delivery,
      send: (command) => sent.push(command),
      commitsSettled: () => (fixture.openCommits ? settled.promise : Promise.resolve()),
      wake: () => {},
      removed: () => {},
    }),
  };
  fixture.rebalancing.callbacks = {
    onAssign(partitions) {
      told.push(`assign ${[...partitions].map(([partition, offset]) => `${partition}@${offset}`).join(" ")}`);
      return callbacks.onAssign?.(partitions);
    },
    onRevoke(partitions, deadline) {
      told.push(`revoke ${partitions.join(" ")}`);
      return callbacks.onRevoke?.(partitions, deadline);
    },
    onLost(partitions) {
      told.push(`lost ${partitions.join(" ")}`);
      return callbacks.onLost?.(partitions);
    },
  };
  return fixture;
}

function assigned(id: number, ...partitions: PartitionId[]): Extract<ConsumerEvent, { type: "assigned" }> {
  return {
    type: "assigned",
    id,
    memberId: "m",
    partitions: partitions.map((partition) => ({ ...partition, offset: 7, leaderEpoch: -1 })),
  };
}

function revoke(id: number, ...partitions: PartitionId[]): Extract<ConsumerEvent, { type: "revoke" }> {
  return { type: "revoke", id, partitions, drainMs: 60_000, commitMs: 3_000, sentAtMs: threadsMs() };
}

function lost(id: number, ...partitions: PartitionId[]): Extract<ConsumerEvent, { type: "lost" }> {
  return { type: "lost", id, partitions, reason: "thrown out" };
}

function released(sent: readonly ConsumerCommand[]): number[] {
  return sent.flatMap((command) => (command.type === "released" ? [command.id] : []));
}

test("an assignment is fetched once its callback has ended, from where the callback has moved it", async () => {
  const gate = Promise.withResolvers<void>();
  const { rebalancing, delivery, sent } = fixture({ onAssign: () => gate.promise });
  rebalancing.assigned(assigned(1, A, B));
  const run = rebalancing.run();
  delivery.seek(Partition.of("t", 0), 100, -1);
  rebalancing.fetch([Partition.of("t", 0)]);
  assert.equal(sent.length, 0);
  gate.resolve();
  await run;
  const fetches = sent.filter((command) => command.type === "fetch");
  assert.equal(fetches.length, 1);
  assert.deepEqual(
    fetches[0]?.positions.map(({ index, offset }) => [index, offset]),
    [
      [0, 100],
      [1, 7],
    ],
  );
});

test("a revocation is released when its callback and every open commit have ended", async () => {
  const gate = Promise.withResolvers<void>();
  const f = fixture({ onRevoke: () => gate.promise });
  f.rebalancing.assigned(assigned(1, A));
  await f.rebalancing.run();
  f.rebalancing.revoke(revoke(2, A));
  f.openCommits = true;
  const run = f.rebalancing.run();
  assert.ok(f.rebalancing.commitMs !== undefined && f.rebalancing.commitMs <= 63_000);
  gate.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(released(f.sent), []);
  assert.equal(f.rebalancing.assignmentOf(Partition.of("t", 0)), 1, "still ours to commit");
  f.settleCommits();
  await run;
  assert.deepEqual(released(f.sent), [2]);
  assert.equal(f.rebalancing.assignmentOf(Partition.of("t", 0)), undefined);
  assert.equal(f.rebalancing.commitMs, undefined);
});

test("what stays keeps what was prefetched of it, before and during the drain of others, and is not fetched anew", async () => {
  const gate = Promise.withResolvers<void>();
  const f = fixture({ onRevoke: () => gate.promise });
  f.rebalancing.assigned(assigned(1, A, B));
  await f.rebalancing.run();
  const epochs = f.sent.flatMap((command) =>
    command.type === "fetch" ? command.positions.map(({ epoch }) => epoch) : [],
  );
  const feed = (to: PartitionId, from: number, value: string): boolean =>
    f.delivery.records(
      Partition.of(to.topic, to.index),
      fetched({ ...to, epoch: epochs[to.index]! }, from, [value]),
    );
  assert.ok(feed(A, 7, "goes"));
  assert.ok(feed(B, 7, "before"));
  f.sent.length = 0;
  f.rebalancing.revoke(revoke(2, A));
  const run = f.rebalancing.run();
  assert.ok(feed(B, 8, "meanwhile"));
  gate.resolve();
  await run;
  f.rebalancing.assigned(assigned(3, { topic: "t", index: 2 }));
  await f.rebalancing.run();
  assert.deepEqual(
    f.sent.flatMap((command) =>
      command.type === "fetch" ? command.positions.map(({ index }) => index) : [],
    ),
    [2],
    "only what is new is asked for",
  );
  assert.deepEqual(
    f.delivery.take(10).map(({ partition, payload }) => `${partition} ${payload.text()}`),
    ["t:1 before", "t:1 meanwhile"],
  );
});

test("what a main thread that was busy has lost of the time for a drain is not given again", async () => {
  const f = fixture({
    onRevoke: (_partitions, deadline) => {
      f.told.push(`drain aborted: ${deadline.aborted}, commit within ${f.rebalancing.commitMs}`);
      return new Promise<void>((resolve) => {
        if (deadline.aborted) resolve();
        else deadline.addEventListener("abort", () => resolve());
      });
    },
  });
  f.rebalancing.assigned(assigned(1, A));
  await f.rebalancing.run();
  const startedMs = performance.now();
  f.rebalancing.revoke({ ...revoke(2, A), sentAtMs: threadsMs() - 59_990 });
  await f.rebalancing.run();
  assert.ok(performance.now() - startedMs < 30_000, "10 ms were left of the minute");
  assert.equal(f.told.at(-2), "revoke t:0");
  const left = Number(/commit within (.*)/.exec(f.told.at(-1) ?? "")?.[1]);
  assert.ok(left <= 3_010, `${left} ms for the commit`);
});

test("a loss in the middle of a drain does not wait for it: the deadline aborts, onLost runs at once", async () => {
  let drained: AbortSignal | undefined;
  const { rebalancing, sent, told, delivery } = fixture({
    onRevoke: (_partitions, deadline) => {
      drained = deadline;
      return new Promise<void>((resolve) => deadline.addEventListener("abort", () => resolve()));
    },
  });
  rebalancing.assigned(assigned(1, A));
  await rebalancing.run();
  rebalancing.revoke(revoke(2, A));
  const run = rebalancing.run();
  rebalancing.lost(lost(3, A));
  assert.equal(drained?.aborted, true);
  assert.deepEqual(told, ["assign t:0@7", "revoke t:0", "lost t:0"]);
  assert.equal(delivery.has(Partition.of("t", 0)), false);
  await run;
  assert.deepEqual(
    released(sent).toSorted((a, b) => a - b),
    [2, 3],
  );
});

test("a loss of other partitions than those that are drained leaves the drain its time", async () => {
  const gate = Promise.withResolvers<void>();
  const signals: AbortSignal[] = [];
  const f = fixture({
    onRevoke: (_partitions, deadline) => {
      signals.push(deadline);
      return gate.promise;
    },
  });
  f.rebalancing.assigned(assigned(1, A, B));
  await f.rebalancing.run();
  f.rebalancing.revoke(revoke(2, A));
  const run = f.rebalancing.run();
  f.rebalancing.lost(lost(3, B));
  assert.deepEqual(f.told.slice(1), ["revoke t:0", "lost t:1"]);
  assert.equal(signals[0]?.aborted, false);
  assert.equal(
    f.rebalancing.assignmentOf(Partition.of("t", 0)),
    1,
    "what the drain comes to can be committed",
  );
  gate.resolve();
  await run;
  assert.deepEqual(new Set(released(f.sent)), new Set([2, 3]));
});

test("what is lost cannot be committed any more, before any callback has run", async () => {
  const { rebalancing } = fixture();
  rebalancing.assigned(assigned(1, A, B));
  await rebalancing.run();
  rebalancing.lost(lost(2, A, B));
  assert.equal(rebalancing.assignmentOf(Partition.of("t", 0)), undefined);
  assert.equal(rebalancing.pending, true);
});

test("partitions that are lost before a poll has seen them need no callback", async () => {
  const { rebalancing, told, sent } = fixture();
  rebalancing.assigned(assigned(1, A));
  rebalancing.lost(lost(2, A));
  await rebalancing.run();
  assert.deepEqual(told, []);
  assert.deepEqual(released(sent), [2]);
});

test("a revocation of what was lost before it could run is released without a callback", async () => {
  const { rebalancing, told, sent } = fixture();
  rebalancing.assigned(assigned(1, A));
  await rebalancing.run();
  rebalancing.revoke(revoke(2, A));
  rebalancing.lost(lost(3, A));
  await rebalancing.run();
  assert.deepEqual(told, ["assign t:0@7", "lost t:0"]);
  assert.deepEqual(
    released(sent).toSorted((a, b) => a - b),
    [2, 3],
  );
});

test("a callback that throws fails the poll, and the group does not wait for this member", async () => {
  const { rebalancing, sent } = fixture({
    onRevoke: () => {
      throw new Error("handler broke");
    },
  });
  rebalancing.assigned(assigned(1, A));
  await rebalancing.run();
  rebalancing.revoke(revoke(2, A));
  await assert.rejects(rebalancing.run(), /handler broke/);
  assert.deepEqual(released(sent), [2]);
});

test("a consumer that closes calls nothing back any more, and its drain ends", async () => {
  let drained: AbortSignal | undefined;
  const { rebalancing, told } = fixture({
    onRevoke: (_partitions, deadline) => {
      drained = deadline;
      return new Promise<void>((resolve) => deadline.addEventListener("abort", () => resolve()));
    },
  });
  rebalancing.assigned(assigned(1, A));
  await rebalancing.run();
  rebalancing.revoke(revoke(2, A));
  const run = rebalancing.run();
  rebalancing.abandon();
  await run;
  assert.equal(drained?.aborted, true);
  rebalancing.assigned(assigned(4, B));
  rebalancing.lost(lost(5, A));
  await rebalancing.run();
  assert.deepEqual(told, ["assign t:0@7", "revoke t:0"]);
});
