import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { kafkaJars } from "../kafka-jars.ts";

/** A member by Java's client, in a process of its own. It is killed at the end of the test if it still runs. */
export class JavaMember implements AsyncDisposable {
  /** What it has said: `assigned 0,1`, `revoked 0`, `handled VALUE`. */
  readonly said: string[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #stderr = "";
  #waiting: (() => void)[] = [];

  private constructor(jars: string, topic: string, settings: Readonly<Record<string, unknown>>) {
    this.#child = spawn(
      "java",
      [
        "-Xmx256m",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        join(jars, "*"),
        join(import.meta.dirname, "JavaMember.java"),
        topic,
        ...Object.entries(settings).map(([key, value]) => `${key}=${String(value)}`),
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#exited = once(this.#child, "close");
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      this.said.push(line);
      this.#look();
    });
    this.#child.stderr!.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.#child.on("exit", () => this.#look());
  }

  static async start(topic: string, settings: Readonly<Record<string, unknown>>): Promise<JavaMember> {
    return new JavaMember(await kafkaJars(), topic, settings);
  }

  /** What it has handled so far. */
  get values(): readonly string[] {
    return this.said.flatMap((line) => (line.startsWith("handled ") ? line.slice(8) : []));
  }

  /** Resolves once that is so; fails when it ends before. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`Java's member has ended. It said:\n${this.said.join("\n")}\n${this.#stderr}`);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Lets it leave the group. */
  async close(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    await this.#exited;
  }

  #look(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
