import assert from "node:assert/strict";
import { test } from "node:test";
import { Delivery } from "../../../src/kafka/delivery.ts";
import { Partition } from "../../../src/message/partition.ts";
import { compressed, fetched } from "./fetched.ts";

const A = Partition.of("t", 0);
const B = Partition.of("t", 1);

interface Fixture {
  readonly delivery: Delivery;
  readonly credits: Map<Partition, number>;
  /** What came with each credit: after how many buffers nothing is left. */
  readonly emptyAfter: (number | undefined)[];
  readonly ends: string[];
  readonly passed: string[];
  /** Takes what is there, as `partition@offset=value`. */
  take(max?: number): string[];
  /** Hands over fetched values under the partition's epoch, as it is now or as given. */
  feed(partition: Partition, from: number, values: readonly string[], epoch?: number): number;
  epochs: Map<Partition, number>;
}

function fixture(...partitions: Partition[]): Fixture {
  const credits = new Map<Partition, number>();
  const emptyAfter: (number | undefined)[] = [];
  const ends: string[] = [];
  const passed: string[] = [];
  const delivery = new Delivery({
    credit: (partition, bytes, empty) => {
      credits.set(partition, (credits.get(partition) ?? 0) + bytes);
      emptyAfter.push(empty);
    },
    end: (partition, offset) => ends.push(`${partition}@${offset}`),
    passed: (partition) => passed.push(`${partition}@${delivery.passed(partition)}`),
  });
  const epochs = new Map<Partition, number>();
  for (const partition of partitions) {
    delivery.add(partition, 0, -1);
    epochs.set(partition, delivery.restart(partition).epoch);
  }
  return {
    delivery,
    credits,
    emptyAfter,
    ends,
    passed,
    epochs,
    take: (max = 100) =>
      delivery
        .take(max)
        .map(({ partition, offset, payload }) => `${partition.index}@${offset}=${payload.text()}`),
    feed(partition, from, values, epoch = epochs.get(partition) ?? 0) {
      const records = fetched({ topic: "t", index: partition.index, epoch }, from, values);
      delivery.records(partition, records);
      return records.bytes;
    },
  };
}

test("messages come in order, as many as asked for, and the position follows them", () => {
  const { delivery, take, feed, credits } = fixture(A);
  const bytes = feed(A, 0, ["a", "b", "c"]);
  assert.deepEqual(take(2), ["0@0=a", "0@1=b"]);
  assert.equal(delivery.positions().get(A), 2);
  assert.equal(credits.get(A), undefined, "the buffer is still in use");
  assert.deepEqual(take(), ["0@2=c"]);
  assert.equal(delivery.positions().get(A), 3);
  assert.equal(credits.get(A), bytes);
  assert.deepEqual(take(), []);
});

test("partitions take turns, buffer by buffer", () => {
  const { take, feed } = fixture(A, B);
  feed(A, 0, ["a0"]);
  feed(A, 1, ["a1"]);
  feed(B, 0, ["b0"]);
  assert.deepEqual(take(), ["0@0=a0", "1@0=b0", "0@1=a1"]);
});

test("after a seek nothing from before it is delivered, not even what was half read or still on its way", () => {
  const { delivery, take, feed, credits, epochs } = fixture(A);
  let bytes = feed(A, 0, ["a", "b", "c"]);
  assert.deepEqual(take(1), ["0@0=a"]);
  const old = epochs.get(A) ?? 0;
  delivery.seek(A, 10, -1);
  const { offset, epoch } = delivery.restart(A);
  assert.equal(offset, 10);
  bytes += feed(A, 3, ["d"], old);
  assert.deepEqual(take(), []);
  assert.equal(credits.get(A), bytes, "what was dropped is given back");
  feed(A, 10, ["k"], epoch);
  assert.deepEqual(take(), ["0@10=k"]);
});

test("a paused partition keeps what was prefetched, the others go on", () => {
  const { delivery, take, feed } = fixture(A, B);
  feed(A, 0, ["a0", "a1"]);
  feed(B, 0, ["b0"]);
  assert.deepEqual(take(1), ["0@0=a0"]);
  delivery.pause(A, true);
  assert.deepEqual(take(), ["1@0=b0"]);
  assert.equal(delivery.ready, false);
  delivery.pause(A, false);
  assert.deepEqual(take(), ["0@1=a1"]);
});

test("nothing of a partition that is held for a revocation, or was taken away, is delivered", () => {
  const { delivery, take, feed, credits } = fixture(A, B);
  const bytes = feed(A, 0, ["a0"]) + feed(A, 1, ["a1"]);
  feed(B, 0, ["b0"]);
  delivery.hold(A);
  assert.deepEqual(take(), ["1@0=b0"]);
  delivery.remove(A);
  assert.equal(credits.get(A), bytes);
  const late = feed(A, 2, ["a2"]);
  assert.equal(credits.get(A), bytes + late);
  assert.deepEqual(take(), []);
});

test("it is told once after how many buffers nothing is left: with the last one's credit, or when what waits is paused", () => {
  const { delivery, take, feed, emptyAfter, epochs } = fixture(A, B);
  assert.equal(delivery.emptyAfter(), undefined, "that there is nothing at first need not be said");
  feed(A, 0, ["a"]);
  feed(B, 0, ["b"]);
  take();
  assert.deepEqual(emptyAfter, [undefined, 2]);
  assert.equal(delivery.emptyAfter(), undefined);
  feed(A, 1, ["c"]);
  assert.equal(delivery.emptyAfter(), undefined);
  delivery.pause(A, true);
  assert.equal(delivery.emptyAfter(), 3);
  assert.equal(delivery.emptyAfter(), undefined);
  feed(B, 1, ["late"], (epochs.get(B) ?? 0) - 1);
  assert.equal(delivery.emptyAfter(), 4, "what is dropped has come, too");
  delivery.pause(A, false);
  take();
  assert.deepEqual(emptyAfter, [undefined, 2, undefined, undefined], "that was said before");
  feed(A, 2, ["d"]);
  delivery.remove(A);
  assert.equal(emptyAfter.at(-1), 5);
});

test("the position goes on over batches without records, behind the records before them", () => {
  const { delivery, take, feed, epochs } = fixture(A);
  const at = { topic: "t", index: 0, epoch: epochs.get(A) ?? 0, leaderEpoch: 0 };
  delivery.progress(A, { ...at, nextOffset: 5, highWatermark: 9 });
  assert.equal(delivery.positions().get(A), 5);
  assert.equal(delivery.lag(A), 4);
  feed(A, 5, ["f"]);
  delivery.progress(A, { ...at, nextOffset: 9, highWatermark: 9 });
  assert.equal(delivery.positions().get(A), 5, "the record before it is not delivered yet");
  assert.deepEqual(take(), ["0@5=f"]);
  assert.deepEqual(take(), []);
  assert.equal(delivery.positions().get(A), 9);
  assert.equal(delivery.lag(A), 0);
});

test("the end of a partition is told once for each time that it is reached", () => {
  const { delivery, take, feed, ends } = fixture(A);
  feed(A, 0, ["a"]);
  assert.deepEqual(ends, []);
  take();
  take();
  assert.deepEqual(ends, ["t:0@1"]);
  feed(A, 1, ["b"]);
  take();
  assert.deepEqual(ends, ["t:0@1", "t:0@2"]);
  delivery.seek(A, 2, -1);
  const { epoch } = delivery.restart(A);
  delivery.progress(A, { topic: "t", index: 0, epoch, leaderEpoch: 0, nextOffset: 2, highWatermark: 2 });
  assert.deepEqual(ends, ["t:0@1", "t:0@2", "t:0@2"]);
});

test("a failure comes after what was fetched before it, again and again, and holds up no other partition", () => {
  const { delivery, take, feed } = fixture(A, B);
  feed(A, 0, ["a0"]);
  delivery.fail(A, new Error("corrupt"));
  assert.deepEqual(take(), ["0@0=a0"]);
  assert.throws(() => take(), /corrupt/);
  feed(B, 0, ["b0"]);
  const seen: string[] = [];
  let thrown = 0;
  for (let poll = 0; poll < 4; poll++) {
    try {
      seen.push(...take());
    } catch {
      thrown++;
    }
  }
  assert.deepEqual(seen, ["1@0=b0"]);
  assert.ok(thrown >= 2);
  delivery.seek(A, 1, -1);
  assert.deepEqual(take(), []);
});

test("records that came compressed are given back once, wherever they are when the partition is sought or taken away", () => {
  const { delivery, take, credits, epochs } = fixture(A, B);
  const feed = (partition: Partition, from: number): number => {
    const at = { topic: "t", index: partition.index, epoch: epochs.get(partition) ?? 0 };
    const records = compressed(at, from, ["x".repeat(200), "y".repeat(200)]);
    delivery.records(partition, records);
    return records.bytes;
  };
  const bytes = feed(A, 0) + feed(A, 2);
  assert.deepEqual(
    take(1).map((message) => message.slice(0, 5)),
    ["0@0=x"],
  );
  delivery.seek(A, 7, -1);
  assert.equal(credits.get(A), bytes, "one was being read, one waited");
  assert.deepEqual(take(), []);
  const waiting = feed(B, 0);
  delivery.remove(B);
  assert.equal(credits.get(B), waiting);
});

test("a batch that cannot be decompressed is told again and again, holds up no other partition, and is given back once", () => {
  const { delivery, take, feed, credits, epochs } = fixture(A, B);
  feed(A, 0, ["a0"]);
  const broken = compressed({ topic: "t", index: 0, epoch: epochs.get(A) ?? 0 }, 1, ["x".repeat(200)]);
  new Uint8Array(broken.buffer).fill(0xff, 64);
  delivery.records(A, broken);
  assert.deepEqual(take(), ["0@0=a0"]);
  const before = credits.get(A) ?? 0;
  for (let i = 0; i < 2; i++) assert.throws(() => take(), { code: "ARROYO_CORRUPT_BATCH", offset: 1 });
  feed(B, 0, ["b0"]);
  const seen: string[] = [];
  for (let poll = 0; poll < 4; poll++) {
    try {
      seen.push(...take());
    } catch {
      // It is still there.
    }
  }
  assert.deepEqual(seen, ["1@0=b0"]);
  assert.equal(delivery.positions().get(A), 1, "nothing of it is passed over");
  assert.equal(credits.get(A), before);
  delivery.seek(A, 2, -1);
  assert.equal(credits.get(A), before + broken.bytes);
  assert.deepEqual(take(), []);
});

test("what is committed is the position, once all that was delivered is done, with the epoch of the record before it", () => {
  const { delivery, take, feed, epochs } = fixture(A);
  const at = { topic: "t", index: 0, epoch: epochs.get(A) ?? 0 };
  feed(A, 0, ["a", "b"]);
  delivery.progress(A, { ...at, nextOffset: 4, leaderEpoch: 7, highWatermark: 9 });
  take();
  assert.deepEqual(delivery.commitPoint(A, 1), { offset: 1, leaderEpoch: 0 });
  assert.deepEqual(delivery.commitPoint(A, 2), { offset: 4, leaderEpoch: 7 });
  assert.deepEqual(
    delivery.commitPoint(A, 3),
    { offset: 3, leaderEpoch: -1 },
    "what is not certain is not told",
  );
  assert.deepEqual(delivery.commitPoint(A, 50), { offset: 50, leaderEpoch: -1 });
  assert.deepEqual(delivery.commitPoint(B, 5), { offset: 5, leaderEpoch: -1 });
});

test("a position that passes what is no message is told once all before it is committed, and not sooner", () => {
  const { delivery, take, feed, epochs, passed } = fixture(A);
  const at = { topic: "t", index: 0, epoch: epochs.get(A) ?? 0, leaderEpoch: 0, highWatermark: 9 };
  feed(A, 0, ["a", "b"]);
  take();
  delivery.progress(A, { ...at, nextOffset: 4 });
  delivery.committed(A, 1);
  assert.deepEqual(passed, []);
  delivery.committed(A, 2);
  assert.deepEqual(passed, ["t:0@4"]);
  delivery.committed(A, 4);
  delivery.progress(A, { ...at, nextOffset: 6 });
  assert.deepEqual(passed, ["t:0@4", "t:0@6"]);
  feed(A, 6, ["c"]);
  assert.equal(take().length, 1);
  assert.equal(delivery.passed(A), undefined, "a message has come that is not done");
  assert.equal(passed.length, 2);
});

test("a group that goes on from a committed offset passes what lies behind it, one that has none does not", () => {
  const { delivery, passed } = fixture();
  delivery.add(A, 3, 0, { isCommitted: true });
  delivery.add(B, 3, 0);
  for (const partition of [A, B]) {
    const { epoch } = delivery.restart(partition);
    const at = { topic: "t", index: partition.index, epoch, leaderEpoch: 0, highWatermark: 5 };
    delivery.progress(partition, { ...at, nextOffset: 5 });
  }
  assert.deepEqual(passed, ["t:0@5"]);
});

test("a position that is reset goes back, and what was committed before counts no more", () => {
  const { delivery, take, feed, epochs, passed } = fixture(A);
  const at = { topic: "t", index: 0, epoch: epochs.get(A) ?? 0, leaderEpoch: 0, highWatermark: 5 };
  delivery.add(A, 50, 3, { isCommitted: true });
  at.epoch = delivery.restart(A).epoch;
  epochs.set(A, at.epoch);
  delivery.progress(A, { ...at, nextOffset: 5 });
  assert.equal(delivery.positions().get(A), 5);
  feed(A, 5, ["f"]);
  assert.deepEqual(take(), ["0@5=f"]);
  delivery.progress(A, { ...at, nextOffset: 60, highWatermark: 60 });
  assert.deepEqual(passed, [], "the new message is not done");
  delivery.committed(A, 6);
  assert.deepEqual(passed, ["t:0@60"]);
});
