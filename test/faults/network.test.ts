import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { handledIn } from "../kafka/e2e/journal.ts";
import { Scratch } from "../kafka/e2e/member-process.ts";
import { kafkaTest } from "../kafka/kafka-test.ts";
import { ApiKeys, KafkaProxy, type Passing, type Verdict } from "../kafka/proxy.ts";
import { PROTOCOLS, Scene, type Protocol } from "./scene.ts";

const CATCH_UP_MS = 90_000;
const STALL_MS = 3_000;

/** A record of the scene: its key, the length of its value, and the value. */
const RECORD = /k\d{1,2}\D(\d+)/;

/** Changes the last digit of a value; says whether there was one. */
function damage(payload: Buffer): boolean {
  const found = RECORD.exec(payload.toString("latin1"));
  if (found === null) return false;
  payload[found.index + found[0].length - 1]! ^= 1;
  return true;
}

/** Treats so many of each kind of frame as told, and lets the rest pass. */
function some(
  proxy: KafkaProxy,
  times: number,
  wanted: readonly (readonly [api: number, direction: Passing["direction"]])[],
  treat: (payload: Buffer) => Verdict | undefined,
): { readonly left: () => readonly string[] } {
  const left = new Map(wanted.map(([api, direction]) => [`${direction} ${api}`, times]));
  proxy.intercept = ({ api, direction, payload }) => {
    const kind = `${direction} ${api}`;
    const count = left.get(kind) ?? 0;
    const verdict = count === 0 ? undefined : treat(payload);
    if (verdict === undefined) return "pass";
    left.set(kind, count - 1);
    return verdict;
  };
  return {
    left: () => [...left].filter(([, count]) => count > 0).map(([kind, count]) => `${kind}: ${count}`),
  };
}

kafkaTest(
  "a bad network: delays, a stall, answers cut in the middle, damaged records; under each group protocol every message " +
    "is handled as it was written, none is there twice, and no commit goes back",
  async (kafka, t) => {
    const topic = await kafka.createTopic({ partitions: 3 });
    await using proxy = await KafkaProxy.start(kafka.bootstrapServers);
    using scratch = new Scratch();
    await using scene = new Scene({
      kafka,
      servers: proxy.bootstrapServers,
      topic,
      protocols: Object.keys(PROTOCOLS) as Protocol[],
      scratch,
      rate: 300,
    });
    const goOn = async (what: string): Promise<void> => {
      await scene.progress(100);
      await scene.caughtUp(CATCH_UP_MS);
      t.diagnostic(`${what}: gone on after ${Math.round(performance.now() / 1_000)} s`);
    };
    /** Until all that was to happen has. */
    const over = async (happening: { readonly left: () => readonly string[] }): Promise<void> => {
      const untilMs = performance.now() + CATCH_UP_MS;
      while (happening.left().length > 0 && performance.now() < untilMs) await scene.progress(1);
      assert.deepEqual(happening.left(), []);
    };
    for (const group of scene.groups) group.join();
    await goOn("start");

    proxy.delayMs = 250;
    await goOn("delayed");
    proxy.delayMs = 0;

    proxy.stall();
    await wait(STALL_MS);
    proxy.resume();
    await goOn("stalled");

    const cuts = some(
      proxy,
      2,
      [
        [ApiKeys.PRODUCE, "request"],
        [ApiKeys.PRODUCE, "answer"],
        [ApiKeys.FETCH, "answer"],
        [ApiKeys.OFFSET_COMMIT, "request"],
        [ApiKeys.OFFSET_COMMIT, "answer"],
        [ApiKeys.HEARTBEAT, "answer"],
        [ApiKeys.CONSUMER_GROUP_HEARTBEAT, "answer"],
      ],
      () => "cut inside",
    );
    await over(cuts);
    await goOn("cut");

    // The third time in a row would be the end of a consumer.
    const damaged = some(
      proxy,
      2,
      [
        [ApiKeys.PRODUCE, "request"],
        [ApiKeys.FETCH, "answer"],
      ],
      (payload) => (damage(payload) ? "pass" : undefined),
    );
    await over(damaged);
    await goOn("damaged");

    await scene.stopProducing();
    await scene.caughtUp(CATCH_UP_MS);
    assert.deepEqual(scene.undelivered, []);
    const values = Array.from({ length: scene.acknowledged.count }, (_, value) => String(value));
    for (const group of scene.groups) {
      for (const member of [...group.members]) await group.part(member, "SIGTERM");
      const { lost, again, isExcused, complaints } = group.verdict(scene.acknowledged);
      assert.deepEqual(complaints, [], group.name);
      assert.equal(lost, 0, group.name);
      assert.ok(again === 0 || isExcused, `${group.name}: ${again} again`);
      const handled = new Map<string, string>();
      for (const { partition, offset, value } of handledIn(scratch.file(`${group.name}-0`))) {
        const at = `${partition}@${offset}`;
        assert.equal(handled.get(at) ?? value, value, `${group.name} at ${at}`);
        handled.set(at, value);
      }
      const seen = [...handled.values()].toSorted((one, other) => Number(one) - Number(other));
      assert.deepEqual(seen, values, group.name);
    }
  },
  { timeout: 400_000 },
);
