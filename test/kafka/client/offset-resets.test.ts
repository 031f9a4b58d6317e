import assert from "node:assert/strict";
import { test } from "node:test";
import type { ListOffsetsRequest, ListOffsetsResponse } from "../../../src/kafka/client/apis.ts";
import { OffsetResets } from "../../../src/kafka/client/offset-resets.ts";
import type { AssignedPartition, ConsumerEvent, FetchPosition } from "../../../src/kafka/client/protocol.ts";
import { resolveConsumerConfig } from "../../../src/kafka/config.ts";
import { silentLogger } from "../../../src/logger.ts";
import { AnsweringCluster } from "./answering-cluster.ts";
import { settle } from "./fetch-harness.ts";

const AT = { topic: "orders", index: 0, epoch: 3, offset: 100 };
const REFUSED = [{ type: "outOfRange", ...AT }];

class World {
  readonly events: ConsumerEvent[] = [];
  readonly fetched: FetchPosition[] = [];
  readonly restarted: (AssignedPartition & { readonly reason: string })[] = [];
  readonly cluster = new AnsweringCluster<ListOffsetsRequest, ListOffsetsResponse>([1]);
  epoch: number | undefined = AT.epoch;
  readonly resets: OffsetResets;

  constructor(isStrict: boolean, policy: "earliest" | "latest" | "error") {
    this.cluster.answer = ({ topics }) => ({
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => ({
          partitionIndex,
          errorCode: 0,
          timestamp: -1,
          offset: timestamp === -2 ? 40 : 90,
          leaderEpoch: 6,
        })),
      })),
    });
    this.resets = new OffsetResets({
      cluster: this.cluster,
      config: resolveConsumerConfig({
        "bootstrap.servers": "127.0.0.1:9092",
        "group.id": "g",
        "auto.offset.reset": policy,
        "arroyo.strict.offset.reset": isStrict,
      }),
      logger: silentLogger,
      epochOf: () => this.epoch,
      fetch: (position) => this.fetched.push(position),
      restart: (position, reason) => this.restarted.push({ ...position, reason }),
      send: (event) => this.events.push(event),
      closed: new AbortController().signal,
    });
  }
}

test("a strict consumer is told of an offset out of range, a log that was cut and another topic, and stays where it is", async () => {
  for (const [position, reason] of [
    [AT, undefined],
    [
      { ...AT, divergedAt: 80 },
      "the log was cut at offset 80, and what was read behind that is not in it any more",
    ],
    [
      { ...AT, isOtherTopic: true },
      "the topic was deleted and made again, and the offset is one of the old topic",
    ],
  ] as const) {
    const world = new World(true, "earliest");
    world.resets.outOfRange(position);
    await settle();
    assert.deepEqual(
      world.events,
      REFUSED.map((event) => ({ ...event, reason })),
    );
    assert.deepEqual(world.fetched, []);
  }
});

test("another one goes on by its policy, under the same epoch: what came before is still to be delivered", async () => {
  for (const [policy, offset] of [
    ["earliest", 40],
    ["latest", 90],
  ] as const) {
    const world = new World(false, policy);
    world.resets.outOfRange({ ...AT, offset: 30 });
    await settle();
    assert.deepEqual(world.fetched, [{ topic: "orders", index: 0, epoch: 3, offset, leaderEpoch: 6 }]);
    assert.deepEqual([world.events, world.restarted], [[], []]);
  }
});

test("where it goes back, or in another topic, what was read is void: the partition is lost and given again", async () => {
  for (const [position, to] of [
    [AT, { offset: 90, leaderEpoch: 6, reason: "the log ends before the offset" }],
    [
      { ...AT, offset: 7, isOtherTopic: true },
      { offset: 90, leaderEpoch: 6, reason: "the topic was deleted and made again" },
    ],
  ] as const) {
    const world = new World(false, "latest");
    world.resets.outOfRange(position);
    await settle();
    assert.deepEqual(world.restarted, [{ topic: "orders", index: 0, ...to }]);
    assert.deepEqual([world.events, world.fetched], [[], []]);
  }
});

test("where the log was cut it goes on from there, whatever the policy: nothing is skipped or read from the beginning", async () => {
  for (const policy of ["earliest", "latest", "error"] as const) {
    const world = new World(false, policy);
    world.resets.outOfRange({ ...AT, divergedAt: 80 });
    await settle();
    const to = { offset: 80, leaderEpoch: -1, reason: "the log was cut" };
    assert.deepEqual(world.restarted, [{ topic: "orders", index: 0, ...to }]);
    assert.deepEqual([world.cluster.asked, world.fetched], [[], []]);
  }
});

test("without a policy it is an error after all", async () => {
  const world = new World(false, "error");
  world.resets.outOfRange(AT);
  await settle();
  assert.deepEqual(
    world.events,
    REFUSED.map((event) => ({ ...event, reason: undefined })),
  );
});

test("a partition that was sought or has gone while its offset was asked for is left alone", async () => {
  for (const epoch of [4, undefined]) {
    const world = new World(false, "earliest");
    world.resets.outOfRange(AT);
    world.epoch = epoch;
    await settle();
    assert.equal(world.cluster.asked.length, 1);
    assert.deepEqual([world.fetched, world.events], [[], []]);
  }
});
