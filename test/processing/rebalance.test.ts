import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvalidMessage, InvalidStateError, MESSAGE_REJECTED } from "../../src/errors.ts";
import type { Partition } from "../../src/message/partition.ts";
import { MetricName } from "../../src/metrics/names.ts";
import { Bench, messages, P0, P1, P2, turn } from "./fixtures.ts";

/** Whether a promise has resolved by now. */
function watch(promise: Promise<void>): { done: boolean } {
  const state = { done: false };
  void promise.then(() => (state.done = true));
  return state;
}

describe("an assignment", () => {
  it("makes one chain for all partitions of the member, each with the offset that is read next", async () => {
    await using bench = new Bench();
    bench.consumer.committed.set(P1, 7);
    await bench.start(P0, P1);
    assert.equal(bench.factory.chains.length, 1);
    assert.equal(bench.chain.partitions, "0@0, 1@7");
  });

  it("delivers nothing before an asynchronous factory is done", async () => {
    await using bench = new Bench();
    const ready = Promise.withResolvers<void>();
    bench.factory.onCreate = () => ready.promise;
    bench.consumer.send(P0, "a");
    await bench.start(P0);
    assert.deepEqual(bench.chain.payloads, []);
    ready.resolve();
    await bench.settle();
    assert.deepEqual(bench.chain.payloads, ["a"]);
  });

  it("ends the processor when the factory throws or rejects", async () => {
    for (const fail of [
      (error: Error) => {
        throw error;
      },
      (error: Error) => Promise.reject(error),
    ]) {
      await using bench = new Bench();
      const broken = new Error("no database");
      bench.factory.onCreate = () => fail(broken);
      bench.consumer.send(P0, "a");
      await bench.start(P0);
      assert.equal(bench.ended?.error, broken);
      assert.deepEqual(bench.consumer.calls, ["subscribe", "close"]);
      assert.equal(bench.factory.shutdowns, 1);
    }
  });

  it("ends the processor when the factory gives no strategy, with a hint", async () => {
    for (const given of [undefined, Promise.resolve(undefined)]) {
      await using bench = new Bench();
      bench.factory.createWithPartitions = () => given as never;
      await bench.start(P0);
      assert.ok(InvalidStateError.is(bench.ended?.error));
      assert.match(bench.ended.error.message, /return missing/);
    }
  });

  it("terminates a chain of which a strategy does not take its runtime", async () => {
    await using bench = new Bench();
    const broken = new Error("no such directory");
    bench.factory.onCreate = (chain) => {
      chain.attach = () => {
        throw broken;
      };
    };
    await bench.start(P0);
    assert.equal(bench.ended?.error, broken);
    assert.deepEqual(bench.chain.calls, ["terminate"]);
  });

  it("that adds partitions drains the running chain, and makes a new one that goes on where that was", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.consumer.send(P0, "a", "b");
    await bench.settle();
    bench.consumer.assign(P1);
    await bench.settle();
    const [first, second] = bench.factory.chains;
    assert.deepEqual(first!.calls, ["close", "join"]);
    assert.deepEqual(bench.consumer.commits, ["0:2"]);
    assert.equal(second!.partitions, "0@2, 1@0");
    bench.consumer.send(P0, "c");
    await bench.settle();
    assert.deepEqual(second!.payloads, ["c"]);
  });

  it("that adds partitions keeps the running chain if the factory can update it", async () => {
    await using bench = new Bench();
    const updates: string[] = [];
    Object.assign(bench.factory, {
      updatePartitions: (partitions: ReadonlyMap<Partition, number>) =>
        updates.push([...partitions].map(([partition, offset]) => `${partition.index}@${offset}`).join(", ")),
    });
    await bench.start(P0);
    bench.chain.reject(Infinity);
    bench.consumer.send(P0, "a", "b");
    await bench.settle();
    bench.consumer.assign(P1);
    bench.consumer.send(P1, "x");
    await bench.advance(100);
    assert.equal(bench.factory.chains.length, 1);
    assert.deepEqual(updates, ["0@0, 1@0"]);
    bench.chain.reject(0);
    await bench.advance(100);
    assert.deepEqual(bench.chain.payloads, ["a", "b", "x"]);
  });
});

describe("a revocation", () => {
  it("is held until the chain has finished and the broker has acknowledged the commit", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const work = Promise.withResolvers<void>();
    const acknowledged = Promise.withResolvers<void>();
    bench.chain.holds = true;
    bench.chain.onJoin = async () => {
      await work.promise;
      bench.chain.finish();
    };
    bench.consumer.onCommit = () => acknowledged.promise;
    bench.consumer.send(P0, "a", "b");
    await bench.settle();
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.settle();
    assert.deepEqual(bench.chain.calls, ["close", "join"]);
    work.resolve();
    await bench.advance(10);
    assert.equal(handedOver.done, false);
    acknowledged.resolve();
    await bench.settle();
    assert.equal(handedOver.done, true);
    assert.deepEqual(bench.consumer.commits, ["0:2"]);
    assert.equal(bench.metrics.timings(MetricName.CLOSE_STRATEGY).length, 1);
  });

  it("polls the chain while it is drained", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const work = Promise.withResolvers<void>();
    bench.chain.onJoin = () => work.promise;
    const revoked = bench.consumer.revoke([P0]);
    await bench.settle();
    const { polls } = bench.chain;
    bench.chain.runtime!.wake();
    await turn();
    await turn();
    await turn();
    assert.equal(bench.chain.polls, polls + 1, "when a strategy asks for it");
    await bench.advance(3_000);
    assert.ok(bench.chain.polls > polls + 100, "and by itself, since a rejection may end without a wake");
    work.resolve();
    await bench.advance(10);
    await revoked;
  });

  it("goes on when a strategy polls its next step after that has been joined", async () => {
    await using bench = new Bench();
    const work = Promise.withResolvers<void>();
    bench.factory.onCreate = (chain) => ({
      next: chain,
      submit: (message) => chain.submit(message),
      poll: () => chain.poll(),
      close: () => chain.close(),
      terminate: () => chain.terminate(),
      join: async (deadline: AbortSignal) => {
        await chain.join(deadline);
        await work.promise;
      },
    });
    await bench.start(P0);
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.advance(100);
    assert.equal(handedOver.done, false);
    work.resolve();
    await bench.advance(10);
    assert.equal(handedOver.done, true);
    assert.equal(bench.ended, undefined);
  });

  it("leaves what does not finish within joinTimeoutMs, and what comes out of it later is not committed", async () => {
    await using bench = new Bench({ joinTimeoutMs: 2_000 });
    await bench.start(P0);
    const { chain } = bench;
    chain.holds = true;
    chain.onJoin = () => new Promise(() => {});
    bench.consumer.send(P0, "a", "b");
    await bench.settle();
    chain.commit(new Map([[P0, 1]]));
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.advance(1_999);
    assert.equal(handedOver.done, false);
    await bench.advance(200);
    assert.equal(handedOver.done, true);
    assert.deepEqual(chain.calls, ["close", "join", "terminate"]);
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
    chain.commit(new Map([[P0, 2]]), { force: true });
    await bench.advance(2_000);
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
    assert.equal(bench.metrics.count(MetricName.JOIN_TIMEOUT), 1);
    assert.equal(bench.metrics.count(MetricName.COMMIT_DROPPED), 1);
    assert.ok(bench.logger.has("did not finish in time"));
  });

  it("ends the drain at the group's deadline, if that is earlier, and still commits", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onJoin = (deadline) =>
      new Promise((resolve) => deadline.addEventListener("abort", () => resolve()));
    bench.consumer.send(P0, "a");
    await bench.settle();
    const deadline = new AbortController();
    const handedOver = watch(bench.consumer.revoke([P0], deadline.signal));
    await bench.advance(500);
    assert.equal(handedOver.done, false);
    deadline.abort();
    await bench.settle();
    assert.equal(handedOver.done, true);
    assert.deepEqual(
      bench.chain.calls,
      ["close", "join"],
      "a join that ends at its deadline is not terminated",
    );
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
  });

  it("lets the partitions that stay go on without reading anything twice, in a chain of their own", async () => {
    await using bench = new Bench();
    await bench.start(P0, P1);
    bench.chain.reject(Infinity);
    bench.consumer.send(P0, "a", "b");
    bench.consumer.send(P1, "x", "y");
    await bench.advance(10);
    bench.chain.reject(1);
    bench.chain.onSubmit = (message) => {
      if (message.payload === "b") throw MESSAGE_REJECTED;
    };
    await bench.advance(100);
    assert.deepEqual(bench.chain.payloads, ["a"]);
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.advance(100);
    assert.equal(handedOver.done, true);
    assert.equal(bench.chain.partitions, "1@0");
    assert.deepEqual(bench.chain.payloads, ["x", "y"], "what was carried over for them is not lost");
    assert.deepEqual(bench.consumer.calls, ["subscribe"], "and not read again");
    assert.equal(bench.consumer.committed.get(P0), 1);
  });

  it("reads again what the partitions that stay had in flight when the drain ran out of time", async () => {
    await using bench = new Bench({ joinTimeoutMs: 1_000 });
    bench.consumer.committed.set(P1, 1);
    bench.consumer.send(P1, "old");
    await bench.start(P0, P1, P2);
    const { chain } = bench;
    chain.holds = true;
    chain.onJoin = (deadline) =>
      new Promise((resolve) => deadline.addEventListener("abort", () => resolve()));
    bench.consumer.send(P0, "a");
    bench.consumer.send(P1, "x", "y");
    bench.consumer.send(P2, "m", "n");
    await bench.settle();
    chain.commit(new Map([[P2, 1]]));
    const revoked = bench.consumer.revoke([P0]);
    await bench.advance(1_100);
    await revoked;
    assert.deepEqual(bench.consumer.calls, ["subscribe", "seek 1:1", "seek 2:1"]);
    await bench.advance(100);
    assert.equal(bench.chain.partitions, "1@1, 2@1");
    assert.deepEqual(bench.chain.payloads, ["x", "y", "n"]);
    assert.deepEqual(bench.consumer.commits, ["2:1"]);
  });

  it("reads nothing twice of what was carried over, when the drain ran out of time", async () => {
    await using bench = new Bench({ joinTimeoutMs: 1_000 });
    await bench.start(P0, P1);
    const { chain } = bench;
    chain.holds = true;
    chain.onJoin = (deadline) =>
      new Promise((resolve) => deadline.addEventListener("abort", () => resolve()));
    chain.onSubmit = (message) => {
      if (message.payload === "y") throw MESSAGE_REJECTED;
    };
    bench.consumer.send(P1, "x", "y", "z");
    await bench.advance(100);
    assert.deepEqual(chain.payloads, ["x"]);
    const revoked = bench.consumer.revoke([P0]);
    await bench.advance(1_100);
    await revoked;
    await bench.advance(100);
    assert.deepEqual(bench.chain.payloads, ["x", "y", "z"]);
  });

  it("does not wait for what was polled and not yet taken, however slow the handler is", async () => {
    await using bench = new Bench();
    bench.consumer.send(P0, ...messages(P0, 0, 500));
    let revoked: { done: boolean } | undefined;
    bench.factory.onCreate = (chain) => {
      const submit = chain.submit.bind(chain);
      chain.submit = (message) => {
        submit(message);
        // A handler that blocks the thread.
        bench.clock.advance(20);
        if (chain.payloads.length === 100) revoked = watch(bench.consumer.revoke([P0]));
      };
    };
    await bench.start(P0);
    while (revoked?.done !== true) await bench.settle();
    assert.ok(bench.chain.payloads.length < 105, `${bench.chain.payloads.length} were handled`);
    assert.equal(bench.consumer.committed.get(P0), bench.chain.payloads.length);
  });

  it("drops what was carried over for the partition that goes, and hands over while messages are rejected", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.reject(Infinity);
    bench.consumer.send(P0, "a", "b");
    await bench.advance(500);
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.advance(100);
    assert.equal(handedOver.done, true);
    assert.deepEqual(bench.chain.calls, ["close", "join"]);
    assert.deepEqual(bench.consumer.commits, []);
    bench.consumer.assign(P0);
    await bench.advance(1_000);
    assert.deepEqual(bench.chain.payloads, ["a", "b"], "the next assignment starts with it");
  });

  it("that throws in the drain ends the processor, with what was done before committed", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const broken = new Error("flush failed");
    bench.chain.onJoin = async () => {
      throw broken;
    };
    bench.consumer.send(P0, "a");
    await bench.settle();
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.advance(100);
    assert.equal(handedOver.done, true);
    assert.equal(bench.ended?.error, broken);
    assert.deepEqual(bench.chain.calls, ["close", "join", "terminate"]);
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
  });

  it("takes InvalidMessage from the join and goes on with the same deadline", async () => {
    await using bench = new Bench({ joinTimeoutMs: 1_000 });
    await bench.start(P0);
    const deadlines: AbortSignal[] = [];
    const { chain } = bench;
    chain.holds = true;
    bench.consumer.send(P0, "a", "b", "c");
    await bench.settle();
    chain.onJoin = async (deadline) => {
      deadlines.push(deadline);
      if (deadlines.length < 3) {
        throw new InvalidMessage(P0, deadlines.length, { needsCommit: false });
      }
      chain.finish();
    };
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.advance(100);
    assert.equal(handedOver.done, true);
    assert.equal(new Set(deadlines).size, 1);
    assert.deepEqual(bench.consumer.commits, ["0:3"]);
    assert.equal(bench.ended, undefined);
    await bench.advance(1_000);
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 2);
  });

  it("takes InvalidMessage from the polls that go on during the join", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const work = Promise.withResolvers<void>();
    const { chain } = bench;
    chain.onJoin = () => work.promise;
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.settle();
    chain.onPoll = () => {
      chain.onPoll = undefined;
      work.resolve();
      throw new InvalidMessage(P0, 0, { needsCommit: false });
    };
    await bench.advance(100);
    assert.equal(handedOver.done, true);
    await bench.advance(1_000);
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 1);
    assert.equal(bench.ended, undefined);
  });

  it("whose commit fails hands over all the same: the new owner handles again what it covers", async () => {
    await using bench = new Bench();
    await bench.start(P0, P1);
    bench.consumer.onCommit = () => Promise.reject(new Error("the deadline has passed"));
    bench.consumer.send(P0, "a");
    bench.consumer.send(P1, "x");
    await bench.settle();
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.settle();
    assert.equal(handedOver.done, true);
    assert.ok(bench.logger.has("A commit failed in a rebalance"));
    bench.consumer.onCommit = undefined;
    bench.consumer.send(P1, "y");
    await bench.advance(1_100);
    assert.equal(bench.ended, undefined);
    assert.deepEqual(bench.chain.payloads, ["y"]);
    assert.deepEqual(bench.consumer.commits, ["1:2"]);
    assert.equal(bench.metrics.count(MetricName.COMMIT_STATUS, { status: "error" }), 1);
  });

  it("waits for the commit that is under way, and commits the rest after it", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const first = Promise.withResolvers<void>();
    bench.consumer.onCommit = () => first.promise;
    bench.consumer.send(P0, "a");
    await bench.settle();
    await bench.advance(1_000);
    bench.consumer.send(P0, "b");
    await bench.settle();
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.advance(10);
    assert.deepEqual(bench.consumer.commits, []);
    first.resolve();
    await bench.settle();
    assert.deepEqual(bench.consumer.commits, ["0:1", "0:2"]);
    assert.equal(handedOver.done, true);
  });
});

describe("a loss", () => {
  it("terminates the chain, and nothing of its partitions is committed any more", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const { chain } = bench;
    bench.consumer.send(P0, "a");
    await bench.settle();
    await bench.consumer.lose(P0);
    await bench.settle();
    assert.deepEqual(chain.calls, ["terminate"]);
    chain.commit(new Map([[P0, 1]]), { force: true });
    await bench.advance(2_000);
    assert.deepEqual(bench.consumer.commits, []);
    assert.equal(bench.metrics.count(MetricName.PARTITIONS_LOST), 1);
    assert.equal(bench.metrics.count(MetricName.COMMIT_DROPPED), 1);
    assert.equal(bench.ended, undefined);
  });

  it("in the middle of a drain ends the drain at once", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const { chain } = bench;
    chain.holds = true;
    chain.onJoin = () => new Promise(() => {});
    bench.consumer.send(P0, "a");
    await bench.settle();
    chain.commit(new Map([[P0, 1]]));
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.advance(100);
    assert.equal(handedOver.done, false);
    await bench.consumer.lose(P0);
    await bench.settle();
    assert.equal(handedOver.done, true);
    assert.deepEqual(chain.calls, ["close", "join", "terminate"]);
    assert.deepEqual(bench.consumer.commits, []);
    assert.equal(bench.ended, undefined);
    assert.equal(bench.metrics.count(MetricName.JOIN_TIMEOUT), 0);
  });

  it("of some partitions in the middle of a drain lets the others commit what was done, and go on from there", async () => {
    await using bench = new Bench();
    await bench.start(P0, P1, P2);
    const { chain } = bench;
    chain.holds = true;
    chain.onJoin = () => new Promise(() => {});
    for (const partition of [P0, P1, P2]) bench.consumer.send(partition, "1", "2");
    await bench.settle();
    for (const partition of [P0, P1, P2]) chain.commit(new Map([[partition, 1]]));
    const handedOver = watch(bench.consumer.revoke([P0]));
    await bench.settle();
    await bench.consumer.lose(P1);
    await bench.settle();
    assert.equal(handedOver.done, true);
    assert.deepEqual(bench.consumer.commits, ["0:1, 2:1"]);
    assert.deepEqual(bench.consumer.calls, ["subscribe", "seek 2:1"]);
    await bench.settle();
    assert.equal(bench.chain.partitions, "2@1");
    assert.deepEqual(bench.chain.payloads, ["2"]);
  });

  it("of some partitions makes the others go on from what they have done", async () => {
    await using bench = new Bench();
    await bench.start(P0, P1);
    bench.chain.holds = true;
    bench.consumer.send(P0, "a");
    bench.consumer.send(P1, "x", "y");
    await bench.settle();
    bench.chain.commit(new Map([[P1, 1]]));
    await bench.consumer.lose(P0);
    await bench.settle();
    assert.deepEqual(bench.consumer.calls, ["subscribe", "seek 1:1"]);
    assert.equal(bench.chain.partitions, "1@1");
    assert.deepEqual(bench.chain.payloads, ["y"]);
  });

  it("makes the failure of a commit that was under way no failure of the processor", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const commit = Promise.withResolvers<void>();
    bench.consumer.onCommit = () => commit.promise;
    bench.consumer.send(P0, "a");
    await bench.settle();
    await bench.advance(1_000);
    await bench.consumer.lose(P0);
    commit.reject(new Error("UNKNOWN_MEMBER_ID"));
    await bench.settle();
    assert.equal(bench.ended, undefined);
    assert.ok(bench.logger.has("A commit failed in a rebalance"));
  });

  it("of a partition whose message is rejected drops that message", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.reject(Infinity);
    bench.consumer.send(P0, "a");
    await bench.advance(100);
    const lost = bench.consumer.lose(P0);
    await bench.advance(100);
    await lost;
    bench.consumer.assign(P1);
    bench.consumer.send(P1, "x");
    await bench.advance(1_000);
    assert.deepEqual(bench.chain.payloads, ["x"]);
    assert.equal(bench.ended, undefined);
  });
});

describe("a member without partitions", () => {
  it("gets a chain for none after a while, so that its health check goes on", async () => {
    await using bench = new Bench();
    await bench.start();
    await bench.advance(4_900);
    assert.equal(bench.factory.chains.length, 0, "a member that is still joining needs none");
    await bench.advance(1_200);
    assert.equal(bench.factory.chains.length, 1);
    assert.equal(bench.chain.partitions, "");
    const { polls } = bench.chain;
    await bench.advance(10_000);
    assert.ok(bench.chain.polls >= polls + 9);
    assert.equal(bench.factory.chains.length, 1);
  });

  it("ends that chain when partitions come", async () => {
    await using bench = new Bench();
    await bench.start();
    await bench.advance(6_100);
    bench.consumer.assign(P0);
    bench.consumer.send(P0, "a");
    await bench.advance(1_000);
    const [standby, working] = bench.factory.chains;
    assert.deepEqual(standby!.calls, ["close", "join"]);
    assert.equal(working!.partitions, "0@0");
    assert.deepEqual(working!.payloads, ["a"]);
  });

  it("is one after its partitions have gone, too, but not at once", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const revoked = bench.consumer.revoke([P0]);
    await bench.advance(1_000);
    await revoked;
    await bench.advance(2_000);
    assert.equal(bench.factory.chains.length, 1);
    await bench.advance(4_000);
    assert.equal(bench.factory.chains.length, 2);
    assert.equal(bench.chain.partitions, "");
  });

  it("does without when the factory cannot make one, and says so", async () => {
    await using bench = new Bench();
    bench.factory.onCreate = (chain) => {
      if (chain.partitions === "") throw new Error("which partition?");
    };
    await bench.start();
    await bench.advance(20_000);
    assert.equal(bench.ended, undefined);
    assert.equal(bench.logger.lines.filter((line) => line.includes("no health check on standby")).length, 1);
    bench.consumer.assign(P0);
    bench.consumer.send(P0, "a");
    await bench.advance(1_000);
    assert.deepEqual(bench.chain.payloads, ["a"]);
  });
});
