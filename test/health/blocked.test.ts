import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import type { Trouble } from "./member.ts";

/** A member in trouble: what it has said, on both of its outputs, in the order in which it came. */
class Member implements AsyncDisposable {
  readonly child: ReturnType<typeof fork>;
  readonly lines: string[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "arroyo-blocked-"));
  readonly #goOn = join(this.#folder, "go-on");
  readonly #exited: Promise<unknown>;
  /** It is gone, and everything that it has said has been read. */
  #isOver = false;
  #waiting: (() => void)[] = [];

  constructor(trouble: Trouble) {
    this.child = fork(join(import.meta.dirname, "member.ts"), {
      env: { ...process.env, TROUBLE: trouble, GO_ON: this.#goOn },
      silent: true,
    });
    this.#exited = once(this.child, "close").then(() => {
      this.#isOver = true;
      this.#look();
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface({ input: stream }).on("line", (line) => {
        this.lines.push(line);
        this.#look();
      });
    }
  }

  /** The first line that matches. */
  async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = this.lines.find((one) => pattern.test(one));
      if (line !== undefined) return line;
      if (this.#isOver) throw new Error(`It ended before ${pattern}:\n${this.lines.join("\n")}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  /** How often it was counted as stuck. */
  get counted(): number {
    const counts = this.lines.map((line) => Number(/^counted (\d+)$/.exec(line)?.[1] ?? 0));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async probe(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const port = (await this.says(/^port /)).slice("port ".length);
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** Until the answer has that status; the test's time limit ends it. */
  async until(path: string, status: number): Promise<string> {
    for (;;) {
      const answer = await this.probe(path);
      if (answer.status === status) return answer.text;
    }
  }

  /** Frees its main thread. */
  free(): void {
    writeFileSync(this.#goOn, "");
  }

  /** Signals the shutdown, and resolves with the exit code. */
  async ends(): Promise<number | null> {
    this.child.send("stop");
    await this.#exited;
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What it runs would wait for the file for ever.
    this.free();
    if (this.child.exitCode === null) this.child.kill("SIGKILL");
    await this.#exited;
    rmSync(this.#folder, { recursive: true });
  }

  #look(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

const POLLS_AGAIN = /polls again, after it was stuck/;
const POLLS_AGAIN_AFTER_LOOP = /polls again, after it was stuck.*loopForever/;

describe("a main thread that does not poll, on an embedded broker", () => {
  it("in a loop: another thread says where, and answers the probe while it lasts", async () => {
    const startedMs = performance.now();
    await using member = new Member("loop");
    const isHere = /it is blocked here.*at loopForever \(/;
    const stuck = JSON.parse(await member.says(isHere)) as { stack: string; level: string };
    const toldMs = performance.now();
    assert.equal(stuck.level, "error");
    // It may be caught in what the loop calls.
    assert.match(
      stuck.stack,
      /^( {4}at (?!loopForever).*\n)* {4}at loopForever \(file:.*member\.ts:\d+:\d+\)\n/,
    );
    assert.equal(member.count(POLLS_AGAIN), 0, "it is still blocked");
    // The limit of the probe is longer than that of the detector.
    assert.match(
      await member.until("/livez", 503),
      /the main thread has not polled for [\d.]+ s, more than 1\.5 s/,
    );
    assert.equal(member.count(POLLS_AGAIN), 0, "it is still blocked");
    const freedMs = performance.now();
    member.free();
    const [, lastedMs] = /"lastedMs":(\d+)/.exec(await member.says(POLLS_AGAIN_AFTER_LOOP))!;
    assert.ok(Number(lastedMs) >= freedMs - toldMs, `${lastedMs} ms`);
    assert.ok(Number(lastedMs) <= performance.now() - startedMs, `${lastedMs} ms`);
    await member.until("/livez", 200);
    assert.equal(await member.ends(), 0);
    assert.equal(member.count(isHere), 1, "once per episode");
    assert.equal(member.counted, member.count(POLLS_AGAIN));
    assert.equal(member.count(/debugger/i), 0, "the debugger was let go of before the exit");
  });

  it("in a native call: that is said, the probe is answered, and the stack follows", async () => {
    await using member = new Member("native");
    await member.says(/it is in a native call/);
    assert.match((await member.probe("/healthz")).text, /"polling"/);
    assert.equal(member.count(POLLS_AGAIN), 0, "it is still blocked");
    member.free();
    await member.says(/it is blocked here.*at callSomethingSlow \(/);
    await member.says(POLLS_AGAIN);
    assert.equal(await member.ends(), 0);
    assert.equal(member.counted, member.count(POLLS_AGAIN));
  });

  it("none of this where it polls, and neither server nor detector keep the process alive", async () => {
    await using member = new Member("none");
    await member.says(/^port /);
    await member.until("/readyz", 200);
    assert.equal(await member.ends(), 0);
    assert.deepEqual(member.lines.slice(1), ["ended"]);
  });
});
