import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as z from "zod";
import { InvalidMessage, InvalidStateError } from "../../src/errors.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { decodeJson, type StandardSchema } from "../../src/strategies/decode-json.ts";
import { P0, at, thrownBy, turn } from "./fixtures.ts";

const Order = z.object({
  id: z.string(),
  amount: z.coerce.number(),
  items: z.array(z.object({ sku: z.string() })).default([]),
});

function decoded(value: string | null, schema: StandardSchema<unknown> = Order): unknown {
  return decodeJson(schema)(at(new KafkaPayload("key", value), 7));
}

function invalidity(value: string | null, schema?: StandardSchema<unknown>): InvalidMessage {
  const error = thrownBy(() => decoded(value, schema));
  assert.ok(InvalidMessage.is(error), `no InvalidMessage: ${String(error)}`);
  assert.deepEqual([error.partition, error.offset], [P0, 7]);
  return error;
}

describe("decodeJson", () => {
  it("gives what the schema makes of the value", () => {
    assert.deepEqual(decoded('{"id":"o-1","amount":"12.5","unknown":true}'), {
      id: "o-1",
      amount: 12.5,
      items: [],
    });
  });

  it("tells a value that is no JSON from one that does not fit", () => {
    assert.equal(invalidity('{"id":"o-1",').reason, "decode error: the value is no JSON from position 12 on");
    assert.equal(invalidity("").reason, "decode error: the value is no JSON");
    assert.equal(invalidity('{"id":1}').reason, "schema error: id, amount");
  });

  it("names the places that do not fit, a few of them, each once", () => {
    assert.equal(
      invalidity('{"id":"o-1","amount":1,"items":[{"sku":"a"},{"sku":2},{}]}').reason,
      "schema error: items[1].sku, items[2].sku",
    );
    assert.equal(invalidity("[]").reason, "schema error: the whole value");
    const twice = z.object({ a: z.string() }).refine(() => false, { path: ["a"] });
    assert.equal(invalidity('{"a":"x"}', twice).reason, "schema error: a");
    const many = z.array(z.string());
    assert.equal(
      invalidity(JSON.stringify(Array.from({ length: 9 }, (_, i) => i)), many).reason,
      "schema error: [0], [1], [2], [3], [4] and 4 more",
    );
  });

  it("gives away no value of the payload, whatever is wrong with it", () => {
    const secret = "4111-1111-1111-1111";
    for (const value of [
      `${secret}`,
      `{"id":"${secret}`,
      `{"id":${JSON.stringify([secret])},"amount":1}`,
      `{"id":"${secret}","amount":"${secret}"}`,
    ]) {
      const error = invalidity(value);
      let told = "";
      for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) told += cause.stack;
      assert.ok(!told.includes(secret), told);
    }
  });

  it("leaves a tombstone to the schema", () => {
    assert.equal(invalidity(null).reason, "schema error: the whole value");
    assert.equal(decoded(null, Order.nullable()), null);
  });

  it("reads paths of objects, as Standard Schema allows", () => {
    const schema: StandardSchema<unknown> = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: () => ({ issues: [{ path: [{ key: "items" }, { key: 3 }, Symbol.iterator] }] }),
      },
    };
    assert.equal(invalidity("1", schema).reason, "schema error: items[3].Symbol(Symbol.iterator)");
  });

  it("refuses a schema that checks asynchronously", async () => {
    const asynchronous: StandardSchema<unknown> = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: async () => {
          throw new Error("late");
        },
      },
    };
    const error = thrownBy(() => decoded('"a"', asynchronous));
    assert.ok(InvalidStateError.is(error));
    assert.match(error.message, /asynchronously.*mapConcurrently/s);
    await turn();
  });
});
