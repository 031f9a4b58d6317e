import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CommitOffsets,
  InvalidMessage,
  KafkaPayload,
  MESSAGE_REJECTED,
  Partition,
  RunTask,
  RunTaskConcurrently,
  type Message,
  type ProcessingStrategyFactory,
} from "../../src/index.ts";
import { harness } from "../../src/testing/index.ts";

const TOPICS = { orders: 2 };
const options = { topics: TOPICS, perPartition: true } as const;

function at(partition: number): { readonly partition: number } {
  return { partition };
}

/** Holds one partition's messages back until it is opened. */
class Gate {
  open = false;
  readonly seen: string[] = [];
  readonly made: string[] = [];

  factory(shut: number): ProcessingStrategyFactory<KafkaPayload> {
    return {
      createWithPartitions: (commit, partitions) => {
        this.made.push([...partitions.keys()].join(","));
        return new RunTask((message: Message<KafkaPayload>) => {
          if (message.partition?.index === shut && !this.open) throw MESSAGE_REJECTED;
          this.seen.push(message.payload.text());
          return message.payload;
        }, new CommitOffsets(commit));
      },
    };
  }
}

test("a partition that is held up holds up no other, and goes on in order when it can", async () => {
  const gate = new Gate();
  await using t = await harness(gate.factory(0), options);
  assert.deepEqual(gate.made.toSorted(), ["orders:0", "orders:1"]);
  for (const value of ["a", "b", "c"]) {
    t.send(new KafkaPayload(null, `0${value}`), at(0));
    t.send(new KafkaPayload(null, `1${value}`), at(1));
  }
  await t.advance(100);
  assert.deepEqual(gate.seen, ["1a", "1b", "1c"]);
  assert.deepEqual(t.committed, { "orders:1": 3 });
  t.send(new KafkaPayload(null, "1d"), at(1));
  await t.advance(100);
  assert.deepEqual(t.committed, { "orders:1": 4 });
  gate.open = true;
  await t.advance(1_100);
  assert.deepEqual(gate.seen.slice(4), ["0a", "0b", "0c"]);
  assert.deepEqual(t.committed, { "orders:0": 3, "orders:1": 4 });
  await t.advance(1_100);
  assert.equal(t.metrics.count("arroyo.consumer.pause"), 1);
  assert.equal(t.metrics.count("arroyo.consumer.resume"), 1);
});

test("without the option a held up partition holds up all", async () => {
  const gate = new Gate();
  await using t = await harness(gate.factory(0), { topics: TOPICS });
  t.send(new KafkaPayload(null, "0a"), at(0));
  await t.advance(0);
  t.send(new KafkaPayload(null, "1a"), at(1));
  await t.advance(100);
  assert.deepEqual(gate.seen, []);
  gate.open = true;
  await t.advance(1_100);
  assert.deepEqual(gate.seen, ["0a", "1a"]);
});

test("an invalid message of one partition is dead-lettered, also one that had to wait, and its commit goes on", async () => {
  const gate = { open: false };
  const seen: string[] = [];
  await using t = await harness(
    {
      createWithPartitions: (commit) =>
        new RunTask((message: Message<KafkaPayload>) => {
          if (message.partition?.index === 0 && !gate.open) throw MESSAGE_REJECTED;
          if (message.payload.text() === "bad") throw InvalidMessage.from(message, { reason: "it is bad" });
          seen.push(message.payload.text());
          return message.payload;
        }, new CommitOffsets(commit)),
    },
    options,
  );
  for (const value of ["bad", "good", "bad", "better"]) {
    t.send(new KafkaPayload(null, value), at(0));
    t.send(new KafkaPayload(null, value), at(1));
  }
  await t.advance(100);
  assert.deepEqual(seen, ["good", "better"]);
  assert.deepEqual(t.committed, { "orders:1": 4 });
  gate.open = true;
  await t.advance(1_100);
  assert.deepEqual(seen, ["good", "better", "good", "better"]);
  assert.deepEqual(t.committed, { "orders:0": 4, "orders:1": 4 });
  assert.deepEqual(
    t.deadLetters.map(({ message, reason }) => `${message.partition}@${message.offset} ${reason}`).toSorted(),
    ["orders:0@0 it is bad", "orders:0@2 it is bad", "orders:1@0 it is bad", "orders:1@2 it is bad"],
  );
});

test("a revocation drains the chains of all partitions, also what waited in a lane", async () => {
  const finish = Promise.withResolvers<void>();
  await using t = await harness(
    {
      createWithPartitions: (commit) =>
        new RunTaskConcurrently(
          async (message: Message<KafkaPayload>) => {
            if (message.partition?.index === 0) await finish.promise;
            return message.payload;
          },
          { concurrency: 1, maxPending: 1 },
          new CommitOffsets(commit),
        ),
    },
    options,
  );
  for (let i = 0; i < 5; i++) t.send(new KafkaPayload(null, "x"), at(0));
  t.send(new KafkaPayload(null, "y"), at(1));
  await t.advance(10);
  assert.deepEqual(t.committed, { "orders:1": 1 });
  const revoked = t.revoke(Partition.of("orders", 0));
  finish.resolve();
  await revoked;
  assert.deepEqual(t.committed, { "orders:0": 5, "orders:1": 1 });
  t.send(new KafkaPayload(null, "z"), at(1));
  await t.settle();
  assert.deepEqual(t.committed, { "orders:0": 5, "orders:1": 2 });
});

test("what a lane still holds when it is lost is never committed, and comes again", async () => {
  const gate = new Gate();
  await using t = await harness(gate.factory(0), options);
  for (const value of ["a", "b"]) t.send(new KafkaPayload(null, value), at(0));
  await t.advance(50);
  await t.lose(Partition.of("orders", 0));
  gate.open = true;
  await t.advance(1_100);
  assert.deepEqual(gate.seen, []);
  assert.deepEqual(t.committed, {});
  await t.assign(Partition.of("orders", 0));
  await t.settle();
  assert.deepEqual(gate.seen, ["a", "b"]);
});
