import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { IMMEDIATE } from "../../src/commit/policy.ts";
import { DlqLimit, DlqPolicy, type DlqPolicyOptions } from "../../src/dlq/policy.ts";
import { NoopDlqProducer, type DlqProducer } from "../../src/dlq/producer.ts";
import { DlqError, ErrorCode, InvalidMessage, OffsetOutOfRange, ProducerError } from "../../src/errors.ts";
import type { BrokerMessage } from "../../src/message/message.ts";
import { MetricName } from "../../src/metrics/names.ts";
import type { StreamProcessorOptions } from "../../src/processing/processor.ts";
import { Bench, P0, P1 } from "./fixtures.ts";

/** A dead letter queue whose deliveries the test makes, unless it is told to make them by itself. */
class FakeDlq implements DlqProducer<string> {
  readonly letters: string[] = [];
  readonly pending: { resolve(): void; reject(error: Error): void }[] = [];
  delivers = true;
  /** So many times it says that its queue is full. */
  fullTimes = 0;

  readonly produce = async (message: BrokerMessage<string>, reason: string | undefined): Promise<void> => {
    if (this.fullTimes > 0) {
      this.fullTimes--;
      throw new ProducerError("full", { code: ErrorCode.PRODUCER_QUEUE_FULL });
    }
    const { payload, partition, offset } = message;
    this.letters.push(`${payload} ${partition.index}/${offset}${reason === undefined ? "" : `: ${reason}`}`);
    if (this.delivers) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.pending.push({ resolve, reject });
    await promise;
  };
}

function setUp(
  policy: Partial<DlqPolicyOptions<string>> = {},
  options: Partial<StreamProcessorOptions<string>> = {},
) {
  const dlq = new FakeDlq();
  const bench = new Bench({ ...options, dlqPolicy: new DlqPolicy<string>({ producer: dlq, ...policy }) });
  return { dlq, bench };
}

/** What starts with `bad` is invalid, and committed by whoever handles that. */
function rejectBad(bench: Bench, reason?: string): void {
  bench.chain.onSubmit = (message) => {
    if (typeof message.payload === "string" && message.payload.startsWith("bad")) {
      throw InvalidMessage.from(message, { reason });
    }
  };
}

describe("a dead letter", () => {
  it("is sent with its reason, and the consumer goes on", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    await bench.start(P0);
    rejectBad(bench, "not an order");
    bench.consumer.send(P0, "a", "bad", "b");
    await bench.settle();
    assert.deepEqual(dlq.letters, ["bad 0/1: not an order"]);
    assert.deepEqual(bench.chain.payloads, ["a", "-", "b"]);
    await bench.advance(1_000);
    assert.deepEqual(bench.consumer.commits, ["0:3"]);
    assert.equal(bench.metrics.count(MetricName.DLQ_DELIVERED), 1);
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 1);
  });

  it("may be about a message that was taken long before", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    await bench.start(P0, P1);
    bench.chain.holds = true;
    bench.consumer.send(P0, "a", "b", "c");
    bench.consumer.send(P1, "x", "y");
    await bench.settle();
    bench.chain.onPoll = () => {
      bench.chain.onPoll = undefined;
      throw new InvalidMessage(P1, 1, { needsCommit: false });
    };
    bench.chain.runtime!.wake();
    await bench.settle();
    assert.deepEqual(dlq.letters, ["y 1/1"]);
  });

  it("is sent once, however often its message is reported", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    await bench.start(P0);
    bench.chain.onSubmit = (message) => {
      if (message.offset === 0) throw InvalidMessage.from(message);
    };
    bench.consumer.send(P0, "bad", "a");
    await bench.settle();
    assert.deepEqual(dlq.letters, ["bad 0/0"]);
    assert.deepEqual(bench.chain.payloads, ["a"]);
  });

  it("is sent once while it is on its way, also when others are reported in between", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    dlq.delivers = false;
    await bench.start(P0);
    bench.chain.holds = true;
    bench.consumer.send(P0, "a", "b");
    await bench.settle();
    const reports = [0, 1, 0].map((offset) => new InvalidMessage(P0, offset, { needsCommit: false }));
    bench.chain.onPoll = () => {
      const error = reports.shift();
      if (error !== undefined) throw error;
    };
    bench.chain.runtime!.wake();
    await bench.settle();
    assert.deepEqual(reports, []);
    assert.deepEqual(dlq.letters, ["a 0/0", "b 0/1"]);
  });

  it("is sent again when its message comes again, with another assignment", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    bench.factory.onCreate = (chain) => {
      chain.onSubmit = (message) => {
        throw InvalidMessage.from(message, { needsCommit: false });
      };
    };
    await bench.start(P0);
    bench.consumer.send(P0, "bad");
    await bench.settle();
    const revoked = bench.consumer.revoke([P0]);
    await bench.advance(100);
    await revoked;
    bench.consumer.assign(P0);
    await bench.advance(1_000);
    assert.deepEqual(dlq.letters, ["bad 0/0", "bad 0/0"]);
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 2);
  });

  it("that has not arrived holds commits back, but not the processing", async () => {
    const { dlq, bench: used } = setUp({}, { commitPolicy: IMMEDIATE });
    await using bench = used;
    dlq.delivers = false;
    await bench.start(P0, P1);
    rejectBad(bench);
    bench.consumer.send(P0, "a", "bad", "b", "bad again", "c");
    bench.consumer.send(P1, "x");
    await bench.settle();
    assert.equal(bench.chain.payloads.length, 6);
    assert.equal(bench.consumer.committed.get(P0), 1);
    assert.equal(bench.consumer.committed.get(P1), 1);
    dlq.pending[1]!.resolve();
    await bench.settle();
    assert.equal(bench.consumer.committed.get(P0), 1, "the first one has still not arrived");
    dlq.pending[0]!.resolve();
    await bench.settle();
    assert.equal(bench.consumer.committed.get(P0), 5, "committed at once, without another message");
  });

  it("holds back commits by time, too, until it has arrived", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    dlq.delivers = false;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "a", "bad", "b");
    await bench.settle();
    await bench.advance(3_000);
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
    dlq.pending[0]!.resolve();
    await bench.settle();
    assert.deepEqual(bench.consumer.commits, ["0:1", "0:3"]);
  });

  it("is waited for in a revocation, before the commit", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    dlq.delivers = false;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "a", "bad", "b");
    await bench.settle();
    let handedOver = false;
    void bench.consumer.revoke([P0]).then(() => (handedOver = true));
    await bench.advance(1_000);
    assert.equal(handedOver, false);
    dlq.pending[0]!.resolve();
    await bench.settle();
    assert.equal(handedOver, true);
    assert.deepEqual(bench.consumer.commits, ["0:3"]);
  });

  it("that does not arrive before the deadline of a revocation is left to the next owner", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    dlq.delivers = false;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "a", "bad", "b");
    await bench.settle();
    const deadline = new AbortController();
    const revoked = bench.consumer.revoke([P0], deadline.signal);
    await bench.advance(1_000);
    deadline.abort();
    await bench.settle();
    await revoked;
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
    dlq.pending[0]!.reject(new Error("too late"));
    await bench.settle();
    assert.equal(bench.ended, undefined);
    assert.ok(bench.logger.has("its new owner comes to it again"));
  });

  it("is waited for at shutdown", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    dlq.delivers = false;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "bad");
    await bench.settle();
    bench.processor.signalShutdown();
    await bench.advance(2_000);
    assert.equal(bench.ended, undefined);
    dlq.pending[0]!.resolve();
    await bench.settle();
    assert.deepEqual(bench.ended, { error: undefined });
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
  });

  it("may come up in the last join, and is waited for", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    await bench.start(P0);
    bench.chain.holds = true;
    bench.consumer.send(P0, "a", "b");
    await bench.settle();
    let joins = 0;
    bench.chain.onJoin = async () => {
      if (joins++ === 0) throw new InvalidMessage(P0, 1, { needsCommit: false, reason: "late" });
      bench.chain.finish();
    };
    await bench.stop();
    assert.deepEqual(dlq.letters, ["b 0/1: late"]);
    assert.deepEqual(bench.consumer.commits, ["0:2"]);
    assert.deepEqual(bench.ended, { error: undefined });
  });

  it("that cannot be delivered ends the processor, and nothing is committed past it", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    dlq.delivers = false;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "a", "bad", "b");
    await bench.settle();
    const cause = new ProducerError("message too large");
    dlq.pending[0]!.reject(cause);
    await bench.advance(5_000);
    const error = bench.ended?.error;
    assert.ok(error instanceof DlqError);
    assert.match(error.message, /orders\[0\] offset 1: it could not be delivered/);
    assert.equal(error.cause, cause);
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
  });

  it("is tried again when the queue of its producer is full", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    dlq.fullTimes = 3;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "bad");
    await bench.advance(2_000);
    assert.deepEqual(dlq.letters, ["bad 0/0"]);
    assert.deepEqual(bench.consumer.commits, ["0:1"]);
  });

  it("is dropped and counted when there is no policy, and by NoopDlqProducer", async () => {
    await using plain = new Bench();
    await using noop = new Bench({ dlqPolicy: new DlqPolicy({ producer: new NoopDlqProducer() }) });
    for (const bench of [plain, noop]) {
      await bench.start(P0);
      rejectBad(bench);
      bench.consumer.send(P0, "bad", "a");
      await bench.advance(1_000);
      assert.deepEqual(bench.consumer.commits, ["0:2"]);
      assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 1);
    }
  });
});

describe("too many dead letters", () => {
  it("in flight hold up the processing until some have arrived, while the member stays alive", async () => {
    const { dlq, bench: used } = setUp({ maxInFlight: 2 });
    await using bench = used;
    dlq.delivers = false;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "bad 0", "bad 1", "bad 2", "a");
    await bench.settle();
    assert.deepEqual(dlq.letters, ["bad 0 0/0", "bad 1 0/1"]);
    bench.consumer.polls.length = 0;
    await bench.advance(2_000);
    assert.equal(dlq.letters.length, 2);
    assert.ok(bench.consumer.polls.length > 10);
    assert.ok(bench.metrics.timings(MetricName.DLQ_TIME).some((seconds) => seconds > 0.9));
    dlq.pending[0]!.resolve();
    await bench.settle();
    assert.deepEqual(dlq.letters, ["bad 0 0/0", "bad 1 0/1", "bad 2 0/2"]);
    dlq.pending[1]!.resolve();
    await bench.settle();
    assert.equal(bench.chain.payloads.at(-1), "a");
  });

  it("for the limit end the processor with a clear error, and nothing is committed past the first that was not sent", async () => {
    const { dlq, bench: used } = setUp({ limit: new DlqLimit({ maxConsecutiveCount: 2 }) });
    await using bench = used;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "a", "bad 1", "bad 2", "bad 3", "b");
    await bench.advance(100);
    assert.ok(DlqError.isLimit(bench.ended?.error));
    assert.match((bench.ended!.error as Error).message, /orders\[0\] offset 3: .*maxConsecutiveCount 2/);
    assert.deepEqual(dlq.letters, ["bad 1 0/1", "bad 2 0/2"]);
    assert.equal(bench.consumer.committed.get(P0), 3);
  });

  it("for the limit in a drain end the processor, too", async () => {
    const { bench: used } = setUp({ limit: new DlqLimit({ maxConsecutiveCount: 0 }) });
    await using bench = used;
    await bench.start(P0);
    bench.consumer.send(P0, "a");
    await bench.settle();
    bench.chain.onJoin = async () => {
      throw new InvalidMessage(P0, 0, { needsCommit: false });
    };
    await bench.stop();
    assert.ok(DlqError.isLimit(bench.ended?.error));
  });

  it("are counted anew with an assignment", async () => {
    const { bench: used } = setUp({ limit: new DlqLimit({ maxConsecutiveCount: 1 }) });
    await using bench = used;
    await bench.start(P0);
    rejectBad(bench);
    bench.consumer.send(P0, "bad 0");
    await bench.settle();
    const revoked = bench.consumer.revoke([P0]);
    await bench.advance(100);
    await revoked;
    bench.consumer.assign(P0);
    await bench.advance(100);
    rejectBad(bench);
    bench.consumer.send(P0, "bad 1");
    await bench.advance(1_000);
    assert.equal(bench.ended, undefined);
    assert.equal(bench.consumer.committed.get(P0), 2);
  });
});

describe("a message that is not remembered any more", () => {
  async function forgotten(bench: Bench): Promise<void> {
    await bench.start(P0);
    bench.chain.holds = true;
    for (const payload of ["a", "b", "c", "d"]) {
      bench.consumer.send(P0, payload);
      await bench.settle();
    }
    bench.chain.onPoll = () => {
      bench.chain.onPoll = undefined;
      throw new InvalidMessage(P0, 0, { needsCommit: false });
    };
    bench.chain.runtime!.wake();
    await bench.advance(1_000);
  }

  it("is read again for its dead letter", async () => {
    const { dlq, bench: used } = setUp({ maxBufferedMessagesPerPartition: 2 });
    await using bench = used;
    bench.consumer.reread = async (partition, offset) => bench.consumer.logged(partition, offset);
    await forgotten(bench);
    assert.deepEqual(dlq.letters, ["a 0/0"]);
    assert.equal(bench.metrics.count(MetricName.DLQ_REREAD), 1);
    assert.equal(bench.metrics.count(MetricName.DLQ_BUFFER_EXCEEDED, { partition_id: "0" }), 2);
    assert.equal(bench.metrics.last(MetricName.DLQ_BUFFER_LENGTH, { partition_index: "0" }), 2);
  });

  it("and that the broker does not have any more is an error", async () => {
    const { bench: used } = setUp({ maxBufferedMessagesPerPartition: 2 });
    await using bench = used;
    const gone = new OffsetOutOfRange(P0, 0);
    bench.consumer.reread = () => Promise.reject(gone);
    await forgotten(bench);
    assert.ok(bench.ended?.error instanceof DlqError);
    assert.equal(bench.ended.error.cause, gone);
  });

  it("and that the consumer cannot read again is an error that says what to raise", async () => {
    const { bench: used } = setUp({ maxBufferedMessagesPerPartition: 2 });
    await using bench = used;
    await forgotten(bench);
    assert.match((bench.ended!.error as Error).message, /Raise maxBufferedMessagesPerPartition/);
  });

  it("does not come up by default with a consumer that cannot read again", async () => {
    const { dlq, bench: used } = setUp();
    await using bench = used;
    await bench.start(P0);
    bench.chain.holds = true;
    bench.consumer.send(P0, ...Array.from({ length: 30_000 }, (_, i) => `m${i}`));
    for (let rounds = 0; rounds < 10; rounds++) await bench.settle();
    assert.equal(bench.chain.messages.length, 30_000);
    bench.chain.onPoll = () => {
      bench.chain.onPoll = undefined;
      throw new InvalidMessage(P0, 0, { needsCommit: false });
    };
    bench.chain.runtime!.wake();
    await bench.settle();
    assert.deepEqual(dlq.letters, ["m0 0/0"]);
  });
});

describe("a message that is older than maxAgeMs", () => {
  it("goes to the dead letter queue unprocessed, and is committed in its turn", async () => {
    const { dlq, bench: used } = setUp({ maxAgeMs: 1_000, limit: new DlqLimit({ maxConsecutiveCount: 0 }) });
    await using bench = used;
    await bench.start(P0);
    const nowMs = bench.clock.nowMs();
    bench.consumer.sendAt(P0, nowMs - 1_001, "old");
    bench.consumer.sendAt(P0, nowMs - 1_000, "just in time");
    bench.consumer.sendAt(P0, undefined, "without a time");
    await bench.settle();
    assert.deepEqual(bench.chain.payloads, ["-", "just in time", "without a time"]);
    assert.deepEqual(dlq.letters, ["old 0/0: older than 1000 ms"]);
    await bench.advance(1_000);
    assert.deepEqual(bench.consumer.commits, ["0:3"]);
    assert.equal(bench.metrics.count(MetricName.DLQ_SHED), 1);
    assert.equal(bench.metrics.count(MetricName.INVALID_MESSAGES), 0, "it is not invalid");
    assert.equal(bench.ended, undefined, "and does not count for the limit");
  });
});
