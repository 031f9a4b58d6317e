import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { Journal } from "../kafka/e2e/journal.ts";
import { Scratch } from "../kafka/e2e/member-process.ts";
import { Acknowledged } from "./acknowledged.ts";
import { Judge, type Verdict } from "./judge.ts";

/** A group with one partition, and members that write what the test tells them to. */
class Court implements Disposable {
  readonly judge = new Judge();
  readonly #scratch = new Scratch();
  readonly #journals: Journal[] = [];

  member(name: string): { readonly path: string; readonly journal: Journal } {
    const path = this.#scratch.file(name);
    const journal = new Journal(path);
    this.#journals.push(journal);
    this.judge.add(path);
    return { path, journal };
  }

  verdict(acknowledged: number): Verdict {
    const all = new Acknowledged();
    for (let offset = 0; offset < acknowledged; offset++) all.add(0, offset);
    return this.judge.verdict(all);
  }

  [Symbol.dispose](): void {
    for (const journal of this.#journals) journal[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
  }
}

const at = (offset: number): Map<number, number> => new Map([[0, offset]]);

function handle(journal: Journal, from: number, to: number): void {
  for (let offset = from; offset < to; offset++) journal.handled({ partition: 0, offset, value: "x" });
}

/** Journals have times of a millisecond. */
const tick = (): Promise<void> => wait(2);

test("a hand-over in good order is no fault", async () => {
  using court = new Court();
  const one = court.member("one");
  const other = court.member("other");
  one.journal.assigned({ offsets: at(0) });
  handle(one.journal, 0, 5);
  one.journal.committed({ offsets: at(5) });
  one.journal.revoked({ partitions: [0] });
  court.judge.observe(at(5));
  await tick();
  other.journal.assigned({ offsets: at(5) });
  handle(other.journal, 5, 8);
  assert.deepEqual(court.verdict(8), {
    ...{ handled: 8, again: 0, lost: 0, examples: [], isExcused: false, complaints: [] },
  });
});

test("what was never handled is lost", () => {
  using court = new Court();
  const { journal } = court.member("one");
  journal.assigned({ offsets: at(0) });
  handle(journal, 0, 3);
  const { lost, examples } = court.verdict(5);
  assert.deepEqual([lost, examples], [2, ["0@3", "0@4"]]);
});

test("a gap in a sequence is a fault, even if another member fills it", async () => {
  using court = new Court();
  const { journal } = court.member("one");
  journal.assigned({ offsets: at(0) });
  handle(journal, 0, 2);
  handle(journal, 3, 4);
  await tick();
  const other = court.member("other");
  other.journal.assigned({ offsets: at(2) });
  handle(other.journal, 2, 4);
  assert.match(court.verdict(4).complaints.join(), /one handled 0@3 where 2 was to come/);
});

for (const [how, isExcused] of [
  ["handed over in good order", false],
  ["lost", true],
  ["killed", true],
  ["drained too late", true],
] as const) {
  test(`a sequence that goes back after the member before was ${how} is ${isExcused ? "no" : "a"} fault`, async () => {
    using court = new Court();
    const one = court.member("one");
    one.journal.assigned({ offsets: at(0) });
    handle(one.journal, 0, 5);
    if (how === "killed") court.judge.killed(one.path);
    if (how === "drained too late") one.journal.late();
    if (how === "lost") one.journal.lost({ partitions: [0] });
    else if (how !== "killed") one.journal.revoked({ partitions: [0] });
    await tick();
    const other = court.member("other");
    other.journal.assigned({ offsets: at(3) });
    handle(other.journal, 3, 6);
    const { again, complaints } = court.verdict(6);
    assert.equal(again, 2);
    assert.equal(complaints.length, isExcused ? 0 : 1);
    if (!isExcused) assert.match(complaints[0] ?? "", /went back from 5 .*one\) to 3/);
  });
}

test("a sequence that begins before the committed offset is a fault, whatever happened before", async () => {
  using court = new Court();
  const one = court.member("one");
  one.journal.assigned({ offsets: at(0) });
  handle(one.journal, 0, 5);
  court.judge.observe(at(4));
  one.journal.lost({ partitions: [0] });
  await tick();
  const other = court.member("other");
  other.journal.assigned({ offsets: at(3) });
  assert.match(court.verdict(5).complaints.join(), /other began partition 0 at 3, though 4 was committed/);
});

test("a member may not go back by itself, but when its chain was late", async () => {
  for (const isLate of [false, true]) {
    using court = new Court();
    const { journal } = court.member("one");
    journal.assigned({ offsets: at(0) });
    handle(journal, 0, 5);
    if (isLate) journal.late();
    await tick();
    handle(journal, 3, 6);
    assert.equal(court.verdict(6).complaints.length > 0, !isLate);
  }
});

test("a commit that goes back, and one that is ahead of what was handled, are faults", () => {
  using court = new Court();
  const { journal } = court.member("one");
  journal.assigned({ offsets: at(0) });
  handle(journal, 0, 5);
  court.judge.observe(at(5));
  assert.deepEqual(court.judge.complaints, []);
  court.judge.observe(at(4));
  assert.match(court.judge.complaints.join(), /went back from 5 to 4/);
  court.judge.observe(at(6));
  assert.match(court.judge.complaints.join(), /is at 6, but only what is before 5 was handled/);
});

test("a member that handles what it has lost is at fault", () => {
  using court = new Court();
  const { journal } = court.member("one");
  journal.assigned({ offsets: at(0) });
  handle(journal, 0, 2);
  journal.lost({ partitions: [0] });
  handle(journal, 2, 3);
  assert.match(court.verdict(3).complaints.join(), /handled 0@2, which it does not have/);
});

test("a member that was frozen commits nothing that others have when it wakes up, until it has joined again", async () => {
  using court = new Court();
  const { path, journal } = court.member("one");
  journal.assigned({ offsets: at(0) });
  handle(journal, 0, 9);
  await tick();
  const other = court.member("other");
  other.journal.assigned({ offsets: at(4) });
  court.judge.observe(at(4));
  court.judge.wakes(path);
  // Was acknowledged while it was frozen.
  journal.committed({ offsets: at(4) });
  assert.deepEqual(court.verdict(9).complaints, []);
  journal.committed({ offsets: at(6) });
  assert.match(court.verdict(9).complaints.join(), /committed 0@6 when it woke up/);
  journal.lost({ partitions: [0] });
  await tick();
  journal.assigned({ offsets: at(6) });
  journal.committed({ offsets: at(9) });
  assert.equal(court.verdict(9).complaints.length, 1);
});

test("a member that was frozen and not put out commits what it likes when it wakes up", () => {
  using court = new Court();
  const { path, journal } = court.member("one");
  journal.assigned({ offsets: at(0) });
  handle(journal, 0, 9);
  court.judge.observe(at(4));
  court.judge.wakes(path);
  journal.committed({ offsets: at(9) });
  assert.deepEqual(court.verdict(9).complaints, []);
});
