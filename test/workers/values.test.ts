import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { InvalidMessage } from "../../src/errors.ts";
import { FILTERED_PAYLOAD } from "../../src/message/filtered.ts";
import { BrokerMessage, DerivedMessage } from "../../src/message/message.ts";
import { Partition } from "../../src/message/partition.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";
import { BLOCK_FULL, BlockWriter } from "../../src/workers/block-writer.ts";
import { packThrown, unpackThrown } from "../../src/workers/thrown.ts";
import { ValueReader } from "../../src/workers/value-reader.ts";
import { ValueWriter } from "../../src/workers/value-writer.ts";

/** Values as another thread reads them. */
function crossed(...values: unknown[]): unknown[] {
  const block = new BlockWriter(16, Infinity);
  const writer = new ValueWriter(block);
  for (const value of values) writer.value(value);
  const reader = new ValueReader(block.take(), writer.partitions);
  return values.map(() => reader.value());
}

const partition = fc
  .tuple(fc.stringMatching(/^[a-z]{1,9}$/), fc.nat(20))
  .map(([topic, i]) => Partition.of(topic, i));
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const payload = fc
  .tuple(
    fc.option(bytes),
    fc.option(fc.string({ unit: "grapheme" })),
    fc.array(fc.tuple(fc.string({ unit: "grapheme" }), fc.option(bytes)), { maxLength: 3 }),
  )
  .map(([key, value, headers]) => new KafkaPayload(key, value, headers));
const plain = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withUnicodeString: true,
});
const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    plain,
    payload,
    bytes,
    partition,
    partition.map(({ topic }) => topic),
    fc.constant(FILTERED_PAYLOAD),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.string(), tie("value"), { maxKeys: 3, noNullPrototype: true }),
    fc
      .uniqueArray(fc.tuple(fc.string(), tie("value")), { maxLength: 3, selector: ([key]) => key })
      .map((entries) => new Map(entries)),
    fc
      .tuple(tie("value"), partition, fc.nat(), fc.option(fc.nat(), { nil: undefined }))
      .map((args) => new BrokerMessage(...args)),
    fc
      .tuple(tie("value"), fc.array(fc.tuple(partition, fc.nat())), fc.option(fc.nat(), { nil: undefined }))
      .map(
        ([value, committable, timestampMs]) => new DerivedMessage(value, new Map(committable), timestampMs),
      ),
  ),
}));

/** A value with Kafka payloads spelt out: their parts are private, so that deepEqual does not see them. */
function spelt(value: unknown): unknown {
  if (value instanceof KafkaPayload) return { KafkaPayload: [value.key, value.value, value.headers] };
  if (value instanceof BrokerMessage || value instanceof DerivedMessage) {
    const { partition, offset, committable, timestampMs } = value;
    return [value.constructor.name, partition, offset, committable, timestampMs, spelt(value.payload)];
  }
  if (Array.isArray(value)) return value.map(spelt);
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [key, spelt(item)]));
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spelt(item)]));
  }
  return value;
}

describe("values between threads", () => {
  it("are the same on the other side, whatever they are and wherever they are inside", () => {
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 4 }), (values) => {
        assert.deepEqual(crossed(...values).map(spelt), values.map(spelt));
      }),
      { numRuns: 500 },
    );
  });

  it("keep the identity of partitions, topics and FILTERED_PAYLOAD", () => {
    const orders = Partition.of("orders", 3);
    const [[first, { second }], topic, filtered] = crossed(
      [orders, { second: orders }],
      [Topic.of("orders")],
      new Set([FILTERED_PAYLOAD]),
    ) as [[Partition, { second: Partition }], [Topic], Set<unknown>];
    assert.equal(first, orders);
    assert.equal(second, orders);
    assert.equal(topic[0], Topic.of("orders"));
    assert.ok(filtered.has(FILTERED_PAYLOAD));
  });

  it("take nothing of a buffer but its own bytes", () => {
    const whole = Buffer.alloc(1_000_000);
    const block = new BlockWriter(16, 1_000);
    new ValueWriter(block).value({ part: whole.subarray(10, 20) });
    assert.ok(block.at < 200);
  });

  it("may be payloads of a second installed copy of the library", () => {
    class Foreign {
      readonly key = null;
      readonly value = Buffer.from("v");
      readonly headers = [["h", null]] as const;
    }
    Object.defineProperty(Foreign, "name", { value: "KafkaPayload" });
    const [one, [two]] = crossed(new Foreign(), [new Foreign()]) as [KafkaPayload, [KafkaPayload]];
    const same = new KafkaPayload(null, "v", [["h", null]]);
    assert.ok(one.equals(same) && two.equals(same));
  });

  it("may share and repeat, but not contain themselves together with a payload", () => {
    const loop: { self?: unknown; date: Date } = { date: new Date(1) };
    loop.self = loop;
    const [result] = crossed(loop) as [typeof loop];
    assert.equal(result.self, result);
    assert.throws(
      () => crossed(Object.assign(loop, { payload: new KafkaPayload(null, null) })),
      /contains itself/,
    );
  });

  it("leave the block as it was when they do not fit or cannot cross", () => {
    const block = new BlockWriter(8, 64);
    const writer = new ValueWriter(block);
    writer.value("begins");
    const { at } = block;
    assert.throws(
      () => writer.value([new KafkaPayload("k", "v"), Buffer.alloc(100)]),
      (error) => error === BLOCK_FULL,
    );
    assert.equal(block.at, at);
    assert.throws(() => writer.value([new KafkaPayload("k", "v"), () => 1]), /could not be cloned/);
    assert.equal(block.at, at);
    writer.value("ends");
    const reader = new ValueReader(block.take(), writer.partitions);
    assert.deepEqual([reader.value(), reader.value()], ["begins", "ends"]);
  });
});

describe("errors between threads", () => {
  const crossedError = (error: unknown): Error => unpackThrown(structuredClone(packThrown(error)));

  it("keep name, message, stack, code and class, if that is a standard one", () => {
    const error = crossedError(Object.assign(new RangeError("too far"), { code: "E_FAR" }));
    assert.ok(error instanceof RangeError);
    assert.equal(error.message, "too far");
    assert.equal((error as Error & { code?: string }).code, "E_FAR");
    assert.match(error.stack ?? "", /values\.test\.ts/);
  });

  it("keep their causes, and those of an AggregateError, but not without end", () => {
    const error = crossedError(
      new AggregateError([new TypeError("one"), "two"], "both", {
        cause: new Error("beneath", { cause: "a text" }),
      }),
    );
    assert.ok(error instanceof AggregateError);
    assert.deepEqual(
      error.errors.map((one: Error) => [one.name, one.message]),
      [
        ["TypeError", "one"],
        ["Error", "two"],
      ],
    );
    assert.equal(((error.cause as Error).cause as Error).message, "a text");
    const endless = new Error("endless");
    endless.cause = endless;
    assert.equal(crossedError(endless).message, "endless");
  });

  it("are an InvalidMessage again if they were one, by its code alone", () => {
    const error = crossedError(
      new InvalidMessage(Partition.of("orders", 1), 5, { reason: "bad", needsCommit: false, logged: true }),
    );
    assert.ok(error instanceof InvalidMessage);
    assert.equal(error.partition, Partition.of("orders", 1));
    assert.deepEqual(
      [error.offset, error.reason, error.needsCommit, error.logged, error.cause],
      [5, "bad", false, true, undefined],
    );
  });

  it("say what was thrown when that was no error", () => {
    assert.equal(crossedError("a text").message, "a text");
    assert.equal(crossedError(42).message, "Thrown, but not an Error: 42");
    assert.equal(crossedError(undefined).message, "Thrown, but not an Error: undefined");
  });
});
