import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { RebalanceCallbacks } from "../../src/backend/consumer.ts";
import { LocalBroker, type LocalConsumer, type LocalConsumerConfig } from "../../src/local/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";
import { MockClock } from "../../src/testing/mock-clock.ts";
import { LONG_MS, Reader, readNext } from "../contracts/reader.ts";

const TOPIC = Topic.of("orders");
const MAX_POLL_MS = 60_000;

class World {
  readonly clock: MockClock = new MockClock();
  readonly broker: LocalBroker = new LocalBroker({ clock: this.clock, logger: silentLogger });

  consumer(config: Partial<LocalConsumerConfig> = {}): LocalConsumer {
    return this.broker.consumer({
      "group.id": "group",
      "auto.offset.reset": "earliest",
      "max.poll.interval.ms": MAX_POLL_MS,
      ...config,
    });
  }

  reader(callbacks?: RebalanceCallbacks, config?: Partial<LocalConsumerConfig>): Reader {
    return new Reader(this.consumer(config), [TOPIC], callbacks);
  }

  async fill(partitions: number, perPartition: number): Promise<void> {
    await this.broker.createTopic(TOPIC, partitions);
    const producer = this.broker.producer();
    for (let at = 0; at < partitions * perPartition; at++) {
      await producer.produce(Partition.of(TOPIC, at % partitions), new KafkaPayload(null, String(at)));
    }
  }
}

for (const strategy of ["range", "cooperative-sticky"] as const) {
  const config = { "partition.assignment.strategy": strategy };

  suite(`a group's deadlines, ${strategy}`, () => {
    test("a drain that takes too long is told to end, then its partitions are lost and another goes on", async () => {
      const world = new World();
      await world.fill(2, 5);
      const gate = Promise.withResolvers<void>();
      const draining = Promise.withResolvers<AbortSignal>();
      const slow: Reader = world
        .reader(
          {
            onRevoke: async (_partitions, deadline) => {
              draining.resolve(deadline);
              await gate.promise;
              // Too late: of what was lost nothing is committed.
              await slow.commit([Partition.of(TOPIC, 0), Partition.of(TOPIC, 1)]);
            },
          },
          config,
        )
        .start();
      await slow.until(({ messages }) => messages.length === 10);
      slow.consumer.stageOffsets(
        new Map([
          [Partition.of(TOPIC, 0), 2],
          [Partition.of(TOPIC, 1), 2],
        ]),
      );
      await slow.consumer.commitOffsets();
      const other = world.reader({}, config).start();
      const deadline = await draining.promise;

      world.clock.advance(MAX_POLL_MS - 1_001);
      assert.ok(!deadline.aborted, "there is time");
      world.clock.advance(1);
      assert.ok(deadline.aborted, "time to commit is left");
      assert.deepEqual(other.owned.size, 0);
      world.clock.advance(1_000);

      await slow.until(({ events }) => events.some((event) => event.startsWith("lost")));
      await other.until(({ owned }) => owned.size === 2);
      await other.until(({ messages }) => messages.length === 6);
      assert.deepEqual(
        other.messages.map(({ offset }) => offset).toSorted((a, b) => a - b),
        [2, 2, 3, 3, 4, 4],
        "from what was committed in time",
      );
      gate.resolve();
      await slow.until(({ owned }) => owned.size === 1);
      await Promise.all([slow.stop(), other.stop()]);
      assert.deepEqual(new Set(world.broker.committedOffsets("group").values()), new Set([2]));
    });

    test("a member that does not poll is put out, hears of the loss when it polls, and joins again", async () => {
      const world = new World();
      await world.fill(2, 5);
      const events: string[] = [];
      const again = new AbortController();
      const busy = world.consumer(config);
      busy.subscribe([TOPIC], {
        onAssign: (offsets) => {
          events.push(`assign ${offsets.size}`);
          if (offsets.size === 1) again.abort();
        },
        onRevoke: () => void events.push("revoke"),
        onLost: (partitions) => void events.push(`lost ${partitions.length}`),
      });
      await readNext(busy, 10);
      const firstId = busy.memberId;
      busy.stageOffsets(new Map([[Partition.of(TOPIC, 0), 5]]));
      const other = world.reader({}, config).start();
      world.clock.advance(MAX_POLL_MS - 1);
      assert.equal(busy.tell().size, 2);
      world.clock.advance(1);
      assert.equal(busy.tell().size, 0);
      await other.until(({ owned }) => owned.size === 2);
      assert.deepEqual(await busy.commitOffsets(), new Map(), "what was staged is dropped");
      assert.throws(() => busy.pause([Partition.of(TOPIC, 0)]), { code: "ARROYO_INVALID_STATE" });

      assert.deepEqual(await busy.poll(), []);
      // Its place was taken: the other one has to give something back first.
      await busy.poll({ timeoutMs: LONG_MS, maxMessages: 0, signal: again.signal });
      assert.deepEqual(events, ["assign 2", "lost 2", "assign 1"]);
      assert.equal(busy.tell().size, 1);
      assert.notEqual(busy.memberId, firstId);
      await other.stop();
    });
  });
}

suite("a group", () => {
  test("a poll that waits counts as polling, and so does a callback that takes long", async () => {
    const world = new World();
    await world.fill(1, 0);
    const gate = Promise.withResolvers<void>();
    const assigned = Promise.withResolvers<void>();
    const reader = world
      .reader({
        onAssign: async () => {
          assigned.resolve();
          await gate.promise;
        },
      })
      .start();
    await assigned.promise;
    world.clock.advance(10 * MAX_POLL_MS);
    gate.resolve();
    // Its poll ends after LONG_MS; the next one follows at once.
    await reader.until(({ consumer }) => consumer.tell().size === 1);
    world.clock.advance(MAX_POLL_MS * 4);
    await world.broker.producer().produce(TOPIC, new KafkaPayload(null, "x"));
    await reader.until(({ messages }) => messages.length === 1);
    await reader.stop();
    assert.equal(reader.events.length, 1, reader.events.join("; "));
  });

  test("a blocked event loop does not help: the poll after it finds the member put out", async () => {
    let blockedMs = 0;
    class BlockedClock extends MockClock {
      override monotonicMs(): number {
        return super.monotonicMs() + blockedMs;
      }
    }
    const broker = new LocalBroker({ clock: new BlockedClock(), logger: silentLogger });
    await broker.createTopic(TOPIC, 1);
    await broker.producer().produce(TOPIC, new KafkaPayload(null, "x"));
    const consumer = broker.consumer({ "group.id": "group", "auto.offset.reset": "earliest" });
    let lost = 0;
    consumer.subscribe([TOPIC], { onLost: () => void lost++ });
    await readNext(consumer, 1);
    blockedMs = 300_000;
    assert.equal(
      (await readNext(consumer, 1))[0]?.offset,
      0,
      "it has joined anew, and begins where it committed",
    );
    assert.equal(lost, 1);
  });

  test("eager: nobody gets anything before everybody has given back", async () => {
    const world = new World();
    await world.fill(3, 0);
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const drains = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const journal: string[] = [];
    const readers: Reader[] = [0, 1].map((at) =>
      world.reader({
        onAssign: (offsets) => void journal.push(`${at} has ${offsets.size}`),
        onRevoke: async () => {
          drains[at]!.resolve();
          await gates[at]!.promise;
          journal.push(`${at} gave back`);
        },
      }),
    );
    for (const reader of readers) reader.start();
    await readers[0]!.until(({ owned }) => owned.size === 2);
    await readers[1]!.until(({ owned }) => owned.size === 1);
    journal.length = 0;
    const third = world.reader({ onAssign: () => void journal.push("third") }).start();
    await Promise.all(drains.map(({ promise }) => promise));
    gates[0]!.resolve();
    await readers[0]!.until(() => journal.length === 1);
    assert.deepEqual(journal, ["0 gave back"]);
    gates[1]!.resolve();
    await third.until(({ owned }) => owned.size === 1);
    await Promise.all([...readers, third].map((reader) => reader.stop()));
    assert.deepEqual(journal.slice(0, 2), ["0 gave back", "1 gave back"]);
    assert.deepEqual(journal.slice(2).toSorted(), ["0 has 1", "1 has 1", "third"]);
  });

  test("incremental: only what moves is given back, and it arrives one by one", async () => {
    const world = new World();
    await world.fill(6, 0);
    const config = { "partition.assignment.strategy": "cooperative-sticky" } as const;
    const first = world.reader({}, config).start();
    await first.until(({ owned }) => owned.size === 6);
    const second = world.reader({}, config).start();
    await second.until(({ owned }) => owned.size === 3);
    const third = world.reader({}, config).start();
    await third.until(({ owned }) => owned.size === 2);
    assert.deepEqual(
      [first, second].map(({ owned }) => owned.size),
      [2, 2],
    );
    const kept = new Set(first.owned);
    await second.stop();
    await second.consumer.close();
    await first.until(({ owned }) => owned.size === 3);
    await third.until(({ owned }) => owned.size === 3);
    assert.ok([...kept].every((partition) => first.owned.has(partition)));
    assert.equal(first.events.filter((event) => event.startsWith("revoke")).length, 2);
    await Promise.all([first.stop(), third.stop()]);
  });

  test("range: neighbours stay together, and the same index of several topics", async () => {
    const world = new World();
    await world.broker.createTopic("a", 5);
    await world.broker.createTopic("b", 5);
    const readers = [0, 1].map(() => new Reader(world.consumer(), [Topic.of("a"), Topic.of("b")]).start());
    await readers[0]!.until(({ owned }) => owned.size === 6);
    await readers[1]!.until(({ owned }) => owned.size === 4);
    assert.deepEqual([...readers[0]!.owned].map(String), ["a:0", "a:1", "a:2", "b:0", "b:1", "b:2"]);
    assert.deepEqual([...readers[1]!.owned].map(String), ["a:3", "a:4", "b:3", "b:4"]);
    await Promise.all(readers.map((reader) => reader.stop()));
  });

  test("more members than partitions: the last one waits, and takes over", async () => {
    const world = new World();
    await world.fill(1, 1);
    const first = world.reader().start();
    await first.until(({ owned }) => owned.size === 1);
    const spare = world.reader().start();
    await spare.until(({ events }) => events.includes("assign"));
    assert.equal(spare.owned.size, 0);
    await first.stop();
    await first.consumer.close();
    await spare.until(({ messages }) => messages.length === 1);
    await spare.stop();
  });

  test("what nobody has seen yet is moved without a word", async () => {
    const world = new World();
    await world.fill(2, 1);
    const events: string[] = [];
    const idle = world.consumer();
    idle.subscribe([TOPIC], {
      onAssign: (offsets) => void events.push(`assign ${[...offsets.keys()].join(" ")}`),
      onRevoke: () => void events.push("revoke"),
    });
    // It never polls before the second one comes, which therefore need not wait for it.
    const other = world.reader().start();
    await other.until(({ messages }) => messages.length === 1);
    await readNext(idle, 1);
    assert.deepEqual(events, ["assign orders:0"]);
    await other.stop();
  });

  test("close in the middle of a drain aborts it and hands over at once", async () => {
    const world = new World();
    await world.fill(1, 1);
    const draining = Promise.withResolvers<AbortSignal>();
    const gate = Promise.withResolvers<void>();
    const first = world
      .reader({
        onRevoke: async (_partitions, deadline) => {
          draining.resolve(deadline);
          await gate.promise;
        },
      })
      .start();
    await first.until(({ messages }) => messages.length === 1);
    const second = world.reader().start();
    const deadline = await draining.promise;
    await first.consumer.close();
    assert.ok(deadline.aborted);
    await second.until(({ messages }) => messages.length === 1);
    gate.resolve();
    await Promise.all([first.stop(), second.stop()]);
  });

  test("a subscription that follows at once waits until the one before is given back", async () => {
    const world = new World();
    await world.fill(1, 2);
    await world.broker.createTopic("other", 1);
    const events: string[] = [];
    const consumer = world.consumer();
    consumer.subscribe([TOPIC], {
      onRevoke: (partitions) => void events.push(`revoke ${partitions.join(" ")}`),
    });
    await readNext(consumer, 2);
    consumer.unsubscribe();
    consumer.subscribe([Topic.of("other")], {
      onAssign: (offsets) => void events.push(`assign ${[...offsets.keys()].join(" ")}`),
    });
    await consumer.poll();
    assert.deepEqual(events, ["revoke orders:0", "assign other:0"]);
  });

  test("all members must rebalance in the same way", async () => {
    const world = new World();
    await world.fill(1, 0);
    world.consumer().subscribe([TOPIC]);
    const other = world.consumer({ "partition.assignment.strategy": "cooperative-sticky" });
    assert.throws(() => other.subscribe([TOPIC]), { code: "ARROYO_CONFIGURATION" });
    await assert.rejects(other.poll(), { code: "ARROYO_INVALID_STATE" }, "it has not joined");
  });

  test("a topic that is made later is shared out to those that want it", async () => {
    const world = new World();
    await world.broker.createTopic("logs.a", 1);
    const pattern = new Reader(world.consumer(), /^logs\./).start();
    await pattern.until(({ owned }) => owned.size === 1);
    await world.broker.createTopic("logs.b", 2);
    await pattern.until(({ owned }) => owned.size === 3);
    await world.broker.createTopic("other", 1);
    await pattern.stop();
    assert.equal(pattern.owned.size, 3);

    const byName = world.consumer({ "group.id": "by name" });
    byName.subscribe([TOPIC]);
    await assert.rejects(byName.poll(), /Topic "orders" does not exist: create it/);
    await world.fill(1, 1);
    assert.equal((await readNext(byName, 1)).length, 1);
  });

  test("with auto commit, what is noted is committed in the interval, and when it is taken away", async () => {
    const world = new World();
    await world.fill(2, 5);
    const auto = { "arroyo.enable.auto.commit": true, "auto.commit.interval.ms": 5_000 } as const;
    const first: Reader = world
      .reader({ onRevoke: async (partitions) => await first.commit(partitions) }, auto)
      .start();
    await first.until(({ messages }) => messages.length === 10);
    first.consumer.stageOffsets(new Map([[Partition.of(TOPIC, 0), 1]]));
    await first.consumer.commitOffsets();
    first.consumer.stageOffsets(new Map([[Partition.of(TOPIC, 0), 2]]));
    await first.consumer.commitOffsets();
    world.clock.advance(4_999);
    assert.equal(world.broker.committedOffsets("group").size, 0);
    world.clock.advance(1);
    assert.deepEqual(world.broker.committedOffsets("group"), new Map([[Partition.of(TOPIC, 0), 2]]));

    const second = world.reader({}, auto).start();
    await second.until(({ owned }) => owned.size === 1);
    assert.deepEqual([...world.broker.committedOffsets("group").values()], [5, 5]);
    await Promise.all([first.stop(), second.stop()]);
    assert.deepEqual(second.positions(), []);
  });

  test("latest means the end at the time of the assignment, not of the first poll", async () => {
    const world = new World();
    await world.fill(1, 3);
    const consumer = world.consumer({ "auto.offset.reset": "latest" });
    consumer.subscribe([TOPIC]);
    await world.broker.producer().produce(TOPIC, new KafkaPayload(null, "after"));
    assert.equal((await readNext(consumer, 1))[0]?.payload.text(), "after");
  });

  test("a committed offset that is not in the log is an error, or follows the policy", async () => {
    const world = new World();
    await world.fill(1, 3);
    const partition = Partition.of(TOPIC, 0);
    const consumer = world.consumer();
    consumer.subscribe([TOPIC]);
    await readNext(consumer, 1);
    consumer.stageOffsets(new Map([[partition, 100]]));
    await consumer.commitOffsets();
    await consumer.close();

    const strict = world.consumer();
    strict.subscribe([TOPIC]);
    await assert.rejects(strict.poll(), { code: "ARROYO_OFFSET_OUT_OF_RANGE", offset: 100 });
    await strict.close();
    const neither = world.consumer({ "arroyo.strict.offset.reset": false, "auto.offset.reset": "error" });
    neither.subscribe([TOPIC]);
    await assert.rejects(neither.poll(), { code: "ARROYO_CONSUMER" });
    await neither.close();
    const lenient = world.consumer({ "arroyo.strict.offset.reset": false });
    lenient.subscribe([TOPIC]);
    assert.equal((await readNext(lenient, 1))[0]?.offset, 0);
  });

  test("one partition that cannot be read does not keep the others from being read", async () => {
    const world = new World();
    await world.fill(2, 3);
    const consumer = world.consumer();
    consumer.subscribe([TOPIC], {
      onAssign: () => consumer.seek(new Map([[Partition.of(TOPIC, 0), 50]])),
    });
    const read: unknown[] = [];
    for (let poll = 0; poll < 4; poll++) {
      try {
        read.push(...(await consumer.poll({ maxMessages: 2 })).map(({ offset }) => offset));
      } catch (error) {
        read.push((error as { code?: unknown }).code);
      }
    }
    assert.deepEqual(
      read.filter((offset) => typeof offset === "number"),
      [0, 1, 2],
    );
    assert.ok(read.includes("ARROYO_OFFSET_OUT_OF_RANGE"));
  });

  test("a poll waits by the broker's clock", async () => {
    const world = new World();
    await world.fill(1, 0);
    const consumer = world.consumer();
    consumer.subscribe([TOPIC]);
    await consumer.poll();
    const before = world.clock.pendingTimers;
    let done = false;
    const waiting = consumer.poll({ timeoutMs: 1_000 }).then(() => (done = true));
    while (world.clock.pendingTimers === before) await new Promise((resolve) => setImmediate(resolve));
    world.clock.advance(999);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(!done);
    world.clock.advance(1);
    await waiting;
    assert.equal(world.clock.pendingTimers, before, "no timer is left behind");
    await consumer.close();
    assert.equal(world.clock.pendingTimers, 0);
  });
});
