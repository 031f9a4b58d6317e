import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { InvalidMessage, MESSAGE_REJECTED, MessageRejected } from "../../src/errors.ts";
import { isFiltered, type Message, type Submitted } from "../../src/message/message.ts";
import { RunTask } from "../../src/strategies/run-task.ts";
import { RunTaskConcurrently } from "../../src/strategies/run-task-concurrently.ts";
import type { ProcessingStrategy } from "../../src/strategies/strategy.ts";
import {
  strategyContract,
  type ContractSubject,
  type StrategyContractOptions,
} from "../../src/testing/strategy-contract.ts";

type Strategy = ProcessingStrategy<number>;
type Make = (subject: ContractSubject<number>) => Strategy;

/** A strategy that is right but for what is replaced in it. */
function but(inner: Strategy, replaced: Partial<Strategy>): Strategy {
  return {
    name: "Faulty",
    next: inner.next,
    attach: (runtime) => inner.attach?.(runtime),
    submit: (message) => inner.submit(message),
    poll: () => inner.poll(),
    close: () => inner.close(),
    terminate: () => inner.terminate(),
    join: (deadline) => inner.join(deadline),
    ...replaced,
  };
}

const task: Make = ({ next, work }) =>
  new RunTask((message: Message<number>) => {
    work(message.payload);
    return message.payload;
  }, next);

const asyncTask: Make = ({ next, asyncWork }) =>
  new RunTaskConcurrently(
    async (message: Message<number>) => {
      await asyncWork(message.payload);
      return message.payload;
    },
    { concurrency: 2 },
    next,
  );

/** Nothing but what is said, so that what is wrong is plain to see. */
function plain({ next }: ContractSubject<number>, submit: Strategy["submit"]): Strategy {
  return but({ ...but(next, {}), next }, { submit, attach: () => {} });
}

async function failures(make: Make, options: StrategyContractOptions<number>): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of strategyContract(make, options)) {
    await run().catch(() => failed.push(name));
  }
  return failed;
}

const sync = { runsFunction: true };
const async = { runsFunction: true, isAsync: true };

describe("strategyContract", () => {
  const faults: readonly [
    what: string,
    caught: RegExp,
    make: Make,
    options: StrategyContractOptions<number>,
  ][] = [
    [
      "loses what the next step rejects",
      /rejects, at any moment/,
      (subject) =>
        plain(subject, (message) => {
          try {
            subject.next.submit(message);
          } catch (error) {
            if (!MessageRejected.is(error)) throw error;
          }
        }),
      {},
    ],
    [
      "runs its function again for a message that the next step rejected",
      /rejects, at any moment/,
      (subject) =>
        plain(subject, (message) => {
          if (!isFiltered(message)) subject.work(message.payload);
          subject.next.submit(message);
        }),
      sync,
    ],
    [
      "hands a message on twice",
      /once, in order/,
      (subject) => {
        let again = true;
        return plain(subject, (message) => {
          subject.next.submit(message);
          again = !again;
          if (again) subject.next.submit(message);
        });
      },
      {},
    ],
    [
      "drops a message but commits the next",
      /once, in order/,
      (subject) => {
        let n = 0;
        return plain(subject, (message) => {
          if (n++ !== 3) subject.next.submit(message);
        });
      },
      {},
    ],
    [
      "lets messages overtake one another",
      /once, in order/,
      (subject) => {
        let held: Submitted<number>[] = [];
        return plain(subject, (message) => {
          held.push(message);
          if (held.length < 3) return;
          const [a, b, c] = held as [Submitted<number>, Submitted<number>, Submitted<number>];
          held = [];
          for (const message of [c, b, a]) subject.next.submit(message);
        });
      },
      {},
    ],
    [
      "lets filtered messages overtake",
      /filtered messages pass in their turn/,
      (subject) => {
        const inner = asyncTask(subject);
        return but(inner, {
          submit: (message) => (isFiltered(message) ? subject.next.submit(message) : inner.submit(message)),
        });
      },
      async,
    ],
    [
      "runs its function for filtered messages",
      /filtered messages pass in their turn/,
      (subject) => {
        let last = 0;
        return plain(subject, (message) => {
          if (!isFiltered(message)) last = message.payload + 1;
          else subject.work(last);
          subject.next.submit(message);
        });
      },
      sync,
    ],
    [
      "keeps invalid messages to itself",
      /its function finds invalid/,
      (subject) => {
        const inner = task(subject);
        return but(inner, {
          submit: (message) => {
            try {
              inner.submit(message);
            } catch (error) {
              if (!InvalidMessage.is(error)) throw error;
            }
          },
        });
      },
      sync,
    ],
    [
      "reports an invalid message twice",
      /its function finds invalid/,
      (subject) => {
        const inner = task(subject);
        let known: InvalidMessage | undefined;
        return but(inner, {
          submit: (message) => {
            try {
              inner.submit(message);
            } catch (error) {
              if (InvalidMessage.is(error)) known = error;
              throw error;
            }
          },
          poll: () => {
            const again = known;
            known = undefined;
            if (again !== undefined) throw again;
            inner.poll();
          },
        });
      },
      sync,
    ],
    [
      "does not commit an invalid message whose commit it took over",
      /its function finds invalid/,
      (subject) =>
        plain(subject, (message) => {
          try {
            if (!isFiltered(message)) subject.work(message.payload);
          } catch (error) {
            if (InvalidMessage.is(error)) (error as { needsCommit: boolean }).needsCommit = false;
            throw error;
          }
          subject.next.submit(message);
        }),
      sync,
    ],
    [
      "loses a message when the next step speaks of an earlier one",
      /about an earlier message/,
      (subject) => {
        let known: InvalidMessage | undefined;
        return but(task(subject), {
          submit: (message) => {
            try {
              subject.next.submit(message);
            } catch (error) {
              if (!InvalidMessage.is(error)) throw error;
              known = error;
            }
          },
          poll: () => {
            const error = known;
            known = undefined;
            if (error !== undefined) throw error;
            subject.next.poll();
          },
        });
      },
      {},
    ],
    [
      "keeps an error of its function to itself",
      /an error of its function/,
      (subject) =>
        plain(subject, (message) => {
          try {
            if (!isFiltered(message)) subject.work(message.payload);
          } catch (error) {
            if (InvalidMessage.is(error)) throw error;
          }
          subject.next.submit(message);
        }),
      sync,
    ],
    [
      "keeps an error of the next step to itself",
      /an error of the next step as it is/,
      (subject) =>
        plain(subject, (message) => {
          try {
            subject.next.submit(message);
          } catch (error) {
            if (MessageRejected.is(error) || InvalidMessage.is(error)) throw error;
          }
        }),
      {},
    ],
    [
      "does not poll the next step",
      /polls the next step/,
      (subject) => but(task(subject), { poll: () => {} }),
      sync,
    ],
    [
      "hands on before its async work is done",
      /asks to be polled|does not end, commits nothing/,
      (subject) =>
        plain(subject, (message) => {
          if (!isFiltered(message)) subject.asyncWork(message.payload).catch(() => {});
          subject.next.submit(message);
        }),
      async,
    ],
    [
      "does not ask for a poll when its async work is done",
      /asks to be polled when/,
      (subject) => but(asyncTask(subject), { attach: () => {} }),
      async,
    ],
    [
      "ends a join only when everything is done, whatever the deadline",
      /at its deadline with async work/,
      (subject) => {
        const inner = asyncTask(subject);
        return but(inner, { join: () => inner.join(new AbortController().signal) });
      },
      async,
    ],
    [
      "ends a join without having finished",
      /once, in order/,
      (subject) => {
        const inner = asyncTask(subject);
        return but(inner, { join: () => inner.join(AbortSignal.abort()) });
      },
      async,
    ],
    [
      "does not close the next step",
      /closes and joins the next step/,
      ({ next }) => but({ ...but(next, {}), next }, { close: () => {}, join: async () => {} }),
      {},
    ],
    [
      "closes the next step again when it is joined again",
      /from the next step's poll and join/,
      ({ next }) => {
        const inner = task({ next, work: () => {}, asyncWork: async () => {} });
        return but(inner, {
          close: () => {},
          join: async (deadline) => {
            next.close();
            await next.join(deadline);
          },
        });
      },
      {},
    ],
    [
      "takes messages after it was closed",
      /refuses submit after close/,
      (subject) => plain(subject, () => {}),
      { handsOn: false },
    ],
    [
      "does not terminate the next step",
      /terminates the next step once/,
      (subject) => but(task(subject), { terminate: () => {} }),
      sync,
    ],
    [
      "hands on what it held after it was terminated",
      /nothing on after terminate/,
      (subject) => {
        const inner = task(subject);
        let clock: { setTimeout(callback: () => void, ms: number): unknown } | undefined;
        return but(inner, {
          attach: (runtime) => (clock = runtime.clock),
          submit: (message) => {
            clock?.setTimeout(() => subject.next.submit(message), 1_000);
            throw MESSAGE_REJECTED;
          },
        });
      },
      {},
    ],
  ];

  for (const [what, caught, make, options] of faults) {
    it(`finds a strategy that ${what}`, async () => {
      const failed = await failures(make, options);
      assert.ok(
        failed.some((name) => caught.test(name)),
        `failed only: ${failed.join("; ")}`,
      );
    });
  }

  it("finds a strategy that leaves a rejected promise to nobody", () => {
    // In a process of its own: this runner would take the rejection for one of its own tests.
    const script = `
      const { strategyContract } = await import(${JSON.stringify(new URL("../../src/testing/strategy-contract.ts", import.meta.url).href)});
      const { Noop } = await import(${JSON.stringify(new URL("../../src/strategies/noop.ts", import.meta.url).href)});
      const [{ run }] = strategyContract(() => {
        void Promise.reject(new Error("nobody's"));
        return new Noop();
      });
      await run().then(() => process.exit(1), (error) => console.log(error.message));
    `;
    const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      encoding: "utf8",
    });
    assert.equal(status, 0);
    assert.match(stdout, /promises were rejected that nobody looks after/);
  });

  it("has nothing to say against one that is right", async () => {
    assert.deepEqual(await failures(task, sync), []);
    assert.deepEqual(await failures(asyncTask, async), []);
  });

  it("says what went wrong, and where", async () => {
    const [first] = strategyContract<number>((subject) =>
      plain(subject, (message) => {
        if (message.payload !== 4) subject.next.submit(message);
      }),
    ).filter(({ name }) => name.includes("once, in order"));
    await assert.rejects(first!.run(), /contract:0 was committed up to 14 before message 4 was done/);
  });
});
