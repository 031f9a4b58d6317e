import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { StrategyDriver, turn } from "../../src/testing/strategy-driver.ts";
import { chain, sensible, type StepSpec } from "./chain.ts";
import { End, type Incoming, Life, SinkFailure, type Trouble, World } from "./world.ts";

const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 300);

const steps: fc.Arbitrary<readonly StepSpec[]> = fc
  .array(
    fc.oneof(
      fc.record({
        step: fc.constantFrom("task" as const, "guarded" as const, "unfold" as const, "unbatch" as const),
      }),
      fc.record({
        step: fc.constant("filter" as const),
        everyNth: fc.integer({ min: 1, max: 4 }),
        immediate: fc.boolean(),
      }),
      fc.record({
        step: fc.constant("concurrently" as const),
        concurrency: fc.integer({ min: 1, max: 4 }),
        maxPending: fc.integer({ min: 0, max: 4 }),
        keyed: fc.boolean(),
      }),
      fc.record({ step: fc.constant("produce" as const), maxBufferSize: fc.integer({ min: 1, max: 5 }) }),
      fc.record({
        step: fc.constantFrom("batch" as const, "reduce" as const),
        maxBatchSize: fc.integer({ min: 1, max: 4 }),
        maxBatchTimeMs: fc.integer({ min: 0, max: 30 }),
      }),
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map(sensible);

function incoming(invalid: boolean): fc.Arbitrary<readonly Incoming[]> {
  return fc.array(
    fc.record({
      partition: fc.constantFrom("a", "b", "c"),
      kind: fc.constantFrom("valid", "valid", "valid", "filtered"),
      invalidAt: invalid
        ? fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined })
        : fc.constant(undefined),
    }),
    { maxLength: 30 },
  );
}

const offers: fc.Arbitrary<ReadonlySet<number>> = fc
  .array(fc.integer({ min: 0, max: 60 }), { maxLength: 15 })
  .map((numbers) => new Set(numbers));
const none: fc.Arbitrary<ReadonlySet<number>> = fc.constant(new Set<number>());

function trouble(kinds: { invalid?: boolean; failed?: boolean }): fc.Arbitrary<Trouble> {
  return fc.record({
    rejected: offers,
    invalid: kinds.invalid ? offers : none,
    failed: kinds.failed ? offers.map((numbers) => new Set([...numbers].slice(0, 2))) : none,
  });
}

const delays = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 8 });

interface Plan {
  readonly steps: readonly StepSpec[];
  readonly incoming: readonly Incoming[];
  readonly trouble: Trouble;
  readonly delays: readonly number[];
  readonly pollsOften: boolean;
  /** When the partitions go, after so many messages of a life; and how that goes. */
  readonly revocations: readonly {
    readonly after: number;
    readonly how: "drained" | "cut short" | "at once" | "lost";
  }[];
}

function plan(parts: {
  incoming: fc.Arbitrary<readonly Incoming[]>;
  trouble: fc.Arbitrary<Trouble>;
  revocations?: fc.Arbitrary<Plan["revocations"]>;
}): fc.Arbitrary<Plan> {
  return fc.record({
    steps,
    delays,
    pollsOften: fc.boolean(),
    incoming: parts.incoming,
    trouble: parts.trouble,
    revocations: parts.revocations ?? fc.constant([]),
  });
}

/** Runs a chain on all messages, with a new one from the first that is not committed after each end. */
async function run(plan: Plan): Promise<{ world: World; lives: number }> {
  const world = new World(plan.incoming, plan.trouble);
  let delayed = 0;
  const nextDelay = (): number => plan.delays[delayed++ % plan.delays.length]!;
  const revocations = [...plan.revocations];
  for (let lives = 1; ; lives++) {
    const life = new Life(world);
    const head = chain(plan.steps, new End(world, life), life, nextDelay);
    const driver = new StrategyDriver(head, { pollsOften: plan.pollsOften });
    driver.onReported = (error) => life.reported(error);
    const revocation = revocations.shift();
    const messages = world.uncommitted.slice(0, revocation?.after).map(({ message }) => message);
    try {
      await driver.submit(messages);
      if (revocation?.how === "lost") driver.terminate();
      else await driver.finish({ "cut short": 3, "at once": 0 }[revocation?.how as "at once"]);
    } catch (error) {
      // As a service that is started again.
      if (!(error instanceof SinkFailure)) throw error;
    }
    assert.deepEqual(world.complaints, []);
    if (revocation?.how === "drained") {
      const left = world.uncommitted.filter(({ message }) => messages.includes(message));
      assert.deepEqual(
        left.map(({ id }) => id),
        [],
        "drained, but not committed",
      );
    }
    // What was abandoned ends too, some time.
    for (let left = 0; left < 8; left++) await turn();
    assert.deepEqual(world.complaints, []);
    if (revocation === undefined && world.uncommitted.length === 0) return { world, lives };
    assert.ok(lives < 40, "does not get on: something is never committed");
  }
}

function holds(
  plans: fc.Arbitrary<Plan>,
  also?: (result: { world: World; lives: number }) => void,
): Promise<void> {
  return fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      const result = await run(plan);
      for (const { done, id } of result.world.known) assert.ok(done, `${id} came to no end`);
      also?.(result);
    }),
    { numRuns: RUNS },
  );
}

describe("any chain of strategies", () => {
  // In one life, each message comes to exactly one end: World and Life complain otherwise.
  const inOneLife = ({ lives }: { lives: number }): void => assert.equal(lives, 1);

  it("brings each message to one end, in order, and commits it then, whatever is rejected", async () => {
    await holds(plan({ incoming: incoming(false), trouble: trouble({}) }), inOneLife);
  });

  it("does so when its functions find messages invalid", async () => {
    await holds(plan({ incoming: incoming(true), trouble: trouble({}) }), inOneLife);
  });

  it("does so when the step behind it finds messages invalid", async () => {
    await holds(plan({ incoming: incoming(true), trouble: trouble({ invalid: true }) }), inOneLife);
  });

  it("loses nothing when it fails and is started again", async () => {
    await holds(plan({ incoming: incoming(true), trouble: trouble({ failed: true }) }));
  });

  it("loses nothing when its partitions are revoked, drained in time or not, or lost", async () => {
    const revocations = fc.array(
      fc.record({
        after: fc.integer({ min: 0, max: 20 }),
        how: fc.constantFrom("drained" as const, "cut short" as const, "at once" as const, "lost" as const),
      }),
      { maxLength: 4 },
    );
    await holds(plan({ incoming: incoming(true), trouble: trouble({ invalid: true }), revocations }));
  });

  it("handles nothing twice when its partitions are revoked and drained in time", async () => {
    const revocations = fc.array(
      fc.record({ after: fc.integer({ min: 0, max: 20 }), how: fc.constant("drained" as const) }),
      { maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(
        plan({ incoming: incoming(true), trouble: trouble({}), revocations }),
        async (plan) => {
          const { lives } = await run(plan);
          assert.ok(lives <= plan.revocations.length + 1, `${lives} lives`);
        },
      ),
      { numRuns: RUNS },
    );
  });
});
