import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { openKafka, type RunBackend } from "../../src/cli/run-backend.ts";
import { Topic } from "../../src/message/topic.ts";
import { noopMetrics } from "../../src/metrics/metrics.ts";
import { silentLogger } from "../../src/logger.ts";
import { FakeBroker, metadataBody } from "../kafka/client/fake-broker.ts";

const METADATA = 3;
const UNKNOWN_TOPIC = 3;
const LETTERS = new Topic("letters");

/** A broker that makes a topic when it is asked for, if it is allowed to, and tells of it a moment later. */
async function brokerThatMakes(
  t: TestContext,
  settings: object,
): Promise<{ backend: RunBackend; made: Set<string> }> {
  const broker = await FakeBroker.start();
  const made = new Set<string>();
  broker.on(METADATA, (request) => {
    const isAsked = request.frame.includes(LETTERS.name);
    // At the end of the request: may create, include authorized operations, no tagged fields.
    const mayCreate = request.frame.at(-3) === 1;
    const topic = made.has(LETTERS.name)
      ? { name: LETTERS.name, partitions: [[1, 0]] as [number, number][] }
      : { name: LETTERS.name, errorCode: UNKNOWN_TOPIC };
    request.answer(metadataBody([{ nodeId: 1, port: broker.port }], isAsked ? [topic] : []));
    if (isAsked && mayCreate) made.add(LETTERS.name);
  });
  const backend = await openKafka({
    servers: `127.0.0.1:${broker.port}`,
    group: "g",
    configPath: undefined,
    settings: settings as never,
    logger: silentLogger,
    metrics: noopMetrics,
  });
  t.after(async () => {
    await backend[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
  });
  return { backend, made };
}

test("a dead letter topic that brokers make by themselves is made, and no error", async (t) => {
  const { backend, made } = await brokerThatMakes(t, {});
  await backend.checkOutput("--dlq", LETTERS);
  assert.deepEqual([...made], ["letters"]);
});

test('with "allow.auto.create.topics" false it is not made, and told to be missing', async (t) => {
  const { backend, made } = await brokerThatMakes(t, { "allow.auto.create.topics": "false" });
  await assert.rejects(backend.checkOutput("--dlq", LETTERS), {
    name: "UsageError",
    message: '--dlq letters: Topic "letters" does not exist: create it, or correct its name.',
  });
  assert.equal(made.size, 0);
});

test("brokers that are away are no reason to end: it is found out when they are there", async (t) => {
  const gone = await FakeBroker.start();
  const { port } = gone;
  await gone[Symbol.asyncDispose]();
  const backend = await openKafka({
    servers: `127.0.0.1:${port}`,
    group: "g",
    configPath: undefined,
    settings: {},
    logger: silentLogger,
    metrics: noopMetrics,
  });
  const checked = backend.checkOutput("--dlq", LETTERS);
  const broker = await FakeBroker.start(port);
  t.after(() => broker[Symbol.asyncDispose]());
  const asked = broker.next(METADATA);
  await asked;
  // Whoever ends meanwhile waits for nothing.
  await backend[Symbol.asyncDispose]();
  await checked;
});
