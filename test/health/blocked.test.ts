import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import type { Trouble } from "./member.ts";

/** A member in trouble: what it has said, on both of its outputs, in the order in which it came. */
class Member implements AsyncDisposable {
  readonly child: ReturnType<typeof fork>;
  readonly lines: string[] = [];
  readonly #exited: Promise<unknown>;
  #waiting: (() => void)[] = [];

  constructor(trouble: Trouble) {
    this.child = fork(join(import.meta.dirname, "member.ts"), {
      env: { ...process.env, TROUBLE: trouble },
      silent: true,
    });
    this.#exited = once(this.child, "close").then(() => this.#look());
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
      if (this.child.exitCode !== null)
        throw new Error(`It ended before ${pattern}:\n${this.lines.join("\n")}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  async probe(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const port = (await this.says(/^port /)).slice("port ".length);
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** Signals the shutdown, and resolves with the exit code. */
  async ends(): Promise<number | null> {
    this.child.send("stop");
    await this.#exited;
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null) this.child.kill("SIGKILL");
    await this.#exited;
  }

  #look(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

const POLLS_AGAIN = /polls again, after it was stuck/;

describe("a main thread that does not poll, on an embedded broker", () => {
  it("in a loop: another thread says where, and answers the probe while it lasts", async () => {
    await using member = new Member("loop");
    const stuck = JSON.parse(await member.says(/it is blocked here/)) as { stack: string; level: string };
    assert.equal(stuck.level, "error");
    // It may be caught in what the loop calls.
    assert.match(
      stuck.stack,
      /^( {4}at get performance .*\n)? {4}at loopForever \(file:.*member\.ts:\d+:\d+\)\n/,
    );
    assert.equal(member.count(POLLS_AGAIN), 0, "it is still blocked");
    let answer = await member.probe("/livez");
    // The limit of the probe is longer than that of the detector.
    while (answer.status === 200) answer = await member.probe("/livez");
    assert.equal(answer.status, 503);
    assert.match(answer.text, /the main thread has not polled for [\d.]+ s, more than 1\.5 s/);
    assert.equal(member.count(POLLS_AGAIN), 0, "it is still blocked");
    assert.match(await member.says(POLLS_AGAIN), /"lastedMs":(2[89]|3[01])\d\d.*loopForever/);
    assert.equal((await member.probe("/livez")).status, 200);
    assert.equal(await member.ends(), 0);
    assert.equal(member.count(/it is blocked here/), 1, "once per episode");
    assert.equal(member.count(/^counted arroyo.consumer.stuck$/), 1);
    assert.equal(member.count(/debugger/i), 0, "the debugger was let go of before the exit");
  });

  it("in a native call: that is said, the probe is answered, and the stack follows", async () => {
    await using member = new Member("native");
    await member.says(/it is in a native call/);
    assert.match((await member.probe("/healthz")).text, /"polling"/);
    assert.equal(member.count(POLLS_AGAIN), 0, "it is still blocked");
    const stuck = JSON.parse(await member.says(/it is blocked here/)) as { stack: string };
    assert.match(stuck.stack, /at callSomethingSlow \(/);
    await member.says(POLLS_AGAIN);
    assert.equal(await member.ends(), 0);
    assert.equal(member.count(/^counted/), 1);
  });

  it("none of this where it polls, and neither server nor detector keep the process alive", async () => {
    await using member = new Member("none");
    await member.says(/^port /);
    while ((await member.probe("/readyz")).status !== 200);
    assert.equal(await member.ends(), 0);
    assert.deepEqual(member.lines.slice(1), ["ended"]);
  });
});
