import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { test, type TestContext } from "node:test";
import { exampleOrder, isPaid } from "../../examples/orders/order.ts";
import { kafkaTest } from "../kafka/kafka-test.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the example; `onLine` may interfere at any line that it prints. */
async function start(
  args: readonly string[],
  onLine: (line: string, child: ChildProcess) => void = () => {},
  command: readonly string[] = [process.execPath, "examples/orders/main.ts"],
): Promise<Ended> {
  const child = spawn(command[0]!, [...command.slice(1), ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  createInterface(child.stdout).on("line", (line) => {
    stdout += `${line}\n`;
    onLine(line, child);
  });
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
  return new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** The figures of the summary. */
function summaryOf(ended: Ended): Record<string, number> {
  assert.equal(ended.code, 0, ended.stderr);
  const end = ended.stdout.slice(ended.stdout.indexOf("Done."));
  const number = (text: string): number => Number(text.replaceAll(",", ""));
  const rows = [...end.matchAll(/^(\w+) +([\d,]+)  (?:of ([\d,]+))?/gm)];
  return Object.fromEntries(
    rows.flatMap(([, name, value, of]) => [
      [name!, number(value!)],
      ...(of === undefined ? [] : [[`${name}Of`, number(of)] as const]),
    ]),
  );
}

function paidAmong(orders: number): number {
  let paid = 0;
  for (let id = 0; id < orders; id++) if (isPaid(exampleOrder(id))) paid += 1;
  return paid;
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "arroyo-example-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** What a progress line says was read. */
function readOf(line: string): number {
  return Number(/^read ([\d,]+)/.exec(line)?.[1]?.replaceAll(",", "") ?? 0);
}

const COMPLETE = (orders: number): Record<string, number> => {
  const paid = paidAmong(orders);
  return { committed: orders, committedOf: orders, checked: paid, checkedOf: paid };
};

test("npm start does all the work, and the second time there is none left", async (t) => {
  const args = ["--data-dir", folder(t), "--messages", "20000"];
  const npm = ["npm", "start", "--silent", "--"];
  const first = await start(args, undefined, npm);
  const paid = paidAmong(20_000);
  assert.deepEqual(summaryOf(first), {
    read: 20_000,
    filtered: 20_000 - paid,
    written: paid,
    ...COMPLETE(20_000),
    repeated: 0,
  });
  assert.match(first.stdout, /^Filled arroyo-example-orders with 20,000 example orders\.$/m);
  assert.match(first.stdout, /^read .* filtered .* written .* lag 0 .* health file .* old$/m);

  const second = await start(args, undefined, npm);
  const nothing = { read: 0, filtered: 0, written: 0, ...COMPLETE(20_000), repeated: 0 };
  assert.deepEqual(summaryOf(second), nothing);
  assert.match(second.stdout, /^arroyo-example-orders is filled already\.$/m);
});

test("killed in mid-stream and started again, it goes on: nothing is lost", async (t) => {
  const args = ["--data-dir", folder(t), "--messages", "60000"];
  let readBefore = 0;
  // It takes twelve seconds for all, and commits every second.
  const killed = await start([...args, "--rate", "5000"], (line, child) => {
    readBefore = Math.max(readBefore, readOf(line));
    if (readBefore >= 15_000) child.kill("SIGKILL");
  });
  assert.equal(killed.signal, "SIGKILL");
  assert.ok(!killed.stdout.includes("Done."));

  const rest = summaryOf(await start(args));
  const complete = COMPLETE(60_000);
  assert.deepEqual({ ...rest, ...complete }, rest);
  // It did go on, and did again at most what the first had read.
  assert.ok(rest["read"]! < 60_000, `read ${rest["read"]} again`);
  assert.ok(rest["repeated"]! <= readBefore + 15_000, `${rest["repeated"]} were handled again`);
});

test("killed before the topic is full, it fills what is missing", async (t) => {
  const args = ["--data-dir", folder(t), "--messages"];
  const killed = await start([...args, "10001", "--rate", "500"], (line, child) => {
    if (line.startsWith("Filled")) child.kill("SIGKILL");
  });
  assert.equal(killed.signal, "SIGKILL");
  const second = await start([...args, "30000"]);
  assert.match(second.stdout, /^Filled arroyo-example-orders with 19,999 example orders\.$/m);
  const rest = summaryOf(second);
  assert.deepEqual({ ...rest, ...COMPLETE(30_000), repeated: rest["repeated"] }, rest);
});

test("Ctrl-C finishes and commits what is in flight, and nothing is done twice", async (t) => {
  const args = ["--data-dir", folder(t), "--messages", "60000"];
  let interrupted = false;
  const first = await start([...args, "--rate", "5000"], (line, child) => {
    if (interrupted || readOf(line) === 0) return;
    interrupted = true;
    // As it is under npm, which passes on what the terminal has sent already.
    child.kill("SIGINT");
    child.kill("SIGINT");
  });
  const before = summaryOf(first);
  assert.match(first.stdout, /^SIGINT: finishing what is in flight/m);
  assert.ok(before["read"]! > 0 && before["read"]! < 60_000);
  assert.equal(before["committed"], before["read"]);

  const rest = summaryOf(await start(args));
  assert.equal(rest["read"], 60_000 - before["read"]!);
  assert.deepEqual({ ...rest, ...COMPLETE(60_000), repeated: 0 }, rest);
});

test("two at a time on one folder: the second says why it cannot", async (t) => {
  const dataDir = folder(t);
  const args = ["--data-dir", dataDir, "--messages", "20000"];
  let second: Promise<Ended> | undefined;
  await start([...args, "--rate", "100"], (line, child) => {
    if (readOf(line) > 0) second ??= start(args).finally(() => child.kill("SIGTERM"));
  });
  const { code, stderr } = await second!;
  assert.equal(code, 1);
  assert.match(stderr, /^npm start: .*(lock|use)/);
  assert.ok(!stderr.includes("    at "), stderr);
});

test("a Kafka that does not answer is a clear error", async (t) => {
  const args = ["--bootstrap-servers", "127.0.0.1:1", "--data-dir", folder(t)];
  const { code, stderr } = await start(args);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^npm start: Kafka at 127\.0\.0\.1:1 does not answer: connect ECONNREFUSED 127\.0\.0\.1:1\n$/,
  );
});

test("a wrong flag is a clear error, before anything is done", async () => {
  for (const [args, expected] of [
    [
      ["--bootstrap-server", "a:1"],
      /^npm start: unknown flag --bootstrap-server \(the nearest is --bootstrap-servers\)/,
    ],
    [["--messages", "many"], /^npm start: --messages is "many", but must be a whole number/],
    [["extra"], /^npm start: unexpected argument "extra"/],
    [["--bootstrap-servers", "u:p@h"], /^npm start: "bootstrap\.servers" names .* but a broker is host:port/],
  ] as const) {
    const { code, stdout, stderr } = await start(args);
    assert.ok(code === 2 || code === 1);
    assert.equal(stdout, "");
    assert.match(stderr, expected);
  }
  const help = await start(["--help"]);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /--bootstrap-servers HOST:PORT/);
});

kafkaTest("on Kafka it does the same", async (kafka, t) => {
  const args = ["--bootstrap-servers", kafka.bootstrapServers, "--name", kafka.name("example")];
  const all = [...args, "--messages", "20000", "--data-dir", folder(t)];
  const paid = paidAmong(20_000);
  const first = summaryOf(await start(all));
  const done = { read: 20_000, filtered: 20_000 - paid, written: paid, ...COMPLETE(20_000), repeated: 0 };
  assert.deepEqual(first, done);
  const second = summaryOf(await start(all));
  assert.deepEqual(second, { read: 0, filtered: 0, written: 0, ...COMPLETE(20_000), repeated: 0 });
});
