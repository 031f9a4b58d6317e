import assert from "node:assert/strict";
import { InvalidMessage, MESSAGE_REJECTED } from "../errors.ts";
import { Partition } from "../message/partition.ts";
import { atEachOffer, type Case, LONG_MS, MIXED, type Start, VALID } from "./contract-run.ts";

const ELSEWHERE = Partition.of("contract", 7);

/** What every strategy must do when the next step throws. */
export function troubleCases<T>(start: Start<T>): Case[] {
  const cases: Case[] = [];
  for (const needsCommit of [true, false]) {
    const who = needsCommit ? "leaves its commit to others" : "sees to its commit itself";
    cases.push([
      `reports a message once that the next step finds invalid (and ${who}), at any moment, and loses no other`,
      () =>
        atEachOffer(start, async (run, at) => {
          run.next.onOffer = (message, count) => {
            const error = count === at ? run.ledger.invalidIn(message, needsCommit) : undefined;
            if (error !== undefined) throw error;
          };
          await run.through(MIXED);
        }),
    ]);
  }
  return [
    ...cases,
    [
      "lets an InvalidMessage about an earlier message through once, at any moment, and loses nothing",
      () =>
        atEachOffer(start, async (run, at) => {
          run.next.onOffer = (_message, count) => {
            if (count === at) throw earlier();
          };
          await run.through(MIXED);
          assert.equal(run.driver.reported.length, run.next.offers > at ? 1 : 0, "reports");
        }),
    ],
    [
      "lets an InvalidMessage from the next step's poll and join through once, and loses nothing",
      async () => {
        const run = start();
        if (!run.hasNext) return;
        let thrown = 0;
        run.next.onPoll = () => {
          if (thrown++ % 3 === 0) throw earlier();
        };
        run.next.onJoin = () => {
          if (run.next.calls.filter((call) => call === "join").length < 3) throw earlier();
        };
        run.driver.poll();
        await run.submit(MIXED);
        run.driver.poll();
        await run.driver.finish();
        run.ledger.assertAllDone();
        assert.deepEqual(run.next.calls, ["close", "join", "join", "join"]);
        assert.equal(run.driver.reported.length, Math.ceil(thrown / 3) + 2, "reports");
      },
    ],
    [
      "surfaces an error of the next step as it is, at any moment, and hands nothing on after it",
      () =>
        atEachOffer(start, async (run, at) => {
          const failure = new Error("the next step failed");
          let outputs = Infinity;
          run.next.onOffer = (_message, count) => {
            if (count < at) return;
            outputs = Math.min(outputs, run.ledger.outputs);
            throw failure;
          };
          try {
            await run.through(MIXED);
          } catch (error) {
            if (error !== failure) throw error;
            await run.driver.advance(LONG_MS);
            assert.equal(run.ledger.outputs, outputs, "something went on after the error");
            if (run.hasNext)
              assert.equal(run.next.calls.at(-1), "terminate", "the next step was not terminated");
            return;
          }
          assert.ok(run.next.offers <= at, "the error did not surface");
        }),
    ],
    [
      "surfaces an error of the next step's poll and of its join as it is",
      async () => {
        const failure = new Error("the next step failed");
        const polled = start();
        if (!polled.hasNext) return;
        polled.next.onPoll = () => {
          throw failure;
        };
        assert.throws(() => polled.driver.poll(), failure);
        const joined = start();
        joined.next.onJoin = () => {
          throw failure;
        };
        await joined.submit(VALID);
        await assert.rejects(joined.driver.finish(), failure);
      },
    ],
    [
      "ends a join at its deadline when the next step rejects for ever, and commits nothing of what it holds",
      async () => {
        for (const afterMs of [0, LONG_MS]) {
          const run = start();
          await run.submit("v");
          const { outputs, committed } = run.ledger;
          run.next.onOffer = () => {
            throw MESSAGE_REJECTED;
          };
          await run.driver.finish(afterMs);
          assert.equal(run.ledger.outputs, outputs);
          assert.deepEqual(run.ledger.committed, committed);
          if (run.hasNext) assert.deepEqual(run.next.calls, ["close", "join"]);
        }
      },
    ],
  ];
}

function earlier(): InvalidMessage {
  return new InvalidMessage(ELSEWHERE, 3, { needsCommit: false });
}
