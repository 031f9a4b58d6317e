import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvalidMessage, MESSAGE_REJECTED } from "../../src/errors.ts";
import { isFiltered, type Submitted } from "../../src/message/message.ts";
import { StrategyGuard } from "../../src/strategies/guard.ts";
import type { ProcessingStrategy, StrategyRuntime } from "../../src/strategies/strategy.ts";
import {
  P0,
  Sink,
  TestRuntime,
  at,
  attach,
  derived,
  filteredAt,
  noDeadline,
  thrownBy,
  turn,
} from "./fixtures.ts";

/** As somebody would write it who has never heard of filtered messages. */
class Naive implements ProcessingStrategy<number> {
  readonly next: ProcessingStrategy<number>;
  runtime: StrategyRuntime | undefined;
  invalidInJoin: InvalidMessage[] = [];

  constructor(next: ProcessingStrategy<number>) {
    this.next = next;
  }

  attach(runtime: StrategyRuntime): void {
    this.runtime = runtime;
  }

  submit(message: Submitted<number>): void {
    assert.ok(!isFiltered(message), "a filtered message must go round it");
    if (message.payload < 0) throw InvalidMessage.from(message);
    this.next.submit(message);
  }

  poll(): void {
    this.next.poll();
  }

  close(): void {
    this.next.close();
  }

  terminate(): void {
    this.next.terminate();
  }

  async join(deadline: AbortSignal): Promise<void> {
    const error = this.invalidInJoin.shift();
    if (error !== undefined) throw error;
    await this.next.join(deadline);
  }
}

function setUp() {
  const sink = new Sink<number>();
  let naive: Naive | undefined;
  const guard = new StrategyGuard<number, number>((next) => (naive = new Naive(next)), sink);
  const runtime = new TestRuntime();
  attach(guard, runtime);
  return { sink, naive: naive!, guard, runtime };
}

describe("StrategyGuard", () => {
  it("takes filtered messages round the strategy, and gives its runtime to both", () => {
    const { sink, naive, guard, runtime } = setUp();
    guard.submit(at(1, 0));
    guard.submit(filteredAt(1));
    assert.deepEqual(sink.described, ["1 -> 0:1", "- -> 0:2"]);
    assert.equal(naive.runtime, runtime);
    assert.equal(sink.runtime, runtime);
    assert.equal(guard.name, "StrategyGuard(Naive)");
  });

  it("reports an invalid message once, and commits it in order", () => {
    const { sink, guard } = setUp();
    guard.submit(at(1, 0));
    const error = thrownBy(() => guard.submit(at(-1, 1)));
    assert.ok(InvalidMessage.is(error) && !error.needsCommit);
    guard.submit(at(2, 2));
    assert.deepEqual(sink.described, ["1 -> 0:1", "- -> 0:2", "2 -> 0:3"]);
  });

  it("commits several invalid messages with one filtered message, from poll, also under back-pressure", () => {
    const { sink, guard } = setUp();
    sink.reject(2);
    assert.ok(InvalidMessage.is(thrownBy(() => guard.submit(at(-1, 0)))));
    guard.poll();
    assert.equal(
      thrownBy(() => guard.submit(at(1, 1))),
      MESSAGE_REJECTED,
    );
    guard.poll();
    guard.submit(at(1, 1));
    assert.deepEqual(sink.described, ["- -> 0:1", "1 -> 0:2"]);
  });

  it("leaves the commit of an invalid part to the step that made the batch", () => {
    const { sink, guard } = setUp();
    sink.onSubmit = () => {
      throw new InvalidMessage(P0, 3);
    };
    const error = thrownBy(() => guard.submit(derived(5, [[P0, 9]])));
    assert.ok(InvalidMessage.is(error) && error.needsCommit);
    sink.onSubmit = undefined;
    guard.poll();
    assert.deepEqual(sink.messages, []);
  });

  it("commits an invalid message that comes up in the join, and finishes the drain", async () => {
    const { sink, naive, guard } = setUp();
    naive.invalidInJoin = [new InvalidMessage(P0, 4), new InvalidMessage(P0, 5)];
    guard.close();
    assert.deepEqual(sink.calls, [], "the next step stays open as long as something may go on to it");
    for (let i = 0; i < 2; i++) {
      await assert.rejects(
        guard.join(noDeadline()),
        (error) => InvalidMessage.is(error) && !error.needsCommit,
      );
    }
    await guard.join(noDeadline());
    assert.deepEqual(sink.described, ["- -> 0:6"]);
    assert.deepEqual(sink.calls, ["close", "join"]);
  });

  it("waits in the join while the next step rejects the commit, and ends when it is terminated", async () => {
    const { sink, guard } = setUp();
    sink.reject(Infinity);
    assert.ok(InvalidMessage.is(thrownBy(() => guard.submit(at(-1, 0)))));
    guard.close();
    const joined = guard.join(noDeadline());
    await turn();
    guard.poll();
    assert.deepEqual(sink.calls, []);
    guard.terminate();
    await joined;
    assert.deepEqual(sink.calls, ["terminate"]);
  });
});
