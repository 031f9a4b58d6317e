import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pack } from "../../scripts/pack.ts";
import { codeBlocks, ROOT } from "../docs/code-blocks.ts";
import { fill } from "../kafka/fill.ts";
import { kafkaTest } from "../kafka/kafka-test.ts";

/** What a reader of docs/getting-started.md types into an empty folder. */
const folder = mkdtempSync(join(tmpdir(), "arroyo-newcomer-"));
after(() => rmSync(folder, { recursive: true }));

const page = codeBlocks().filter((block) => block.page === "docs/getting-started.md");
// As if the Node that runs this were the machine's.
const { NODE_TEST_CONTEXT: _ofThisRun, ...inherited } = process.env;
const env = { ...inherited, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };

function block(beginning: RegExp): string {
  const found = page.find(({ code }) => beginning.test(code));
  assert.ok(found, `docs/getting-started.md has no block with ${beginning}`);
  return found.code;
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { cwd: folder, env, encoding: "utf8", timeout: 120_000, stdio: "pipe" });
}

/** `npx arroyo run`, until it says that it can be asked. */
class ArroyoRun implements AsyncDisposable {
  readonly #child: ChildProcess;
  output = "";

  constructor(args: readonly string[]) {
    const probes = ["--health-port", "0", "--metrics-port", "0", "--dashboard", "0"];
    this.#child = spawn(
      join(folder, "node_modules", ".bin", "arroyo"),
      ["run", "pipeline.ts", ...args, ...probes],
      {
        cwd: folder,
        env,
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
        this.#child.emit("output");
      });
    }
  }

  /** Resolves when it has said that. */
  async says(wanted: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = wanted.exec(this.output);
      if (found !== null) return found;
      if (this.#child.exitCode !== null) throw new Error(`It has ended: ${this.output}`);
      await Promise.race([once(this.#child, "output"), once(this.#child, "close")]);
    }
  }

  async ask(what: RegExp, path: string): Promise<{ readonly status: number; readonly body: string }> {
    const [, origin = ""] = await this.says(what);
    const response = await fetch(`${origin}${path}`);
    return { status: response.status, body: await response.text() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
  }

  async stop(): Promise<number | null> {
    const closed = once(this.#child, "close") as Promise<[number | null]>;
    this.#child.kill("SIGTERM");
    return (await closed)[0];
  }
}

const HEALTH = /health at (http:\/\/localhost:\d+)/;
const METRICS = /metrics at (http:\/\/localhost:\d+)/;
const DASHBOARD = /dashboard at (http:\/\/localhost:\d+)/;

/** Waits for the answer that is wanted: what is asked changes once a second. */
async function eventually(
  running: ArroyoRun,
  where: RegExp,
  path: string,
  wanted: RegExp = /./,
): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { status, body } = await running.ask(where, path);
    if (status === 200 && wanted.test(body)) return;
    assert.ok(tries < 100, `${path} answers ${status}, and not ${wanted}: ${body}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe("a newcomer who follows docs/getting-started.md", () => {
  before(async () => {
    const tarball = await pack(folder);
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      readonly devDependencies: Readonly<Record<string, string>>;
    };
    run("npm", "init", "-y");
    run("npm", "pkg", "set", "type=module");
    const packages = [tarball, `prom-client@${devDependencies["prom-client"]}`];
    run("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", ...packages);
    writeFileSync(join(folder, "pipeline.ts"), block(/export default \(\{ producer \}: RunTools\)/));
    const test = block(/declare const makePipeline/);
    // The page says in a comment what stands there in a file of one's own.
    const [, imported = ""] = /\/\/ (import makePipeline .*)$/m.exec(test) ?? [];
    writeFileSync(
      join(folder, "pipeline.test.ts"),
      test.replace(/^declare const makePipeline.*$/m, imported),
    );
    writeFileSync(join(folder, "fill.ts"), block(/LocalBroker\.open\("\.\/data"\)/));
  });

  it("has a test that passes", () => {
    assert.match(run(process.execPath, "--test", "pipeline.test.ts"), /pass 1/);
  });

  it("has a pipeline on the embedded broker that is alive, ready, and shows its metrics and a page", async () => {
    run(process.execPath, "fill.ts");
    const args = ["--topic", "names", "--local", "./data", "--dlq", "names-dlq"];
    await using running = new ArroyoRun(args);
    await eventually(running, HEALTH, "/livez");
    await eventually(running, HEALTH, "/readyz");
    await eventually(
      running,
      METRICS,
      "/metrics",
      /^arroyo_consumer_messages_received_total\{consumer="arroyo"\} 2$/m,
    );
    assert.match((await running.ask(DASHBOARD, "/")).body, /<title>Arroyo<\/title>/);
    assert.equal(await running.stop(), 0, running.output);
    const look = `
      import { LocalBroker } from "arroyo/local";
      import { Partition } from "arroyo";
      await using broker = await LocalBroker.open("./data");
      for (const topic of ["greetings", "names-dlq"])
        for (const index of [0, 1])
          for (const { payload } of await broker.read(Partition.of(topic, index))) console.log(topic, payload.text());`;
    const lines = run(process.execPath, "--input-type=module-typescript", "--eval", look).trim().split("\n");
    assert.deepEqual(lines, ["greetings Hello, Ada!", "names-dlq {}"]);
  });

  kafkaTest("has the same pipeline on Kafka", async (kafka) => {
    // The module names its output itself.
    await kafka.createTopic({ name: "greetings" }).catch(() => {});
    const [names, letters] = [await kafka.createTopic(), await kafka.createTopic()];
    await fill(kafka, names, [{ partition: 0, value: '{"name":"Ada"}' }]);
    await using running = new ArroyoRun([
      ...["--topic", names, "--group", kafka.name("greeter"), "--bootstrap-servers", kafka.bootstrapServers],
      ...["--dlq", letters, "--set", "auto.offset.reset=earliest"],
    ]);
    await eventually(running, HEALTH, "/readyz");
    await eventually(
      running,
      METRICS,
      "/metrics",
      /^arroyo_producer_produce_status_total\{[^}]*status="success"[^}]*\} 1$/m,
    );
    assert.equal(await running.stop(), 0, running.output);
  });
});
