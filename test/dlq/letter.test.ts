import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KafkaDlqProducer } from "../../src/dlq/kafka-producer.ts";
import { messageOf, originalPartition, replaysOf, REPLAYS_HEADER } from "../../src/dlq/letter.ts";
import { BrokerMessage } from "../../src/message/message.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { P1 } from "../strategies/fixtures.ts";

/** What the dead letter queue makes of a message of partition 1 of `orders`. */
async function letterOf(payload: KafkaPayload, reason: string | undefined = "bad"): Promise<KafkaPayload> {
  let letter: KafkaPayload | undefined;
  const producer = { produce: async (_: unknown, sent: KafkaPayload) => void (letter = sent) };
  await new KafkaDlqProducer(producer, "dlq").produce(new BrokerMessage(payload, P1, 42, 1_234), reason);
  return letter!;
}

/** The payload with the count of its replays behind its own headers. */
function replayed(payload: KafkaPayload, times: number): KafkaPayload {
  return new KafkaPayload(payload.key, payload.value, [...payload.headers, [REPLAYS_HEADER, String(times)]]);
}

const OWN_HEADERS = [
  ["trace", "abc"],
  ["empty", null],
  ["bytes", Buffer.from([0, 255, 1])],
] as const;

describe("the message in a dead letter", () => {
  for (const [what, payload] of [
    ["an ordinary one", new KafkaPayload("key", "value", OWN_HEADERS)],
    ["one without key and headers", new KafkaPayload(null, "value")],
    ["a tombstone", new KafkaPayload("key", null, OWN_HEADERS)],
    ["one with an empty key and value", new KafkaPayload("", "")],
    ["one with headers of the same names", new KafkaPayload("k", "v", [["original_offset", "7"]])],
  ] as const) {
    it(`is as it was: ${what}`, async () => {
      const message = messageOf(await letterOf(payload));
      assert.ok(message.equals(replayed(payload, 1)), JSON.stringify(message.headers));
    });
  }

  it("is as it was when the letter has no reason, and when headers were put behind its own", async () => {
    const payload = new KafkaPayload("key", "value", OWN_HEADERS);
    assert.ok(messageOf(await letterOf(payload, undefined)).equals(replayed(payload, 1)));
    const letter = await letterOf(payload);
    const traced = new KafkaPayload(letter.key, letter.value, [...letter.headers, ["span", "1"]]);
    const [name] = messageOf(traced).headers.at(-2)!;
    assert.equal(name, "span");
    assert.equal(messageOf(traced).header("original_topic"), undefined);
  });

  it("counts its replays in one header, however often it comes back", async () => {
    let payload = new KafkaPayload("key", "value", OWN_HEADERS);
    for (let times = 1; times <= 3; times++) {
      const letter = await letterOf(payload);
      assert.equal(replaysOf(letter), times - 1);
      payload = messageOf(letter);
      assert.ok(payload.equals(replayed(new KafkaPayload("key", "value", OWN_HEADERS), times)));
    }
  });

  it("is found in letters of other programs, too", () => {
    const ofPython = new KafkaPayload("key", "value", [
      ["trace", "abc"],
      ["original_partition", "3"],
      ["original_offset", "9"],
    ]);
    assert.ok(messageOf(ofPython).equals(replayed(new KafkaPayload("key", "value", [["trace", "abc"]]), 1)));
    const without = new KafkaPayload("key", "value");
    assert.ok(messageOf(without).equals(replayed(without, 1)));
  });
});

describe("replaysOf", () => {
  it("takes what is no count for none", () => {
    for (const value of [null, "", "many", "-1", "1.5", "99999999999999999999"]) {
      assert.equal(replaysOf(new KafkaPayload(null, "v", [[REPLAYS_HEADER, value]])), 0);
    }
  });
});

describe("originalPartition", () => {
  it("is told for letters of that topic only", async () => {
    const letter = await letterOf(new KafkaPayload(null, "v"));
    assert.equal(originalPartition(letter, "orders"), 1);
    assert.equal(originalPartition(letter, "payments"), undefined);
    assert.equal(originalPartition(new KafkaPayload(null, "v"), "orders"), undefined);
  });
});
