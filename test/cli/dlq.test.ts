import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { REPLAYS_HEADER } from "../../src/dlq/letter.ts";
import { KafkaConsumer } from "../../src/kafka/index.ts";
import { LocalBroker } from "../../src/local/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Topic } from "../../src/message/topic.ts";
import { fill, type TestRecord } from "../kafka/fill.ts";
import { kafkaTest, KafkaTest, securedKafkaTest } from "../kafka/kafka-test.ts";
import { arroyo, MAIN, type Outcome } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "arroyo-dlq-"));
after(() => rmSync(folder, { recursive: true }));

let files = 0;

function fileWith(text: string): string {
  const path = join(folder, `config-${files++}.json`);
  writeFileSync(path, text);
  return path;
}

function moduleWith(text: string): string {
  const path = join(folder, `config-${files++}.mjs`);
  writeFileSync(path, text);
  return path;
}

/** Letters m0, m1 ... that came from partition `i % 2` of a topic. */
function letters(count: number, original: string): TestRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    partition: i % 2,
    key: `k${i}`,
    value: `m${i}`,
    headers: {
      trace: `t${i}`,
      original_topic: original,
      original_partition: String(i % 2),
      original_offset: String(i),
      dlq_reason: "not an order",
    },
  }));
}

interface Topics {
  readonly dlq: string;
  readonly orders: string;
  /** What every command line here starts with. */
  readonly args: readonly string[];
}

async function topics(kafka: KafkaTest, count: number): Promise<Topics> {
  const orders = await kafka.createTopic({ partitions: 2 });
  const dlq = await kafka.createTopic({ name: `${orders}-dlq`, partitions: 2 });
  await fill(kafka, dlq, letters(count, orders));
  return { dlq, orders, args: ["dlq", "replay", "--from", dlq, "--to", orders] };
}

/** The last line of standard output, which is JSON. */
function summaryOf({ stdout }: Pick<Outcome, "stdout">): Record<string, unknown> {
  return JSON.parse(stdout) as Record<string, unknown>;
}

async function messagesIn(
  kafka: KafkaTest,
  topic: string,
): Promise<{ partition: number; payload: KafkaPayload }[]> {
  const ends = await kafka.endOffsets(topic, 2);
  const count = [...ends.values()].reduce((sum, end) => sum + end, 0);
  await using consumer = new KafkaConsumer(
    {
      "bootstrap.servers": kafka.bootstrapServers,
      "group.id": kafka.name("reader"),
      "auto.offset.reset": "earliest",
    },
    { logger: silentLogger },
  );
  consumer.subscribe([Topic.of(topic)]);
  const messages: { partition: number; payload: KafkaPayload }[] = [];
  while (messages.length < count) {
    for (const { partition, payload } of await consumer.poll({ timeoutMs: 1_000 })) {
      messages.push({ partition: partition.index, payload });
    }
  }
  return messages;
}

async function committed(kafka: KafkaTest, { dlq, orders }: Topics): Promise<number> {
  const offsets = await kafka.committedOffsets(`arroyo-dlq-replay-${dlq}-${orders}`, dlq);
  return [...offsets.values()].reduce((sum, offset) => sum + offset, 0);
}

/** Runs it beside the test, until the group has committed something, far from the end; then sends it the signal. */
async function interrupted(
  kafka: KafkaTest,
  used: Topics,
  signal: NodeJS.Signals,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const args = [...used.args, "--bootstrap-servers", kafka.bootstrapServers, "--rate", "10", "--json"];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const closed = once(child, "close");
  while ((await committed(kafka, used)) === 0) assert.equal(child.exitCode, null, stderr);
  child.kill(signal);
  await closed;
  return { code: child.exitCode, stdout, stderr };
}

describe("arroyo dlq replay, on a real Kafka", () => {
  kafkaTest("writes everything back to where it was, and the next run finds nothing more", async (kafka) => {
    const used = await topics(kafka, 100);
    const args = [...used.args, "--bootstrap-servers", kafka.bootstrapServers];
    const first = arroyo(args);
    assert.equal(first.code, 0, first.stderr);
    assert.match(
      first.stdout,
      new RegExp(
        `^Replayed 100 messages from ${used.dlq} to ${used.orders} in .+ \\(.+/s\\); nothing left\\n$`,
      ),
    );
    const messages = await messagesIn(kafka, used.orders);
    assert.equal(messages.length, 100);
    for (const { partition, payload } of messages) {
      const i = Number(payload.text().slice(1));
      assert.equal(partition, i % 2);
      assert.ok(
        payload.equals(
          new KafkaPayload(`k${i}`, `m${i}`, [
            ["trace", `t${i}`],
            [REPLAYS_HEADER, "1"],
          ]),
        ),
      );
    }
    assert.equal(new Set(messages.map(({ payload }) => payload.text())).size, 100);
    assert.equal(await committed(kafka, used), 100);

    const again = arroyo([...args, "--json"]);
    assert.deepEqual([again.code, again.stderr], [0, ""]);
    const { seconds, perSecond, ...rest } = summaryOf(again);
    assert.deepEqual(rest, {
      outcome: "finished",
      from: used.dlq,
      to: used.orders,
      replayed: 0,
      keptBack: 0,
      left: 0,
    });
    assert.deepEqual([typeof seconds, typeof perSecond], ["number", "number"]);
  });

  kafkaTest("ends at the limit, and goes on from there; another group starts anew", async (kafka) => {
    const used = await topics(kafka, 50);
    const config = fileWith(
      JSON.stringify({
        "bootstrap.servers": kafka.bootstrapServers,
        "linger.ms": 0,
        "fetch.wait.max.ms": 100,
      }),
    );
    const args = [...used.args, "--config", config, "--json"];
    const outcomes = [
      ["--limit", "20"],
      ["--limit", "20"],
      [],
      ["--group", kafka.name("again"), "--limit", "5"],
    ].map((more) => {
      const outcome = arroyo([...args, ...more]);
      assert.equal(outcome.code, 0, outcome.stderr);
      const { outcome: how, replayed, left } = summaryOf(outcome);
      return [how, replayed, left];
    });
    assert.deepEqual(outcomes, [
      ["limit", 20, 30],
      ["limit", 20, 10],
      ["finished", 10, 0],
      ["limit", 5, 45],
    ]);
    assert.equal(await committed(kafka, used), 50);
  });

  securedKafkaTest("gets tokens with the function of a module", async (servers, t) => {
    const kafka = new KafkaTest(servers("PLAINTEXT"));
    t.after(() => kafka.close());
    const used = await topics(kafka, 10);
    const token = pathToFileURL(join(import.meta.dirname, "../kafka/token.ts")).href;
    const config = moduleWith(`
      import { unsignedToken } from ${JSON.stringify(token)};
      export default {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "OAUTHBEARER",
        oauthbearer_token_refresh_cb: () => unsignedToken(60_000),
      };`);
    const outcome = arroyo([
      ...[...used.args, "--config", config, "--bootstrap-servers", servers("SASL_PLAINTEXT")],
      ...["--set", "linger.ms=0", "--json"],
    ]);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(summaryOf(outcome)["replayed"], 10);
  });

  kafkaTest("works as a member of the newer group protocol", async (kafka) => {
    const used = await topics(kafka, 10);
    const args = [...used.args, "--bootstrap-servers", kafka.bootstrapServers, "--json"];
    const outcome = arroyo([...args, "--set", "group.protocol=consumer"]);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(summaryOf(outcome)["replayed"], 10);
  });

  kafkaTest("Ctrl-C: what is done is committed, and nothing comes twice", async (kafka) => {
    const used = await topics(kafka, 500);
    const { code, stdout, stderr } = await interrupted(kafka, used, "SIGINT");
    assert.equal(code, 130, stderr);
    const { outcome, replayed, left } = summaryOf({ stdout });
    assert.equal(outcome, "stopped");
    assert.equal(Number(replayed) + Number(left), 500);
    assert.equal(await committed(kafka, used), replayed);
    assert.match(stderr, /stopping: what is on its way is waited for and committed/);

    const rest = arroyo([...used.args, "--bootstrap-servers", kafka.bootstrapServers, "--json"]);
    assert.deepEqual([rest.code, summaryOf(rest)["replayed"]], [0, left]);
    const values = (await messagesIn(kafka, used.orders)).map(({ payload }) => payload.text());
    assert.deepEqual([values.length, new Set(values).size], [500, 500]);
  });

  kafkaTest("kill -9: nothing is missing after the next run", async (kafka) => {
    const used = await topics(kafka, 500);
    const { stdout } = await interrupted(kafka, used, "SIGKILL");
    assert.equal(stdout, "");
    const before = await committed(kafka, used);
    assert.ok(before > 0 && before < 500);
    const rest = arroyo([...used.args, "--bootstrap-servers", kafka.bootstrapServers, "--json"]);
    const replayed = Number(summaryOf(rest)["replayed"]);
    assert.equal(rest.code, 0, rest.stderr);
    // A commit that was on its way may have come after the look.
    assert.ok(replayed > 0 && replayed <= 500 - before, `${replayed} after ${before}`);
    const values = (await messagesIn(kafka, used.orders)).map(({ payload }) => payload.text());
    assert.equal(new Set(values).size, 500);
  });

  kafkaTest("a topic that does not exist is an error, and is not made", async (kafka) => {
    const { dlq, orders } = await topics(kafka, 1);
    for (const [from, to] of [
      [dlq, `${orders}-misspelt`],
      [`${dlq}-misspelt`, orders],
    ] as const) {
      const { code, stdout, stderr } = arroyo([
        ...["dlq", "replay", "--from", from, "--to", to, "--bootstrap-servers", kafka.bootstrapServers],
      ]);
      const missing = from.endsWith("misspelt") ? from : to;
      assert.deepEqual(
        [code, stdout, stderr],
        [1, "", `arroyo dlq replay: Topic "${missing}" does not exist: create it, or correct its name.\n`],
      );
      assert.equal((await kafka.admin.listTopics({})).includes(missing), false);
    }
  });

  kafkaTest("a message that the brokers refuse is an error that says which", async (kafka) => {
    const dlq = await kafka.createTopic();
    const orders = await kafka.createTopic({ configs: { "max.message.bytes": "1000" } });
    await fill(kafka, dlq, [{ value: "small" }, { value: "x".repeat(5_000) }]);
    const args = [
      "dlq",
      "replay",
      "--from",
      dlq,
      "--to",
      orders,
      "--bootstrap-servers",
      kafka.bootstrapServers,
    ];
    const { code, stdout, stderr } = arroyo([...args, "--rate", "1"]);
    assert.equal(code, 1);
    assert.match(stdout, /^Failed after replayed 1 message from .+; 1 left: the next run goes on there\n$/);
    assert.match(
      stderr,
      new RegExp(`^arroyo dlq replay: The message at offset 1 of ${dlq}:0 cannot be written to `),
    );
  });
});

test("arroyo dlq replay --local replays in the folder of an embedded broker", async () => {
  const data = join(folder, "data");
  const open = (): Promise<LocalBroker> => LocalBroker.open(data, { logger: silentLogger });
  {
    await using broker = await open();
    await broker.createTopic("orders", 1);
    await broker.createTopic("orders-dlq", 1);
    for (const value of ["a", "b", "c"])
      await broker.producer().produce("orders-dlq", new KafkaPayload("k", value));
  }
  const args = ["dlq", "replay", "--from", "orders-dlq", "--to", "orders", "--local", data];
  assert.deepEqual(summaryOf(arroyo([...args, "--limit", "2", "--json"]))["replayed"], 2);
  assert.match(arroyo(args).stdout, /^Replayed 1 message from orders-dlq to orders .*; nothing left\n$/);
  {
    await using broker = await open();
    const [partition] = broker.endOffsets("orders").keys();
    const values = (await broker.read(partition!)).map(({ payload }) => payload.text());
    assert.deepEqual(values, ["a", "b", "c"]);
  }
  const missing = arroyo(["dlq", "replay", "--from", "order-dlq", "--to", "orders", "--local", data]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^arroyo dlq replay: Topic "order-dlq" does not exist in /);
});

test("a wrong command line is exit code 2", () => {
  const replay = ["replay", "--from", "a", "--to", "b"];
  const server = ["--bootstrap-servers", "localhost:1"];
  for (const [args, expected] of [
    [[], /a command is missing: replay is the only one/],
    [["relpay"], /unknown command relpay \(the nearest is replay\)/],
    [["--hlep"], /unknown flag --hlep \(the nearest is --help\)/],
    [["replay"], /--from is missing/],
    [["replay", "--from", "a"], /--to is missing/],
    [replay, /--bootstrap-servers is missing/],
    [
      [...replay, "--bootstrap-server", "x:1"],
      /unknown flag --bootstrap-server \(the nearest is --bootstrap-servers\)/,
    ],
    [[...replay, ...server, "--form", "c"], /unknown flag --form \(the nearest is --from\)/],
    [["replay", "--from", "a", "--to", "a", ...server], /--from and --to are both a/],
    [["replay", "--from", "a b", "--to", "a", ...server], /--from: Topic name "a b" is not allowed/],
    [[...replay, ...server, "--limit", "0"], /--limit is "0", but must be a whole number from 1 up/],
    [[...replay, ...server, "--limit", "1.5"], /--limit is "1.5"/],
    [
      [...replay, ...server, "--rate", "0"],
      /--rate is "0", but must be a number of messages a second, more than 0/,
    ],
    [[...replay, ...server, "--rate", "fast"], /--rate is "fast"/],
    [[...replay, ...server, "--max-replays", "0"], /--max-replays is "0"/],
    [[...replay, ...server, "--local", folder], /--local takes no --bootstrap-servers/],
    [[...replay, "--local", join(folder, "nothing")], /there is no folder .*nothing/],
    [[...replay, "--bootstrap-servers", "a:b"], /bootstrap.servers/],
    [[...replay, "--config", join(folder, "nothing.json")], /--config .*nothing.json cannot be read: ENOENT/],
    [[...replay, "--config", fileWith("sasl.password: x")], /cannot be read: it is not JSON/],
    [[...replay, "--config", fileWith("[]")], /must hold an object of settings/],
    [
      [...replay, ...server, "--config", fileWith('{"group.id":"g"}')],
      /"group.id" has no effect here: use --group/,
    ],
    [[...replay, ...server, "--set", "linger.ms"], /--set needs KEY=VALUE/],
    [[...replay, "--local", folder, "--set", "linger.ms=1"], /--local takes no --set/],
    [
      [...replay, ...server, "--set", "sasl.mechanism=OAUTHBEARER"],
      /OAUTHBEARER needs a function that gets tokens.* neither in a flag nor in JSON: give a module with --config/,
    ],
    [
      [...replay, ...server, "--config", fileWith('{"sasl.mechanisms":"OAUTHBEARER"}')],
      /OAUTHBEARER needs a function/,
    ],
    [
      [...replay, ...server, "--config", moduleWith("export const a = 1;")],
      /must export an object of settings/,
    ],
    [
      [...replay, ...server, "--config", moduleWith("throw new Error('KAFKA_TOKEN is not set');")],
      /cannot be read: KAFKA_TOKEN is not set/,
    ],
    [
      [...replay, ...server, "--config", fileWith('{"linger.mss":1}')],
      /KafkaProducer: .*nearest is "linger.ms"/,
    ],
    [
      [...replay, ...server, "--config", fileWith('{"sesion.timeout.ms":1}')],
      /nearest is "session.timeout.ms"/,
    ],
  ] as const) {
    const { code, stdout, stderr } = arroyo(["dlq", ...args]);
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, expected);
    assert.match(stderr, /Usage: arroyo dlq replay --from DLQ --to TOPIC/);
  }
});

test("--help tells the commands, and the flags of replay with examples", () => {
  const dlq = arroyo(["dlq", "--help"]);
  assert.deepEqual([dlq.code, dlq.stderr], [0, ""]);
  assert.match(dlq.stdout, /replay --from DLQ --to TOPIC/);
  const replay = arroyo(["dlq", "replay", "--help"]);
  assert.deepEqual([replay.code, replay.stderr], [0, ""]);
  for (const flag of ["--limit N", "--rate R", "--max-replays K", "--group G", "--json", "Examples:"]) {
    assert.ok(replay.stdout.includes(flag), flag);
  }
});
