import { test } from "node:test";
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { ErrorCode } from "../../src/errors.ts";
import { bodySize, KafkaPayload, payloadOfBody, writeBody } from "../../src/message/payload.ts";

/** The same payload as it would come out of a fetched batch, at some place within it. */
function fetched(payload: KafkaPayload): KafkaPayload {
  const bytes = Buffer.alloc(bodySize(payload) + 20, 0xaa);
  const end = writeBody(payload, bytes, 7);
  assert.equal(end, 7 + bodySize(payload));
  return payloadOfBody(bytes, 7, end);
}

const LONG = "ü".repeat(10_000);
const made = {
  text: new KafkaPayload("k", '{"a":1}'),
  bytes: new KafkaPayload(Uint8Array.of(1, 2), new Uint8Array([0, 1, 255]).subarray(1)),
  "nothing but nulls": new KafkaPayload(null, null),
  "empty, which is not null": new KafkaPayload("", ""),
  "long, and beyond ASCII": new KafkaPayload(LONG, Buffer.from(LONG)),
  headers: new KafkaPayload("k", "v", [
    ["trace", "1"],
    ["none", null],
    ["trace", Uint8Array.of(7)],
    ["ключ", ""],
  ]),
  "a lone surrogate, which UTF-8 has no way to write": new KafkaPayload("\ud800", "\ud800x"),
};

for (const [what, payload] of Object.entries(made)) {
  test(`a payload reads the same whether it was made or fetched: ${what}`, () => {
    const copy = fetched(payload);
    assert.ok(copy.equals(payload) && payload.equals(copy));
    assert.deepEqual(copy.key, payload.key);
    assert.deepEqual(copy.value, payload.value);
    assert.deepEqual(copy.headers, payload.headers);
    assert.equal(fetched(payload).text(), payload.text());
    assert.equal(bodySize(copy), bodySize(payload));
    assert.deepEqual(
      fetched(copy).value,
      payload.value,
      "and when it is written again from the fetched bytes",
    );
    assert.equal(copy.value, copy.value, "a view is made once");
  });
}

test("null stays null, and empty stays empty", () => {
  const tombstone = fetched(new KafkaPayload("k", null));
  assert.equal(tombstone.value, null);
  assert.equal(tombstone.text(), "");
  assert.equal(tombstone.json(), null);
  assert.deepEqual(fetched(new KafkaPayload(null, "")).value, Buffer.alloc(0));
  assert.equal(fetched(new KafkaPayload(null, "")).key, null);
  assert.ok(!new KafkaPayload(null, "").equals(new KafkaPayload("", "")));
});

test("json parses the value, and says so when it is none", () => {
  assert.deepEqual(fetched(made["text"]).json(), { a: 1 });
  assert.deepEqual(made["text"].json(), { a: 1 });
  assert.throws(() => new KafkaPayload(null, "{").json(), SyntaxError);
  assert.throws(() => new KafkaPayload(null, "").json(), SyntaxError);
  // What is thrown is logged, and a log holds no payloads.
  for (const value of ["hunter2", '"hunter2', '{"password":hunter2}']) {
    assert.throws(
      () => new KafkaPayload(null, value).json(),
      (error) =>
        error instanceof SyntaxError && !/hunter/.test(inspect(error)) && /no JSON/.test(error.message),
    );
  }
});

test("header gives the last one of a name, null for one without a value, undefined for none", () => {
  for (const payload of [made["headers"], fetched(made["headers"])]) {
    assert.deepEqual(payload.header("trace"), Buffer.of(7));
    assert.equal(payload.header("none"), null);
    assert.equal(payload.header("other"), undefined);
    assert.deepEqual(payload.header("ключ"), Buffer.alloc(0));
  }
});

test("payloads that differ in any part are not equal", () => {
  const base = new KafkaPayload("k", "v", [["h", "1"]]);
  for (const other of [
    new KafkaPayload("K", "v", [["h", "1"]]),
    new KafkaPayload("k", "V", [["h", "1"]]),
    new KafkaPayload("k", "v", [["H", "1"]]),
    new KafkaPayload("k", "v", [["h", "2"]]),
    new KafkaPayload("k", "v", [["h", null]]),
    new KafkaPayload("k", "v"),
    new KafkaPayload(null, "v", [["h", "1"]]),
  ]) {
    assert.ok(!base.equals(other) && !fetched(other).equals(base));
  }
});

test("bytes are shared, not copied, also those in shared memory", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(5);
  const payload = new KafkaPayload(null, shared);
  assert.ok(Buffer.isBuffer(payload.value));
  assert.equal(payload.value.buffer, shared.buffer);
  assert.deepEqual([...fetched(payload).value!], [5, 5, 5, 5]);
});

test("anything but text, bytes and null is refused, naming what it is", () => {
  const Loose = KafkaPayload as unknown as new (...args: unknown[]) => KafkaPayload;
  for (const args of [
    [1, "v"],
    ["k", { a: 1 }],
    ["k", undefined],
    [undefined, "v"],
    ["k", "v", [["h", 5]]],
    ["k", "v", [[5, "h"]]],
    [Symbol("x"), "v"],
  ]) {
    assert.throws(() => new Loose(...args), {
      code: ErrorCode.CONFIGURATION,
      message: /KafkaPayload.* is \w+/,
    });
  }
});

test("a payload shows its content when it is printed", () => {
  assert.match(
    inspect(fetched(new KafkaPayload("k", null, [["h", "1"]]))),
    /key: <Buffer 6b>, value: null, headers: \[/,
  );
});
