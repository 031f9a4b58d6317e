import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { kafkaTest } from "../kafka-test.ts";
import { assertNothingLost, handledAgain } from "./judge.ts";
import { Scratch } from "./member-process.ts";
import { INCREMENTAL, Scene } from "./scene.ts";

/** Nobody is to be put out here, however slow the machine is. */
function patient(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return "session.timeout.ms" in config ? { ...config, "session.timeout.ms": 30_000 } : config;
}

for (const [protocol, config] of Object.entries(INCREMENTAL)) {
  kafkaTest(
    `${protocol}: members that join and leave in the middle of work: each message is handled once, and none is lost`,
    async (kafka) => {
      using scratch = new Scratch();
      const count = 2_400;
      const scene = await Scene.of(kafka, scratch, count, patient(config));
      await using first = scene.member("first");
      await first.says(/^assigned \d(,\d){5}$/);
      await scene.until(300);
      await using second = scene.member("second");
      await second.says(/^assigned/);
      await using third = scene.member("third");
      await third.says(/^assigned/);
      await scene.until(1_500);
      second.child.kill("SIGTERM");
      assert.equal(await second.ends(), 0, second.stderr);
      await scene.until(count);
      for (const member of [first, third]) {
        member.child.kill("SIGTERM");
        assert.equal(await member.ends(), 0, member.stderr);
        assert.equal(member.count(/metric arroyo\.consumer\.kafka\.lost/), 0);
      }
      assertNothingLost(scene.handled, await scene.ends());
      assert.equal(handledAgain(scene.handled), 0);
    },
    { timeout: 150_000 },
  );

  kafkaTest(
    `${protocol}: a member that is frozen, and one that is killed: the others go on from what was committed`,
    async (kafka) => {
      using scratch = new Scratch();
      const count = 4_200;
      const scene = await Scene.of(kafka, scratch, count, config);
      await using first = scene.member("first");
      await first.says(/^assigned/);
      await using frozen = scene.member("frozen");
      await frozen.says(/^assigned/);
      await using killed = scene.member("killed");
      await killed.says(/^assigned/);
      await scene.until(1_200);
      frozen.child.kill("SIGSTOP");
      await killed.kill("SIGKILL");
      await first.says(/^assigned \d(,\d){5}$/, 2);
      frozen.child.kill("SIGCONT");
      await frozen.until(() => {
        const lostAt = frozen.said.findLastIndex((line) => /metric arroyo\.consumer\.kafka\.lost/.test(line));
        return lostAt >= 0 && frozen.said.slice(lostAt).some((line) => line.startsWith("assigned"));
      }, "it was lost and assigned again");
      await scene.until(count);
      for (const member of [first, frozen]) {
        member.child.kill("SIGTERM");
        assert.equal(await member.ends(), 0, member.stderr);
      }
      assertNothingLost(scene.handled, await scene.ends());
    },
    { timeout: 150_000 },
  );
}

kafkaTest(
  "KIP-848: a member that is blocked for longer than max.poll.interval.ms leaves, another goes on, and it comes back",
  async (kafka) => {
    using scratch = new Scratch();
    const count = 900;
    const config = { ...INCREMENTAL["KIP-848"], "max.poll.interval.ms": 3_000 };
    const scene = await Scene.of(kafka, scratch, count, config);
    const until = scratch.file("go on");
    await using blocked = scene.member("blocked", { blockOn: { value: "v120", until } });
    await blocked.says(/^blocking$/);
    await blocked.complains(/has not polled for 3000 ms/);
    // Not before: the time that the group gives for a hand-over is the same, and might be over first.
    await using other = scene.member("other");
    await other.says(/^assigned \d(,\d){5}$/);
    assert.equal(blocked.count(/^free$/), 0, "the main thread is still blocked");
    writeFileSync(until, "");
    await blocked.says(/^metric arroyo\.consumer\.kafka\.lost$/);
    await blocked.says(/^assigned/, 2);
    await scene.until(count);
    for (const member of [blocked, other]) {
      member.child.kill("SIGTERM");
      assert.equal(await member.ends(), 0, member.stderr);
    }
    assertNothingLost(scene.handled, await scene.ends());
  },
  { timeout: 150_000 },
);
