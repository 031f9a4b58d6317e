import assert from "node:assert/strict";
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { suite, test } from "node:test";
import { LocalBroker } from "../../src/local/index.ts";
import { silentLogger, type Logger } from "../../src/logger.ts";
import { Partition } from "../../src/message/partition.ts";
import { RecordingLogger, temporaryFolder } from "./backends.ts";

const CHILD = fileURLToPath(new URL("./child.ts", import.meta.url));

/** A process that does something with a folder, and tells what in lines. */
class Child implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<null, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown>;

  constructor(folder: string, what: "hold" | "wait" | "produce" | "fill" | "commit", limitKb?: number) {
    // The shell's limit on the size of files stands for a disk that is full: a write fails in its middle.
    const limited =
      limitKb === undefined ? [] : ["-c", `ulimit -f ${limitKb} && exec "$0" "$@"`, process.execPath];
    const command = limitKb === undefined ? process.execPath : "bash";
    this.#process = spawn(command, [...limited, CHILD, folder, what], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#exited = once(this.#process, "close");
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async line(): Promise<string | undefined> {
    const next: IteratorResult<string, unknown> = await this.#lines.next();
    return next.done === true ? undefined : next.value;
  }

  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (let line = await this.line(); line !== undefined; line = await this.line()) lines.push(line);
    return lines;
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

async function opened(folder: string, logger: Logger = silentLogger): Promise<LocalBroker> {
  return await LocalBroker.open(folder, { logger });
}

suite("a process that is killed", () => {
  test("leaves everything that was acknowledged, time after time", { timeout: 120_000 }, async () => {
    await using folder = await temporaryFolder();
    const stored = new Map<string, string>();
    const committed = new Map<number, number>();
    for (let round = 0; round < 5; round++) {
      await using child = new Child(folder.path, "produce");
      const lines: string[] = [];
      let hasCommitted = false;
      while (lines.length < 300 * (round + 1) || !hasCommitted) {
        const line = await child.line();
        assert.ok(line !== undefined, "it has ended by itself");
        lines.push(line);
        hasCommitted ||= line.startsWith("committed");
      }
      await child.kill();
      // What it told before it died was acknowledged before it died. The last line may be cut.
      lines.push(...(await child.rest()).slice(0, -1));
      for (const [what, index, offset, value] of lines.map((line) => line.split(" "))) {
        if (what === "stored") stored.set(`${index}@${offset}`, value!);
        if (what === "committed") committed.set(Number(index), Number(offset));
      }

      await using broker = await opened(folder.path);
      const found = new Map<string, string>();
      for (const partition of broker.endOffsets("orders").keys()) {
        for (const [at, { offset, payload }] of (await broker.read(partition)).entries()) {
          assert.equal(offset, at, "no gaps");
          assert.equal(payload.text().trimEnd(), payload.key?.toString());
          found.set(`${partition.index}@${offset}`, payload.text().trimEnd());
        }
      }
      assert.ok(stored.size > round * 100, `round ${round} has stored something`);
      for (const [position, value] of stored) assert.equal(found.get(position), value, position);
      assert.ok(committed.size > 0);
      for (const [index, offset] of committed) {
        assert.ok((broker.committedOffsets("group").get(Partition.of("orders", index)) ?? 0) >= offset);
      }
    }
  });

  test("lets go of its folder, which nobody else could have before", async () => {
    await using folder = await temporaryFolder();
    await using child = new Child(folder.path, "hold");
    assert.equal(await child.line(), "open");
    await assert.rejects(opened(folder.path), (error: Error & { code?: string }) => {
      assert.equal(error.code, "ARROYO_STORAGE");
      assert.ok(error.message.includes(folder.path), error.message);
      assert.ok(error.message.includes(`process ${child.pid},`), error.message);
      return true;
    });
    await child.kill();
    await (await opened(folder.path)).close();
  });
});

test("a process that does nothing but wait for messages stays, and ends when all is closed", async () => {
  await using folder = await temporaryFolder();
  await using child = new Child(folder.path, "wait");
  assert.deepEqual(await child.rest(), ["open", "waited"]);
});

test("a full disk refuses a message with a clear error, and keeps what it has", async () => {
  await using folder = await temporaryFolder();
  await using child = new Child(folder.path, "fill", 64);
  assert.equal(await child.line(), "open");
  const [refused, read, small] = await child.rest();
  const [, stored, code, ...message] = refused!.split(" ");
  assert.ok(Number(stored) > 0);
  assert.equal(code, "ARROYO_PRODUCER");
  assert.match(
    message.join(" "),
    /0-of-3\.log cannot be written \(what is stored in it can still be read\): EFBIG/,
  );
  assert.equal(read, `read ${stored} ${stored},0,0`);
  assert.equal(small, `stored 0 ${stored} small`);
  const logger = new RecordingLogger();
  await using broker = await opened(folder.path, logger);
  assert.deepEqual(logger.warnings, [], "nothing is left of what was refused");
  const messages = await broker.read(Partition.of("orders", 0));
  assert.equal(messages.length, Number(stored) + 1);
  assert.equal(messages.at(-1)?.payload.text(), "small");
});

test("a full disk refuses a commit with a clear error, and keeps the one before", async () => {
  await using folder = await temporaryFolder();
  await using child = new Child(folder.path, "commit", 64);
  assert.equal(await child.line(), "open");
  const [refused] = await child.rest();
  const [, offset, committed, code, ...message] = refused!.split(" ");
  assert.ok(Number(offset) > 100);
  assert.equal(Number(committed), Number(offset) - 1);
  assert.equal(code, "ARROYO_COMMIT_FAILED");
  assert.match(message.join(" "), /offsets\.log cannot be written, so nothing was committed: EFBIG/);
  const logger = new RecordingLogger();
  await using broker = await opened(folder.path, logger);
  assert.deepEqual(logger.warnings, [], "nothing is left of what was refused");
  assert.equal(broker.committedOffsets("group").get(Partition.of("orders", 1)), Number(committed));
});
