import assert from "node:assert/strict";
import { MESSAGE_REJECTED } from "../errors.ts";
import { type Case, LONG_MS, MIXED, type Start, VALID } from "./contract-run.ts";
import { turn } from "./strategy-driver.ts";

/** What a strategy must do about what its function throws. */
export function functionCases<T>(start: Start<T>): Case[] {
  return [
    [
      "reports a message once that its function finds invalid, at any moment, and commits it in its turn",
      async () => {
        for (const pollsOften of [false, true]) {
          for (let bad = 0; bad < VALID.length; bad++) {
            const run = start({ pollsOften });
            run.onWork = (n) => {
              if (n === bad) throw run.ledger.invalid(n);
            };
            await run.through(VALID);
            assert.deepEqual(run.ledger.reported, [bad]);
          }
        }
      },
    ],
    [
      "reports all of them in order when its function finds every message invalid, whatever the next step rejects",
      async () => {
        for (const rejections of [0, 1, 4]) {
          const run = start();
          run.onWork = (n) => {
            throw run.ledger.invalid(n);
          };
          run.next.onOffer = (_message, count) => {
            if (count % 5 < rejections) throw MESSAGE_REJECTED;
          };
          await run.through(VALID);
          const perPartition = [0, 1].map((p) => run.ledger.reported.filter((n) => n % 2 === p));
          assert.deepEqual(perPartition, [
            [0, 2, 4, 6, 8, 10],
            [1, 3, 5, 7, 9, 11],
          ]);
        }
      },
    ],
    [
      "surfaces an error of its function as it is, at any moment, and hands on nothing from that message on",
      async () => {
        for (let bad = 0; bad < VALID.length; bad++) {
          const run = start();
          const failure = new Error("the function failed");
          run.onWork = (n) => {
            if (n === bad) throw failure;
          };
          await assert.rejects(run.through(VALID), (error) => error === failure);
          await run.driver.advance(LONG_MS);
          for (let n = bad; n < run.ledger.size; n++) if (n % 2 === bad % 2) run.ledger.assertNotDone(n);
        }
      },
    ],
  ];
}

/** What a strategy must do about work that it waits for. */
export function asyncCases<T>(start: Start<T>): Case[] {
  return [
    [
      "hands on in order, whatever the order in which its async work ends",
      async () => {
        const run = start();
        let turns = 5;
        run.waitFor = async () => {
          for (let left = turns--; left > 0; left--) await turn();
          if (turns === 0) turns = 5;
        };
        await run.through(MIXED);
      },
    ],
    [
      "asks to be polled when its async work is done, and hands on what that brings",
      async () => {
        const run = start();
        let end = (): void => {};
        run.waitFor = () => new Promise((resolve) => (end = resolve));
        await run.submit("v");
        end();
        await run.driver.advance(LONG_MS);
        run.ledger.assertAllDone();
      },
    ],
    [
      "ends a join at its deadline with async work that does not end, commits nothing of it, and drops it if it does",
      async () => {
        for (const afterMs of [0, LONG_MS]) {
          const run = start();
          const ends: (() => void)[] = [];
          run.waitFor = () => new Promise((resolve) => ends.push(resolve));
          await run.submit("v");
          await run.driver.finish(afterMs);
          run.ledger.assertNotDone(0);
          assert.deepEqual(run.next.calls, ["close", "join"]);
          for (const end of ends) end();
          await run.driver.advance(0);
          run.ledger.assertNotDone(0);
        }
      },
    ],
    [
      "drops what async work comes to after terminate, in the middle of a join too, and ends that",
      async () => {
        for (const joins of [false, true]) {
          const run = start();
          const ends: (() => void)[] = [];
          run.waitFor = () => new Promise((resolve) => ends.push(resolve));
          await run.submit("v");
          let joined: Promise<void> | undefined;
          if (joins) {
            run.strategy.close();
            joined = run.strategy.join(new AbortController().signal);
            await turn();
          }
          run.strategy.terminate();
          await joined;
          for (const end of ends) end();
          await turn();
          run.ledger.assertNotDone(0);
          assert.deepEqual(run.next.calls, ["terminate"]);
        }
      },
    ],
  ];
}
