import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, it } from "node:test";
import { InvalidMessage, KafkaPayload, Partition, pipeline, ProcessorChannel } from "../../src/index.ts";
import { harness } from "../../src/testing/index.ts";

/** What comes over the channels while it is there, as text. */
class Listener implements Disposable {
  readonly seen: string[] = [];
  readonly #listeners = Object.values(ProcessorChannel).map((name) => {
    const listener = (event: unknown): void => {
      this.processors.add((event as { readonly processor: object }).processor);
      this.seen.push(
        `${name.slice("arroyo:".length)} ${describeEvent(event as Record<string, unknown>)}`.trim(),
      );
    };
    subscribe(name, listener);
    return { name, listener };
  });
  readonly processors = new Set<object>();

  [Symbol.dispose](): void {
    for (const { name, listener } of this.#listeners) unsubscribe(name, listener);
  }
}

function describeEvent(event: Record<string, unknown>): string {
  if (event["offsets"] instanceof Map) return shown(event["offsets"]);
  if (event["partitions"] instanceof Map) return shown(event["partitions"]);
  if (Array.isArray(event["partitions"])) return event["partitions"].map(String).join(",");
  if ("strategy" in event) return event["strategy"] === undefined ? "none" : "made";
  if ("messages" in event) return String(event["messages"]);
  if ("active" in event) return String(event["active"]);
  if ("reason" in event)
    return `${String(event["partition"])}@${String(event["offset"])} ${String(event["reason"])}`;
  return "error" in event ? "error" : "";
}

function shown(offsets: Map<unknown, unknown>): string {
  return [...offsets].map(([partition, offset]) => `${String(partition)}@${String(offset)}`).join(",");
}

describe("the events of a processor", () => {
  it("tell of assignments, batches, invalid messages, commits, hand-overs and the end", async () => {
    using listener = new Listener();
    {
      await using t = await harness(
        pipeline<KafkaPayload>()
          .map((payload, message) => {
            if (payload.text() === "bad") throw InvalidMessage.from(message, { reason: "bad" });
          })
          .commit(),
        { topics: { orders: 2 } },
      );
      t.send(new KafkaPayload(null, "a"));
      await t.settle();
      t.send(new KafkaPayload(null, "bad"));
      await t.settle();
      await t.revoke(Partition.of("orders", 0));
    }
    assert.equal(listener.processors.size, 1);
    const { seen } = listener;
    assert.ok(seen.indexOf("assigned orders:0@0,orders:1@0") < seen.indexOf("chain made"));
    assert.ok(seen.indexOf("received 1") < seen.indexOf("committed orders:0@1"));
    assert.ok(seen.includes("invalid orders:0@1 bad"));
    assert.ok(seen.indexOf("committed orders:0@2") < seen.indexOf("revoked orders:0"));
    assert.deepEqual(seen.slice(-3), ["stopping", "chain none", "stopped"]);
  });

  it("tell of the error that ends it", async () => {
    using listener = new Listener();
    await using t = await harness(
      pipeline<KafkaPayload>()
        .map(() => {
          throw new Error("broken");
        })
        .commit(),
      { topics: { orders: 1 } },
    );
    t.send(new KafkaPayload(null, "a"));
    await t.failure();
    assert.ok(listener.seen.includes("stopping error"));
    assert.equal(listener.seen.at(-1), "stopped error");
  });
});
