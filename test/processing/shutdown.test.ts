import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DeadlineError, InvalidMessage } from "../../src/errors.ts";
import { Bench, P0, P1 } from "./fixtures.ts";

describe("a shutdown", () => {
  it("drains, commits, leaves the group and shuts the factory down, in this order", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const order: string[] = [];
    bench.chain.holds = true;
    bench.chain.onJoin = async () => {
      order.push("join");
      bench.chain.finish();
    };
    bench.consumer.onCommit = () => void order.push("commit");
    bench.consumer.onClose = () => void order.push("close");
    bench.factory.shutdown = () => void order.push("shutdown");
    bench.consumer.send(P0, "a");
    await bench.settle();
    await bench.stop();
    assert.deepEqual(order, ["join", "commit", "close", "shutdown"]);
    assert.deepEqual(bench.ended, { error: undefined });
  });

  it("may be signalled before the run: nothing is subscribed then", async () => {
    await using bench = new Bench();
    bench.processor.signalShutdown();
    bench.run();
    await bench.settle();
    assert.deepEqual(bench.ended, { error: undefined });
    assert.deepEqual(bench.consumer.calls, ["close"]);
    assert.equal(bench.factory.shutdowns, 1);
  });

  it("may be signalled again and again", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.processor.signalShutdown();
    bench.processor.signalShutdown();
    await bench.stop();
    bench.processor.signalShutdown();
    assert.equal(bench.factory.shutdowns, 1);
    assert.deepEqual(bench.chain.calls, ["close", "join"]);
  });

  it("closes the chain once, at whatever moment a revocation comes", async () => {
    for (let turns = 0; turns < 30; turns++) {
      await using bench = new Bench();
      await bench.start(P0);
      bench.consumer.send(P0, "a");
      await bench.settle();
      bench.processor.signalShutdown();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      void bench.consumer.revoke([P0]);
      await bench.stop();
      assert.deepEqual(bench.ended, { error: undefined }, `after ${turns} turns`);
    }
  });

  it("comes from an AbortSignal, too", async () => {
    await using bench = new Bench();
    const controller = new AbortController();
    bench.run({ signal: controller.signal });
    await bench.settle();
    controller.abort();
    await bench.settle();
    assert.deepEqual(bench.ended, { error: undefined });

    await using aborted = new Bench();
    aborted.run({ signal: AbortSignal.abort() });
    await aborted.settle();
    assert.deepEqual(aborted.consumer.calls, ["close"]);
  });

  it("comes from a strategy in the middle of a batch, too", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onSubmit = () => bench.processor.signalShutdown();
    bench.consumer.send(P0, "a", "b");
    await bench.advance(100);
    assert.deepEqual(bench.ended, { error: undefined });
    assert.deepEqual(bench.chain.calls, ["close", "join"]);
    assert.equal(bench.consumer.committed.get(P0), bench.chain.messages.length);
  });

  it("comes with the end of the scope, and waits for it", async () => {
    const bench = new Bench();
    {
      await using _processor = bench.processor;
      await bench.start(P0);
    }
    await bench.settle();
    assert.deepEqual(bench.ended, { error: undefined });

    const never = new Bench();
    {
      await using _processor = never.processor;
    }
    assert.deepEqual(never.consumer.calls, ["close"]);
  });

  it("ends the wait for messages at once", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.processor.signalShutdown();
    await bench.settle();
    assert.deepEqual(bench.ended, { error: undefined });
  });

  it("during back-pressure leaves the rejected message to the next owner", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.consumer.send(P0, "a");
    await bench.settle();
    bench.chain.reject(Infinity);
    bench.consumer.send(P0, "b");
    await bench.advance(1_000);
    await bench.stop();
    assert.deepEqual(bench.ended, { error: undefined });
    assert.equal(bench.consumer.committed.get(P0), 1);
  });

  it("goes on polling the consumer while the strategies finish, so that the member stays alive", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const work = Promise.withResolvers<void>();
    bench.chain.onJoin = () => work.promise;
    bench.processor.signalShutdown();
    await bench.settle();
    bench.consumer.polls.length = 0;
    await bench.advance(5_000);
    assert.ok(bench.consumer.polls.length > 20);
    assert.ok(bench.consumer.polls.every(({ maxMessages }) => maxMessages === 0));
    work.resolve();
    await bench.advance(100);
    assert.deepEqual(bench.ended, { error: undefined });
  });

  it("gives the strategies joinTimeoutMs in all, and then commits and leaves all the same", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onJoin = () => new Promise(() => {});
    bench.consumer.send(P0, "a");
    await bench.settle();
    bench.processor.signalShutdown();
    await bench.advance(24_990);
    assert.equal(bench.ended, undefined);
    await bench.advance(200);
    assert.deepEqual(bench.ended, { error: undefined });
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
    assert.deepEqual(bench.chain.calls, ["close", "join", "terminate"]);
    assert.ok(bench.logger.has("did not finish in time"));
  });

  it("keeps within Kubernetes' 30 s, whatever the consumer does, and says that the commit failed", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onJoin = () => new Promise(() => {});
    bench.consumer.onCommit = () => new Promise(() => {});
    bench.consumer.onClose = () => new Promise(() => {});
    bench.consumer.send(P0, "a");
    await bench.settle();
    bench.processor.signalShutdown();
    await bench.advance(29_500);
    assert.ok(DeadlineError.is(bench.ended?.error));
    assert.equal(bench.factory.shutdowns, 1);
  });

  it("does not wait for a poll that never comes back", async () => {
    await using bench = new Bench();
    bench.consumer.hangs = true;
    await bench.start();
    bench.processor.signalShutdown();
    await bench.advance(900);
    assert.deepEqual(bench.ended, { error: undefined });
  });

  it("waits for a drain that is under way, and does not drain twice", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const work = Promise.withResolvers<void>();
    bench.chain.onJoin = () => work.promise;
    bench.consumer.send(P0, "a");
    await bench.settle();
    void bench.consumer.revoke([P0]);
    await bench.advance(2_000);
    bench.processor.signalShutdown();
    await bench.advance(2_000);
    assert.equal(bench.ended, undefined);
    work.resolve();
    await bench.advance(300);
    assert.deepEqual(bench.ended, { error: undefined });
    assert.deepEqual(bench.chain.calls, ["close", "join"]);
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
    assert.equal(bench.factory.chains.length, 1, "no chain is made for an end");
  });

  it("in a drain whose commit hangs keeps within the time", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.consumer.onCommit = () => new Promise(() => {});
    bench.consumer.send(P0, "a");
    await bench.settle();
    void bench.consumer.revoke([P0]);
    await bench.advance(100);
    bench.processor.signalShutdown();
    await bench.advance(29_900);
    assert.ok(DeadlineError.is(bench.ended?.error));
  });

  it("does not wait for a factory that is still making the chain, and terminates what comes late", async () => {
    await using bench = new Bench();
    const ready = Promise.withResolvers<void>();
    bench.factory.onCreate = () => ready.promise;
    await bench.start(P0);
    bench.processor.signalShutdown();
    await bench.advance(300);
    assert.deepEqual(bench.ended, { error: undefined });
    ready.resolve();
    await bench.settle();
    assert.deepEqual(bench.chain.calls, ["terminate"]);
  });

  it("takes a revocation that comes in the middle of it", async () => {
    await using bench = new Bench();
    await bench.start(P0, P1);
    const work = Promise.withResolvers<void>();
    bench.chain.onJoin = () => work.promise;
    bench.consumer.send(P0, "a");
    await bench.settle();
    bench.processor.signalShutdown();
    await bench.settle();
    let handedOver = false;
    void bench.consumer.revoke([P0, P1]).then(() => (handedOver = true));
    await bench.advance(1_000);
    assert.equal(handedOver, false);
    work.resolve();
    await bench.advance(100);
    assert.equal(handedOver, true);
    assert.deepEqual(bench.ended, { error: undefined });
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
  });

  it("takes a loss that comes in the middle of it", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    bench.chain.onJoin = () => new Promise(() => {});
    bench.consumer.send(P0, "a");
    await bench.settle();
    bench.processor.signalShutdown();
    await bench.settle();
    void bench.consumer.lose(P0);
    await bench.advance(200);
    assert.deepEqual(bench.ended, { error: undefined });
    assert.deepEqual(bench.chain.calls, ["close", "join", "terminate"]);
    assert.deepEqual(bench.consumer.commits, []);
  });

  it("rejects with what a strategy throws in its last drain", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    const broken = new Error("flush failed");
    bench.chain.onJoin = async () => {
      throw broken;
    };
    bench.consumer.send(P0, "a");
    await bench.settle();
    await bench.stop();
    assert.equal(bench.ended?.error, broken);
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
    assert.equal(bench.factory.shutdowns, 1);
  });

  it("goes on with the drain after invalid messages", async () => {
    await using bench = new Bench();
    await bench.start(P0);
    let joins = 0;
    bench.chain.onJoin = async () => {
      if (++joins < 4) throw new InvalidMessage(P0, joins, { needsCommit: false });
    };
    await bench.stop();
    assert.equal(joins, 4);
    assert.deepEqual(bench.ended, { error: undefined });
  });

  it("rejects with the error of a factory that cannot be shut down", async () => {
    await using bench = new Bench();
    const broken = new Error("pool is stuck");
    bench.factory.shutdown = () => Promise.reject(broken);
    await bench.start();
    await bench.stop();
    assert.equal(bench.ended?.error, broken);
    assert.deepEqual(bench.consumer.calls, ["subscribe", "close"]);
  });
});
