import assert from "node:assert/strict";
import { MESSAGE_REJECTED } from "../errors.ts";
import { atEachOffer, type Case, MIXED, type Start, VALID } from "./contract-run.ts";

/** What every strategy must do with messages, whatever the next step rejects. */
export function deliveryCases<T>(start: Start<T>): Case[] {
  return [
    [
      "hands each message on once, in order per partition, and commits what is done",
      async () => {
        await start().through(VALID);
        await start({ pollsOften: true }).through(VALID);
      },
    ],
    [
      "lets filtered messages pass in their turn, and commits them",
      async () => {
        for (const kinds of [MIXED, "ffff", "fv", "vf"]) {
          await start().through(kinds);
          await start({ pollsOften: true }).through(kinds);
        }
      },
    ],
    [
      "loses, reorders and repeats nothing when the next step rejects, at any moment",
      async () => {
        for (const rejections of [1, 3]) {
          await atEachOffer(start, async (run, at) => {
            run.next.onOffer = (_message, count) => {
              if (count >= at && count < at + rejections) throw MESSAGE_REJECTED;
            };
            await run.through(MIXED);
          });
        }
      },
    ],
    [
      "loses, reorders and repeats nothing when the next step rejects every message at first",
      async () => {
        const run = start();
        const seen = new Set<unknown>();
        run.next.onOffer = (message) => {
          const key = JSON.stringify([...message.committable.values(), typeof message.payload]);
          if (seen.has(key)) return;
          seen.add(key);
          throw MESSAGE_REJECTED;
        };
        await run.through(MIXED);
      },
    ],
    [
      "loses nothing when the next step rejects only during the join",
      async () => {
        for (const rejections of [1, 5]) {
          const run = start();
          await run.submit(MIXED);
          let left = rejections;
          run.next.onOffer = () => {
            if (left-- > 0) throw MESSAGE_REJECTED;
          };
          await run.driver.finish();
          run.ledger.assertAllDone();
        }
      },
    ],
    [
      "polls the next step whenever it is polled, whether it holds something or not",
      async () => {
        const run = start();
        if (!run.hasNext) return;
        run.driver.poll();
        assert.ok(run.next.polls > 0, "the next step was not polled");
        run.next.onOffer = () => {
          throw MESSAGE_REJECTED;
        };
        await run.driver.submit([run.ledger.next(false)]).catch(() => {});
        const before = run.next.polls;
        run.driver.poll();
        assert.ok(run.next.polls > before, "the next step was not polled while it rejects");
      },
    ],
  ];
}
