import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pack } from "../../scripts/pack.ts";
import { codeBlocks, ROOT, type CodeBlock } from "../docs/code-blocks.ts";
import { fill } from "../kafka/fill.ts";
import { kafkaTest } from "../kafka/kafka-test.ts";

// As if the Node that runs this were the machine's.
const { NODE_TEST_CONTEXT: _ofThisRun, ...inherited } = process.env;
const env = { ...inherited, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };

/** An empty folder, in which somebody does what a page says. */
const home = mkdtempSync(join(tmpdir(), "arroyo-newcomer-"));
after(() => rmSync(home, { recursive: true }));

function run(folder: string, command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { cwd: folder, env, encoding: "utf8", timeout: 240_000, stdio: "pipe" });
}

/** A page, as somebody follows it in a folder. */
class Reader {
  readonly folder: string;
  readonly #blocks: readonly CodeBlock[];

  constructor(page: string, folder: string) {
    this.folder = folder;
    this.#blocks = codeBlocks().filter((block) => block.page === page);
    assert.ok(this.#blocks.length > 0);
    mkdirSync(folder, { recursive: true });
  }

  /** Copies each file that the page shows under a name. */
  copyFiles(): string[] {
    const files = this.#blocks.flatMap(({ file, code }) => (file === undefined ? [] : [{ file, code }]));
    for (const { file, code } of files) writeFileSync(join(this.folder, file), code);
    return files.map(({ file }) => file);
  }

  /** The page's commands that begin so. */
  commands(beginning: string): string[] {
    const lines = this.#blocks.flatMap(({ info, code }) => (info === "sh" ? code.split("\n") : []));
    return lines.filter((line) => line.startsWith(beginning)).map((line) => line.replace(/ +#.*$/, ""));
  }

  /** Types one of them in. */
  type(command: string): string {
    return run(this.folder, "sh", "-c", command);
  }
}

/** A flag's value in a command of the page. */
function flag(command: string, name: string): string {
  const [, value] = new RegExp(` --${name} (\\S+)`).exec(command) ?? [];
  assert.ok(value !== undefined, `no --${name} in: ${command}`);
  return value;
}

/** Where `npx arroyo run` says that something can be asked, by the flag that asked for it. */
const SAID = {
  "health-port": /health at (http:\/\/localhost:\d+)/,
  "metrics-port": /metrics at (http:\/\/localhost:\d+)/,
  dashboard: /dashboard at (http:\/\/localhost:\d+)/,
} as const;

/** `npx arroyo run`, until it says that it can be asked. */
class ArroyoRun implements AsyncDisposable {
  readonly #child: ChildProcess;
  output = "";
  /** It is gone, and everything that it has said has been read. */
  #isOver = false;

  /** `command` is the page's; only what another program of this machine may have is given anew. */
  constructor(folder: string, command: string, instead: Readonly<Record<string, string>>, ...more: string[]) {
    const other = { ...instead, "health-port": "0", "metrics-port": "0", dashboard: "0" };
    const [npx, name, ...args] = Object.entries(other)
      .reduce(
        (line, [key, value]) => line.replace(` --${key} ${flag(command, key)}`, ` --${key} ${value}`),
        command,
      )
      .split(" ");
    assert.deepEqual([npx, name], ["npx", "arroyo"]);
    const bin = join(home, "node_modules", ".bin", "arroyo");
    this.#child = spawn(bin, [...args, ...more], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child.once("close", () => (this.#isOver = true));
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
      if (this.#isOver) throw new Error(`It has ended: ${this.output}`);
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

/** Asks what the page's `curl` commands ask, until each answers 200 with what is wanted: it changes once a second. */
async function answers(
  running: ArroyoRun,
  page: Reader,
  command: string,
  wanted: Readonly<Record<string, RegExp>>,
): Promise<void> {
  const asked = page.commands("curl ").map((line) => new URL(`http://${line.replace("curl ", "")}`));
  assert.deepEqual(
    asked.map(({ pathname }) => pathname),
    ["/livez", "/readyz", "/metrics"],
  );
  for (const { port, pathname } of asked) {
    const of = (["health-port", "metrics-port"] as const).find((name) => flag(command, name) === port);
    assert.ok(of !== undefined, `${pathname}: nothing listens at ${port}`);
    for (let tries = 0; ; tries++) {
      const { status, body } = await running.ask(SAID[of], pathname);
      if (status === 200 && (wanted[pathname] ?? /^/).test(body)) break;
      assert.ok(tries < 100, `${pathname} answers ${status}, and not ${wanted[pathname]}: ${body}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  assert.match((await running.ask(SAID.dashboard, "/")).body, /<title>Arroyo<\/title>/);
}

describe("a newcomer who has nothing but the packed package", () => {
  const readme = new Reader("README.md", home);
  const [command = ""] = readme.commands("npx arroyo run pipeline.ts");

  before(async () => {
    const tarball = await pack(home);
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      readonly devDependencies: Readonly<Record<string, string>>;
    };
    const [init = "", ...noMore] = readme.commands("npm init");
    assert.deepEqual(noMore, []);
    readme.type(init);
    const [install = ""] = readme.commands("npm install");
    const [, names = ""] = /^npm install (.*)$/.exec(install) ?? [];
    const packages = names
      .split(" ")
      .map((name) => (name === "arroyo" ? tarball : `${name}@${devDependencies[name]}`));
    readme.type(`npm install --prefer-offline --no-audit --no-fund --loglevel=error ${packages.join(" ")}`);
    assert.deepEqual(readme.copyFiles(), ["pipeline.ts", "pipeline.test.ts"]);
  });

  it("has a test that passes, with README alone", () => {
    assert.deepEqual(readme.commands("node --test"), ["node --test"]);
    assert.match(readme.type("node --test"), /pass 1/);
  });

  kafkaTest("has a consumer with probes, metrics and a page, with README alone", async (kafka) => {
    // The module names its output itself.
    await kafka.createTopic({ name: "orders-enriched" }).catch(() => {});
    const [orders, letters] = [await kafka.createTopic(), await kafka.createTopic()];
    await fill(kafka, orders, [
      { partition: 0, value: '{"id":"7","amount":3}' },
      { partition: 0, value: "{}" },
    ]);
    const instead = {
      topic: orders,
      group: kafka.name("billing"),
      "bootstrap-servers": kafka.bootstrapServers,
      dlq: letters,
    };
    await using running = new ArroyoRun(home, command, instead, "--set", "auto.offset.reset=earliest");
    await answers(running, readme, command, {
      "/metrics": /^arroyo_producer_produce_status_total\{[^}]*status="success"[^}]*\} 1$/m,
    });
    assert.equal(await running.stop(), 0, running.output);
    assert.deepEqual([...(await kafka.endOffsets(letters, 1)).values()], [1]);
  });

  it("has the same without a Kafka, as docs/getting-started.md says", async () => {
    const page = new Reader("docs/getting-started.md", join(home, "greetings"));
    assert.deepEqual(page.copyFiles(), ["pipeline.ts", "pipeline.test.ts", "fill.ts"]);
    assert.match(page.type("node --test"), /pass 1/);
    page.type("node fill.ts");
    const local = page.commands("npx arroyo run").findLast((line) => line.includes(" --local "));
    await using running = new ArroyoRun(page.folder, local!, {});
    await answers(running, page, local!, {
      "/metrics": /^arroyo_consumer_messages_received_total\{consumer="arroyo"\} 2$/m,
    });
    assert.equal(await running.stop(), 0, running.output);
    const look = `
      import { LocalBroker } from "arroyo/local";
      import { Partition } from "arroyo";
      await using broker = await LocalBroker.open("./data");
      for (const topic of ["greetings", "names-dlq"])
        for (const index of [0, 1])
          for (const { payload } of await broker.read(Partition.of(topic, index))) console.log(topic, payload.text());`;
    const lines = run(page.folder, process.execPath, "--input-type=module-typescript", "--eval", look).trim();
    assert.deepEqual(lines.split("\n"), ["greetings Hello, Ada!", "names-dlq {}"]);
  });
});
