import assert from "node:assert/strict";
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { after, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { UsageError } from "../../src/cli/arguments.ts";
import { run } from "../../src/cli/run.ts";
import { LocalBroker } from "../../src/local/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { KafkaPayload } from "../../src/message/payload.ts";
import { Partition } from "../../src/message/partition.ts";
import { fill } from "../kafka/fill.ts";
import { kafkaTest } from "../kafka/kafka-test.ts";
import { arroyo, MAIN } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "arroyo-run-"));
after(() => rmSync(folder, { recursive: true }));

const INDEX = pathToFileURL(join(import.meta.dirname, "../../src/index.ts")).href;

let modules = 0;

/** A module for `arroyo run`. */
function moduleWith(code: string): string {
  const path = join(folder, `module-${modules++}.mjs`);
  writeFileSync(
    path,
    `import { KafkaPayload, InvalidMessage, pipeline } from ${JSON.stringify(INDEX)};\n${code}\n`,
  );
  return path;
}

/** Writes what it reads to a topic, in capitals; "bad" is invalid. Says how many it has seen. */
function capitals(output: string): string {
  return moduleWith(`
    let seen = 0;
    export default ({ producer }) =>
      pipeline()
        .map((payload, message) => {
          process.stdout.write("seen " + ++seen + "\\n");
          if (payload.text() === "bad") throw InvalidMessage.from(message, { reason: "it is bad" });
          return new KafkaPayload(payload.key, payload.text().toUpperCase());
        })
        .produce(producer, ${JSON.stringify(output)})
        .commit();`);
}

/** A command that runs until it is told to stop. */
class Running implements Disposable {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly lines: string[] = [];
  stderr = "";
  /** It is gone, and everything that it has said has been read. */
  ended = false;

  constructor(args: readonly string[], { atTerminal = false }: { readonly atTerminal?: boolean } = {}) {
    // To the command, what somebody reads at a terminal differs in nothing else.
    const terminal = ["--import", "data:text/javascript,process.stderr.isTTY = true"];
    const command = [...(atTerminal ? terminal : []), MAIN, "run", ...args];
    this.#child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child.once("close", () => (this.ended = true));
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#child.emit("line");
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.lines.push(line);
      this.#child.emit("line");
    });
  }

  /** Resolves when that line was printed. */
  line(wanted: string): Promise<void> {
    return this.#until(wanted, () => this.lines.includes(wanted));
  }

  /** Resolves when standard error has that: it may be read later than a line that was printed after it. */
  async complains(wanted: RegExp): Promise<RegExpExecArray> {
    await this.#until(String(wanted), () => wanted.test(this.stderr));
    return wanted.exec(this.stderr)!;
  }

  async #until(wanted: string, holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.ended) throw new Error(`It has ended without ${wanted}: ${this.stderr}`);
      await Promise.race([once(this.#child, "line"), once(this.#child, "close")]);
    }
  }

  /** Sends a signal. Resolves with the exit code. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const closed = once(this.#child, "close") as Promise<[number | null]>;
    this.#child.kill(signal);
    return (await closed)[0];
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

describe("arroyo run", () => {
  test("--help shows examples", () => {
    const { code, stdout } = arroyo(["run", "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /Examples:\n {2}arroyo run /);
  });

  test("a command line that cannot be is refused with what to do, and exit code 2", async () => {
    const fine = moduleWith("export default pipeline().commit();");
    const open = moduleWith("export default pipeline();");
    const none = moduleWith("export const factory = 1;");
    const type = moduleWith("export default class Factory { createWithPartitions() {} }");
    const kafka = ["--topic", "t", "--group", "g", "--bootstrap-servers", "127.0.0.1:1"];
    for (const [args, expected] of [
      [["run"], /MODULE is missing/],
      [["run", fine], /--topic is missing/],
      [["run", fine, "--topic", "a b"], /--topic: /],
      [["run", fine, "--topic", "/a(/"], /--topic \/a\(\/ is no pattern/],
      [["run", fine, "--topic", "/a/", "--topic", "b"], /must be the only one/],
      [["run", fine, ...kafka, "--dlq", "t"], /--dlq t: it is a --topic as well/],
      [["run", fine, "--topic", "/^orders/", "--dlq", "orders-dlq"], /--topic \/\^orders\/ matches it/],
      [["run", fine, "--topic", "t"], /--bootstrap-servers is missing/],
      [["run", fine, "--topic", "t", "--bootstrap-servers", "h:1"], /--group is missing/],
      [["run", fine, ...kafka, "--set", "x"], /--set needs KEY=VALUE/],
      [
        ["run", fine, ...kafka, "--set", "sasl.mechanism=OAUTHBEARER"],
        /OAUTHBEARER needs a function that gets tokens/,
      ],
      [["run", fine, ...kafka, "--set", "sesion.timeout.ms=1"], /"session.timeout.ms"/],
      [["run", fine, ...kafka, "--join-timeout", "5"], /--join-timeout is "5"/],
      [["run", fine, ...kafka, "--stuck-timeout", "soon"], /--stuck-timeout is "soon"/],
      [["run", fine, ...kafka, "--metrics-port", "70000"], /must be a port/],
      [["run", fine, ...kafka, "--dashboard", "0.0.0.0:http"], /--dashboard is "http", but must be a port/],
      [["run", fine, ...kafka, "--local", folder], /--local takes no --bootstrap-servers/],
      [["run", fine, "--topic", "t", "--local", join(folder, "none")], /there is no folder/],
      [["run", "./none.mjs", ...kafka], /MODULE \.\/none\.mjs is not there/],
      [["run", open, ...kafka], /a pipeline ends with \.commit\(\)/],
      [["run", none, ...kafka], /has no default export/],
      [["run", type, ...kafka], /export default new Factory\(\)/],
    ] as const) {
      const [, ...rest] = args;
      await assert.rejects(run(rest), (error) => {
        assert.ok(error instanceof UsageError, `${args.join(" ")}: ${String(error)}`);
        assert.match(error.message, expected, args.join(" "));
        return true;
      });
    }
    // What becomes of such an error is the same for all.
    const { code, stdout, stderr } = arroyo(["run", fine]);
    assert.match(
      stderr,
      /^arroyo run: --topic is missing\nUsage: arroyo run MODULE .*\narroyo run --help tells more\.\n$/,
    );
    assert.deepEqual([code, stdout], [2, ""]);
  });

  test("runs a pipeline on an embedded broker until SIGTERM, and commits what is done", async () => {
    const data = join(folder, "data");
    {
      await using broker = await LocalBroker.open(data, { logger: silentLogger });
      await broker.createTopic("orders", 1);
      await broker.createTopic("capitals", 1);
      await broker.createTopic("letters", 1);
      for (const value of ["a", "bad", "c"])
        await broker.producer().produce("orders", new KafkaPayload(null, value));
    }
    const args = ["--topic", "orders", "--local", data, "--dlq", "letters", "--group", "g", "--json"];
    args.push("--dashboard", "0.0.0.0:0");
    using running = new Running([capitals("capitals"), ...args]);
    await running.line("seen 3");
    const [, page] = await running.complains(/"dashboard at http:\/\/0\.0\.0\.0:(\d+)\/"/);
    assert.equal((await fetch(`http://127.0.0.1:${page}/`)).status, 200);
    await running.complains(/"msg":"reading orders from .*data, as a member of group g"/);
    assert.equal(await running.end("SIGTERM"), 0, running.stderr);
    const summary = JSON.parse(running.lines.at(-1)!) as Record<string, unknown>;
    assert.deepEqual([summary["outcome"], summary["messages"]], ["stopped", 3]);

    await using broker = await LocalBroker.open(data, { logger: silentLogger });
    assert.deepEqual(await texts(broker, "capitals"), ["A", "C"]);
    assert.deepEqual(await texts(broker, "letters"), ["bad"]);
    assert.equal(broker.committedOffsets("g").get(Partition.of("orders", 0)), 3);
  });

  for (const atTerminal of [false, true])
    test(`--stuck-timeout: a pipeline that blocks its thread says where, ${atTerminal ? "to somebody at a terminal" : "as JSON"}`, async () => {
      const data = join(folder, `stuck-${atTerminal}`);
      {
        await using broker = await LocalBroker.open(data, { logger: silentLogger });
        await broker.createTopic("orders", 1);
        await broker.producer().produce("orders", new KafkaPayload(null, "x"));
      }
      const free = join(data, "free");
      const blocking = moduleWith(`
      import { existsSync } from "node:fs";
      function blockForSeconds() {
        while (!existsSync(${JSON.stringify(free)}));
        process.stdout.write("free\\n");
        return 0;
      }
      export default pipeline().map(blockForSeconds).commit();`);
      const args = ["--topic", "orders", "--local", data, "--stuck-timeout", "500ms"];
      using running = new Running([blocking, ...args], { atTerminal });
      await running.complains(
        atTerminal
          ? /\[Kerror: The main thread has not polled .* blocked here\. \(thread: arroyo-watch\)\n(?: {4}at .*\n)*? {4}at blockForSeconds/
          : /"msg":"The main thread has not polled .* blocked here\."[^\n]*at blockForSeconds/,
      );
      writeFileSync(free, "");
      await running.line("free");
      assert.equal(await running.end("SIGTERM"), 0, running.stderr);
      if (atTerminal) assert.doesNotMatch(running.stderr, /^\{/m);
    });

  test("a topic that the embedded broker lacks is named with those that it has", async () => {
    const data = join(folder, "other");
    {
      await using broker = await LocalBroker.open(data, { logger: silentLogger });
      await broker.createTopic("orders", 1);
    }
    const fine = moduleWith("export default pipeline().commit();");
    const { code, stderr } = arroyo(["run", fine, "--topic", "oders", "--local", data]);
    assert.equal(code, 2);
    assert.match(stderr, /--topic oders does not exist in .*: it has orders/);
    const letters = arroyo(["run", fine, "--topic", "orders", "--local", data, "--dlq", "leters"]);
    assert.equal(letters.code, 2);
    assert.match(letters.stderr, /--dlq leters does not exist in .*: it has orders/);
  });

  for (const [step, message] of [
    ["map(explode)", "The processor stops because of an error."],
    ["mapConcurrently(explode, { concurrency: 2 })", "A task failed."],
  ] as const) {
    test(`what ${step} throws ends it with exit code 1; the log names the message and the place in the code`, async () => {
      const data = join(folder, `failing-${step.length}`);
      {
        await using broker = await LocalBroker.open(data, { logger: silentLogger });
        await broker.createTopic("orders", 1);
        for (const value of ["fine", "x"])
          await broker.producer().produce("orders", new KafkaPayload(null, value));
      }
      const failing = moduleWith(`
        function explode(payload) { if (payload.text() === "x") throw new Error("no database"); return payload; }
        export default pipeline().${step.replace("explode", step.startsWith("mapC") ? "async (x) => explode(x)" : "explode")}.commit();`);
      const { code, stderr } = arroyo(["run", failing, "--topic", "orders", "--local", data]);
      assert.equal(code, 1);
      const lines = stderr
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const told = lines.find(({ msg }) => msg === message);
      assert.deepEqual([told?.["topic"], told?.["partition"], told?.["offset"]], ["orders", 0, 1]);
      assert.match((told!["err"] as Error).stack!, /Error: no database\n +at explode/);
      assert.equal(lines.filter(({ msg }) => msg === "The processor stops because of an error.").length, 1);
      assert.equal(lines.at(-1)!["level"], "error");
    });
  }

  kafkaTest("runs a pipeline on Kafka, with Prometheus metrics, until Ctrl-C", async (kafka) => {
    const orders = await kafka.createTopic();
    const output = await kafka.createTopic();
    await fill(
      kafka,
      orders,
      ["a", "b", "c"].map((value) => ({ partition: 0, value })),
    );
    const config = join(folder, "kafka.json");
    writeFileSync(config, JSON.stringify({ "auto.offset.reset": "earliest", acks: "all" }));
    using running = new Running([
      capitals(output),
      ...["--topic", orders, "--group", kafka.name("group"), "--bootstrap-servers", kafka.bootstrapServers],
      ...["--config", config, "--set", "session.timeout.ms=30000", "--metrics-port", "0"],
      ...["--health-port", "0"],
    ]);
    await running.line("seen 3");
    const [health] = await running.complains(/http:\/\/localhost:\d+\/healthz/);
    assert.equal((await fetch(health)).status, 200);
    const [url] = await running.complains(/http:\/\/localhost:\d+\/metrics/);
    const page = await (await fetch(url)).text();
    assert.ok(/^arroyo_consumer_run_create_strategy_seconds_count\{consumer="group-\w+"\} 1$/m.test(page));
    // The producer's are told once a second; the test's time limit ends it.
    const produced = /^arroyo_producer_kafka_messages_total\{.*status="success".*\} 3$/m;
    while (!produced.test(await (await fetch(url)).text()))
      assert.equal(running.ended, false, running.stderr);
    assert.equal(await running.end("SIGINT"), 0, running.stderr);
  });

  kafkaTest("a dead letter topic that is not there is told at once, and not made", async (kafka) => {
    const fine = moduleWith("export default pipeline().commit();");
    const missing = kafka.name("missing");
    const args = ["--topic", await kafka.createTopic(), "--group", kafka.name("group"), "--dlq", missing];
    args.push("--bootstrap-servers", kafka.bootstrapServers);
    const startedMs = performance.now();
    const { code, stderr } = arroyo(["run", fine, ...args]);
    assert.equal(code, 2, stderr);
    assert.match(
      stderr,
      RegExp(
        `^arroyo run: --dlq ${missing}: Topic "${missing}" does not exist: create it, or correct its name\\.$`,
        "m",
      ),
    );
    // So long it would wait for a topic that may be new.
    assert.ok(performance.now() - startedMs < 30_000);
  });
});

async function texts(broker: LocalBroker, topic: string): Promise<string[]> {
  const messages = await broker.read(Partition.of(topic, 0));
  return messages.map(({ payload }) => payload.text());
}
