import assert from "node:assert/strict";
import { InvalidStateError, MESSAGE_REJECTED } from "../errors.ts";
import { type Case, LONG_MS, type Start } from "./contract-run.ts";
import { turn } from "./strategy-driver.ts";

/** What every strategy must do from its first message to its end. */
export function lifecycleCases<T>(start: Start<T>): Case[] {
  const refused = (error: unknown): boolean => InvalidStateError.is(error);
  const never = (): AbortSignal => new AbortController().signal;
  return [
    [
      "closes and joins the next step once, and in this order, when it is closed and joined",
      async () => {
        const run = start();
        await run.driver.finish();
        if (run.hasNext) assert.deepEqual(run.next.calls, ["close", "join"]);
      },
    ],
    [
      "can be polled after close and during a join",
      async () => {
        const run = start();
        const held = Promise.withResolvers<void>();
        run.next.onJoin = () => held.promise;
        run.strategy.close();
        run.strategy.poll();
        const joined = run.strategy.join(never());
        if (run.hasNext) run.strategy.poll();
        held.resolve();
        await joined;
      },
    ],
    [
      "refuses submit after close, close after close, join before close and poll after join",
      async () => {
        const run = start();
        await assert.rejects(async () => run.strategy.join(never()), refused, "join before close");
        run.strategy.close();
        assert.throws(() => run.strategy.submit(run.ledger.next(false)), refused, "submit after close");
        assert.throws(() => run.strategy.submit(run.ledger.next(true)), refused, "submit after close");
        assert.throws(() => run.strategy.close(), refused, "close after close");
        await run.strategy.join(never());
        assert.throws(() => run.strategy.poll(), refused, "poll after join");
      },
    ],
    [
      "terminates the next step once, at any point of its life",
      async () => {
        for (const state of ["fresh", "polled", "closed", "joining"]) {
          const run = start();
          const held = Promise.withResolvers<void>();
          let joined: Promise<void> | undefined;
          run.next.onJoin = () => held.promise;
          if (state === "polled") run.strategy.poll();
          if (state === "closed" || state === "joining") run.strategy.close();
          if (state === "joining") joined = run.strategy.join(never());
          run.strategy.terminate();
          held.resolve();
          await joined;
          if (run.hasNext) {
            assert.equal(run.next.calls.filter((call) => call === "terminate").length, 1, state);
          }
        }
      },
    ],
    [
      "hands nothing on after terminate, whatever it holds",
      async () => {
        const run = start();
        run.next.onOffer = () => {
          throw MESSAGE_REJECTED;
        };
        await run.driver.submit([run.ledger.next(false)]).catch(() => {});
        run.next.onOffer = undefined;
        run.driver.terminate();
        const outputs = run.ledger.outputs;
        run.driver.clock.advance(LONG_MS);
        await turn();
        assert.equal(run.ledger.outputs, outputs);
      },
    ],
  ];
}
