import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { HealthMemberSettings } from "./health-member.ts";

export interface MemberSettings {
  readonly config: Readonly<Record<string, unknown>>;
  readonly topic: string;
  /** Where its journal goes. */
  readonly handledPath: string;
  readonly healthPath?: string | undefined;
  /** Block the main thread in the handler of this value, for so long, or until this file exists. */
  readonly blockOn?:
    | { readonly value: string; readonly milliseconds: number }
    | { readonly value: string; readonly until: string }
    | undefined;
  readonly throwOn?: string | undefined;
  /** What each message takes, with the main thread blocked. */
  readonly handleMs?: number | undefined;
  readonly joinTimeoutMs?: number | undefined;
}

/** A folder that is gone after the test. */
export class Scratch implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "arroyo-e2e-"));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A consumer in a process of its own. It is killed at the end of the test if it still runs. */
export class MemberProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  /** What it has said on standard output. */
  readonly said: string[] = [];
  /** What it has written to standard error. */
  stderr = "";
  readonly #exited: Promise<unknown>;
  /** It is gone, and everything that it has said has been read. */
  #isOver = false;
  #waiting: (() => void)[] = [];

  /** `program` is a file beside this one that reads its settings as `member.ts` does. */
  constructor(settings: MemberSettings | HealthMemberSettings, program: string = "member.ts") {
    this.child = spawn(process.execPath, [join(import.meta.dirname, program)], {
      env: { ...process.env, MEMBER: JSON.stringify(settings) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#exited = once(this.child, "close").then(() => {
      this.#isOver = true;
      this.#look();
    });
    createInterface({ input: this.child.stdout! }).on("line", (line) => {
      this.said.push(line);
      this.#look();
    });
    this.child.stderr!.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString();
      this.#look();
    });
  }

  /** Resolves once it has said a line that matches; fails when it ends before. */
  async says(pattern: RegExp, count: number = 1): Promise<void> {
    await this.until(() => this.said.filter((line) => pattern.test(line)).length >= count, String(pattern));
  }

  async complains(pattern: RegExp): Promise<void> {
    await this.until(() => pattern.test(this.stderr), String(pattern));
  }

  count(pattern: RegExp): number {
    return this.said.filter((line) => pattern.test(line)).length;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    this.child.kill(signal);
    await this.#exited;
  }

  /** Resolves with its exit code. */
  async ends(): Promise<number | null> {
    await this.#exited;
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.#exited;
  }

  /** Resolves once that is so; fails when it ends before. */
  async until(isSo: () => boolean, what: string): Promise<void> {
    while (!isSo()) {
      if (this.#isOver) {
        throw new Error(`The member ended before ${what}. It said:\n${this.said.join("\n")}\n${this.stderr}`);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #look(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
