import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { ErrorCodes } from "../../../src/kafka/client/error-codes.ts";
import { read, values } from "../records/batches.ts";
import { ModelLog, type Appended } from "./model-log.ts";
import { SenderHarness, type Call } from "./sender-harness.ts";

const PARTITIONS = 2;

/** What happens next, between a producer and a broker that does everything that the protocol allows. */
const event = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ type: "produce" } as const) },
  { weight: 6, arbitrary: fc.constant({ type: "serve" } as const) },
  { weight: 2, arbitrary: fc.constant({ type: "cut" } as const) },
  { weight: 1, arbitrary: fc.constant({ type: "cut after writing" } as const) },
  { weight: 2, arbitrary: fc.constant({ type: "cut, and write later" } as const) },
  { weight: 2, arbitrary: fc.constant({ type: "write what is late" } as const) },
  { weight: 2, arbitrary: fc.constant({ type: "not now" } as const) },
  { weight: 1, arbitrary: fc.constant({ type: "refuse" } as const) },
  { weight: 1, arbitrary: fc.constant({ type: "forget" } as const) },
  { weight: 2, arbitrary: fc.constantFrom(...[0, 1].map((index) => ({ type: "move", index }) as const)) },
  { weight: 3, arbitrary: fc.constantFrom(...[50, 200, 400].map((ms) => ({ type: "wait", ms }) as const)) },
);
/** How long each batch has: an earlier one never has more time than a later one. */
const timeout = fc.constantFrom(300, 60_000);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** A sender and the log that all brokers write to. */
class World {
  readonly t = new SenderHarness();
  readonly logs = Array.from({ length: PARTITIONS }, () => new ModelLog());
  /** The value of each batch, by id. */
  readonly produced: { readonly value: string; readonly index: number }[] = [];
  /** Requests that a broker has read from connections that are gone. */
  late: Call[] = [];

  readonly #refused = new Set<string>();
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.t.leaders = { t: Array.from({ length: PARTITIONS }, () => ({ nodeId: 1, leaderEpoch: 1 })) };
  }

  async happen(event: Event): Promise<void> {
    const { t } = this;
    switch (event.type) {
      case "produce": {
        const index = this.produced.length % PARTITIONS;
        const value = `v${this.produced.length}`;
        this.produced.push({ value, index });
        await t.add([`${index}=${value}`], this.#timeoutMs);
        break;
      }
      case "serve":
        await this.#answerFirst((index, records) => this.#append(index, records));
        break;
      case "not now":
        await this.#answerFirst(() => ({ errorCode: ErrorCodes.NOT_ENOUGH_REPLICAS, baseOffset: -1 }));
        break;
      case "refuse":
        for (const content of this.t.calls[0]?.content ?? []) this.#refused.add(content);
        await this.#answerFirst((index, records) => this.#append(index, records));
        break;
      case "cut after writing":
        for (const call of t.calls) this.#write(call);
        await this.#cut();
        break;
      case "cut, and write later":
        this.late.push(...t.calls);
        await this.#cut();
        break;
      case "cut":
        await this.#cut();
        break;
      case "write what is late":
        for (const call of this.late.splice(0)) this.#write(call);
        break;
      case "forget":
        for (const log of this.logs) log.forget();
        break;
      case "move": {
        // The old leader has not answered; what it has got, it may write before or after what the new one gets.
        const old = t.calls.splice(0);
        const leader = t.leaders["t"]![event.index]!;
        t.leaders["t"]![event.index] = { nodeId: leader.nodeId + 1, leaderEpoch: leader.leaderEpoch + 1 };
        t.changed();
        await t.advance(0);
        t.calls.push(...old);
        break;
      }
      case "wait":
        await t.advance(event.ms);
    }
  }

  async settleAll(): Promise<void> {
    for (let i = 0; i < 1_000; i++) {
      if (this.t.calls.length > 0) await this.happen({ type: "serve" });
      else if (this.t.events.length < this.produced.length) await this.t.advance(1_000);
      else return;
    }
    assert.fail("not everything settles");
  }

  #write(call: Call): ReadonlyMap<number, Appended> {
    return this.#each(call, (index, records) => this.#append(index, records));
  }

  /** What is refused is refused whenever it comes, unless it is there already. */
  #append(index: number, records: Uint8Array): Appended {
    const log = this.logs[index]!;
    const content = values(read(Buffer.from(records))).join();
    if (this.#refused.has(`t:${index}=${content}`) && !log.values.includes(content))
      return { errorCode: ErrorCodes.MESSAGE_TOO_LARGE, baseOffset: -1 };
    return log.append(records);
  }

  #each(call: Call, append: (index: number, records: Uint8Array) => Appended): Map<number, Appended> {
    const { partitions } = call.request.topics[0]!;
    return new Map(partitions.map(({ index, records }) => [index, append(index, records)]));
  }

  async #answerFirst(append: (index: number, records: Uint8Array) => Appended): Promise<void> {
    const call = this.t.calls.shift();
    if (call !== undefined) await call.answer(Object.fromEntries(this.#each(call, append)));
  }

  async #cut(): Promise<void> {
    for (const call of this.t.calls.splice(0)) await call.fail();
  }
}

function check({ t, logs, produced }: World): void {
  const settled = new Map<number, string>();
  for (const told of t.events) {
    const [, what, id, offset] = /^(delivered|failed) (\d+)(?:@(-?\d+))?/.exec(told)!;
    assert.ok(!settled.has(Number(id)), `${told}, and before: ${settled.get(Number(id))}`);
    settled.set(Number(id), told);
    const { value, index } = produced[Number(id) - 1]!;
    if (what !== "delivered") continue;
    if (Number(offset) >= 0) assert.equal(logs[index]!.values[Number(offset)], value, told);
    else assert.ok(logs[index]!.values.includes(value), told);
  }
  for (const { values } of logs) {
    const numbers = values.map((value) => Number(value.slice(1)));
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].toSorted((a, b) => a - b),
      "once each, in order",
    );
  }
}

test("whatever becomes of requests, what is delivered is there once, and in order; and everything settles", async () => {
  await fc.assert(
    fc.asyncProperty(timeout, fc.array(event, { maxLength: 100, size: "max" }), async (timeoutMs, events) => {
      const world = new World(timeoutMs);
      for (const each of events) await world.happen(each);
      await world.settleAll();
      for (const call of world.late.splice(0)) {
        for (const { index, records } of call.request.topics[0]!.partitions)
          world.logs[index]!.append(records);
      }
      check(world);
      world.t.sender.close();
    }),
    { numRuns: 300 },
  );
});
