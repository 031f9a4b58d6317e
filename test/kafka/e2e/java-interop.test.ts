import assert from "node:assert/strict";
import { after } from "node:test";
import { kafkaTest, type KafkaTest } from "../kafka-test.ts";
import { Java } from "./java-members.ts";
import { MixedGroup, type Outcome } from "./mixed-group.ts";

/** Groups of the classic protocol that have members by Java's client and of ours, each of which leads them for a time. */

let java: Promise<Java> | undefined;

after(async () => {
  await (await java)?.[Symbol.asyncDispose]();
});

async function mixedGroup(kafka: KafkaTest): Promise<MixedGroup> {
  java ??= Java.start();
  return await MixedGroup.of(kafka, await java);
}

/** Nobody but these gave anything away, and they no more than that. */
function assertMoved(outcome: Outcome, expected: Readonly<Record<string, number>>): void {
  const counts = [...outcome.revoked]
    .filter(([, gone]) => gone.length > 0)
    .map(([name, gone]) => [name, gone.length]);
  assert.deepEqual(Object.fromEntries(counts), expected);
}

kafkaTest(
  "cooperative-sticky with Java's members, that come, lead and go: each message is handled once, only what moves is revoked",
  async (kafka) => {
    const strategy = "cooperative-sticky";
    await using group = await mixedGroup(kafka);
    await group.rebalanced(() => group.java("java-1", strategy));
    let outcome = await group.rebalanced(() => group.ours("ours-1", strategy));
    assertMoved(outcome, { "java-1": 6 });
    outcome = await group.rebalanced(() => group.ours("ours-2", strategy));
    assertMoved(outcome, { "java-1": 2, "ours-1": 2 });
    assert.ok(outcome.isLedByJava);
    outcome = await group.rebalanced(() => group.java("java-2", strategy));
    assertMoved(outcome, { "java-1": 1, "ours-1": 1, "ours-2": 1 });
    assert.ok(outcome.isLedByJava);
    outcome = await group.rebalanced(() => group.leave("ours-2"));
    assertMoved(outcome, {});
    assert.ok(outcome.isLedByJava);

    await group.rebalanced(() => group.leave("java-1", "java-2"));
    outcome = await group.rebalanced(() => group.java("java-3", strategy));
    assertMoved(outcome, { "ours-1": 6 });
    assert.ok(!outcome.isLedByJava);
    outcome = await group.rebalanced(() => group.ours("ours-3", strategy));
    assertMoved(outcome, { "ours-1": 2, "java-3": 2 });
    assert.ok(!outcome.isLedByJava);
    outcome = await group.rebalanced(() => group.leave("java-3"));
    assertMoved(outcome, {});
    assert.equal(await group.protocol(), strategy);
    await group.finish();
  },
  { java: true, timeout: 280_000 },
);

for (const strategy of ["range", "roundrobin"]) {
  kafkaTest(
    `${strategy} with Java's members, that come, lead and go: each message is handled once`,
    async (kafka) => {
      await using group = await mixedGroup(kafka);
      await group.rebalanced(() => group.java("java-1", strategy));
      let outcome = await group.rebalanced(() => group.ours("ours-1", strategy));
      assertMoved(outcome, { "java-1": 12 });
      assert.ok(outcome.isLedByJava);

      await group.rebalanced(() => group.leave("java-1"));
      outcome = await group.rebalanced(() => group.java("java-2", strategy));
      assertMoved(outcome, { "ours-1": 12 });
      assert.ok(!outcome.isLedByJava);
      assert.equal(await group.protocol(), strategy);
      await group.rebalanced(() => group.leave("ours-1"));
      await group.finish();
    },
    { java: true, timeout: 280_000 },
  );
}

kafkaTest(
  "from range to cooperative-sticky in two bounces, with Java's members: each message is handled once all the while",
  async (kafka) => {
    await using group = await mixedGroup(kafka);
    const javas = ["java-1", "java-2"];
    // Who comes first leads the group.
    await group.rebalanced(() => {
      for (const name of javas) group.java(name, "range");
    });
    await group.rebalanced(() => {
      for (const name of ["ours-1", "ours-2"]) group.ours(name, "range");
    });
    assert.equal(await group.protocol(), "range");

    let strategy = "cooperative-sticky,range";
    let outcome = await group.rebalanced(async () => {
      await group.leave("ours-1");
      group.ours("ours-1", strategy);
    });
    assert.ok(outcome.isLedByJava);
    outcome = await group.rebalanced(() => group.leave("ours-2"));
    assertMoved(outcome, { "java-1": 3, "java-2": 3, "ours-1": 3 });
    assert.equal(await group.protocol(), "range");
    await group.rebalanced(() => group.ours("ours-2", strategy));
    assert.equal(await group.protocol(), "range");
    outcome = await group.rebalanced(async () => {
      await group.leave(...javas);
      for (const name of javas) group.java(name, strategy);
    });
    assert.ok(!outcome.isLedByJava);
    assert.equal(await group.protocol(), "cooperative-sticky", "everybody knows it now");

    strategy = "cooperative-sticky";
    outcome = await group.rebalanced(async () => {
      await group.leave(...javas);
      for (const name of javas) group.java(name, strategy);
    });
    assert.ok(!outcome.isLedByJava);
    outcome = await group.rebalanced(async () => {
      await group.leave("ours-1", "ours-2");
      for (const name of ["ours-1", "ours-2"]) group.ours(name, strategy);
    });
    assert.ok(outcome.isLedByJava);
    assert.equal(await group.protocol(), "cooperative-sticky");
    // And now they keep what they have.
    outcome = await group.rebalanced(() => group.leave("java-1"));
    assertMoved(outcome, {});
    await group.finish();
  },
  { java: true, timeout: 280_000 },
);
