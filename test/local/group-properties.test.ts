import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Group, type Member, type RebalanceMode } from "../../src/local/group.ts";
import { silentLogger } from "../../src/logger.ts";
import type { Partition } from "../../src/message/partition.ts";
import { MockClock } from "../../src/testing/mock-clock.ts";

const COUNTS = new Map([
  ["a", 5],
  ["b", 3],
]);
const MAX_POLL_MS = 1_000;

/** A member that polls when it is told to, and believes what it is told. */
class FakeMember {
  readonly group: Group;
  /** What it has, as far as it knows. */
  readonly has: Set<Partition> = new Set();
  readonly topics: readonly string[];
  #queue: ({ readonly assigned: Set<Partition> } | { readonly released: () => void })[] = [];
  member: Member | undefined;

  constructor(group: Group, mode: RebalanceMode, topics: readonly string[]) {
    this.group = group;
    this.topics = topics;
    this.member = group.join({
      mode,
      maxPollIntervalMs: MAX_POLL_MS,
      topics: () => topics,
      events: {
        assigned: (partitions) => void this.#queue.push({ assigned: new Set(partitions) }),
        withdraw: (partitions) =>
          this.#queue.flatMap((due) =>
            "assigned" in due ? partitions.filter((partition) => due.assigned.delete(partition)) : [],
          ),
        revoke: (partitions, _handOverAtMs, released) => {
          const done = (): void => {
            for (const partition of partitions) this.has.delete(partition);
            released();
          };
          this.#queue.push({ released: done });
        },
        lost: (partitions) => {
          for (const partition of partitions)
            assert.ok(this.has.delete(partition), `${partition} was not ours`);
          this.member = undefined;
        },
        left: () => (this.member = undefined),
      },
    });
  }

  /** Does the first thing that is due; returns whether there was any. */
  poll(): boolean {
    const due = this.#queue.shift();
    if (due === undefined) return false;
    if ("released" in due) due.released();
    else for (const partition of due.assigned) this.has.add(partition);
    return true;
  }
}

const steps = fc.array(
  fc.oneof(
    fc.record({ what: fc.constant("join" as const), topics: fc.subarray(["a", "b"], { minLength: 1 }) }),
    fc.record({
      what: fc.constantFrom("poll" as const, "leave" as const, "close" as const, "expel" as const),
      member: fc.nat(),
    }),
    fc.record({ what: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 700 }) }),
    // Mostly, members poll.
    fc.record({ what: fc.constant("poll" as const), member: fc.nat() }),
  ),
  { maxLength: 80, size: "max" },
);

for (const mode of ["eager", "incremental"] as const) {
  test(`${mode}: whatever members do, no partition has two owners, and in the end all are shared out evenly`, () => {
    fc.assert(
      fc.property(steps, (script) => {
        const clock = new MockClock();
        const group = new Group({ id: "group", clock, logger: silentLogger, counts: () => COUNTS });
        const all: FakeMember[] = [];
        const alive = (): FakeMember[] => all.filter(({ member }) => member !== undefined);
        const check = (): void => {
          const owners = all.flatMap(({ has }) => [...has]);
          assert.equal(new Set(owners).size, owners.length, "two owners");
        };
        for (const step of script) {
          if (step.what === "join") all.push(new FakeMember(group, mode, step.topics));
          else if (step.what === "wait") clock.advance(step.ms);
          else {
            const members = alive();
            const chosen = members[step.member % members.length];
            if (chosen?.member === undefined) continue;
            if (step.what === "poll") chosen.poll();
            else if (step.what === "leave") group.leave(chosen.member);
            else if (step.what === "expel") group.expel(chosen.member, "the test says so");
            else {
              group.remove(chosen.member);
              chosen.member = undefined;
              chosen.has.clear();
            }
          }
          check();
        }
        // Everybody polls until there is nothing to do any more.
        while (alive().some((member) => member.poll())) check();
        for (const [topic, count] of COUNTS) {
          const takers = alive().filter(({ topics }) => topics.includes(topic));
          const shares = takers.map(
            ({ has }) => [...has].filter((partition) => partition.topic.name === topic).length,
          );
          if (takers.length === 0) continue;
          assert.equal(
            shares.reduce((sum, share) => sum + share),
            count,
            `${topic} is shared out`,
          );
          assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, `${topic}: ${shares.join(" ")}`);
        }
        assert.equal(clock.pendingTimers, 0, "no deadline is left");
      }),
      { numRuns: 1_000 },
    );
  });
}
