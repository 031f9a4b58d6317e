import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { kafkaJars } from "../kafka-jars.ts";
import type { HandledMessage } from "./journal.ts";

/** A process in which members by Java's client live. They end with it. */
export class Java implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #exited: Promise<unknown>;
  readonly #members = new Map<string, JavaMember>();
  #stderr = "";

  private constructor(jars: string) {
    this.#child = spawn(
      "java",
      [
        "-Xmx256m",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        join(jars, "*"),
        // It compiles the file by itself, as a JDK can (JEP 330).
        join(import.meta.dirname, "JavaMembers.java"),
      ],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    this.#exited = once(this.#child, "close");
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const space = line.indexOf(" ");
      this.#members.get(line.slice(0, space))?.hear(line.slice(space + 1));
    });
    this.#child.stderr.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()));
    // Whoever waits for a member hears of the end below.
    this.#child.stdin.on("error", () => {});
    void this.#exited.then(() => {
      for (const member of this.#members.values()) member.hear(`failed: Java has ended.\n${this.#stderr}`);
    });
  }

  static async start(): Promise<Java> {
    return new Java(await kafkaJars());
  }

  /** Another member. Its strategies are called as ours are. */
  join(name: string, topic: string, settings: Readonly<Record<string, unknown>>): JavaMember {
    const id = String(this.#members.size);
    const member = new JavaMember(name, () => this.#tell(["leave", id]));
    this.#members.set(id, member);
    this.#tell([
      "join",
      id,
      topic,
      ...Object.entries(settings).map(([key, value]) => `${key}=${String(value)}`),
    ]);
    return member;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    await this.#exited;
  }

  #tell(command: readonly string[]): void {
    this.#child.stdin.write(`${command.join("\t")}\n`);
  }
}

/** A member by Java's client. It commits what it has handled after each poll, and before it gives partitions away. */
export class JavaMember {
  readonly name: string;
  /** What it has said besides: `assigned 0,1`, `revoked 0`, `lost 0`, and `leads 3` when it leads so many members. */
  readonly said: string[] = [];
  readonly handled: HandledMessage[] = [];
  readonly #tellToLeave: () => void;
  #waiting: (() => void)[] = [];

  constructor(name: string, tellToLeave: () => void) {
    this.name = name;
    this.#tellToLeave = tellToLeave;
  }

  get values(): readonly string[] {
    return this.handled.map(({ value }) => value);
  }

  /** Resolves once that is so; fails when it ends before. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (/^(?:ended|failed)/.test(this.said.at(-1) ?? "")) {
        throw new Error(
          `${this.name}, a member by Java's client, has ended. It said:\n${this.said.join("\n")}`,
        );
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Lets it leave the group. Resolves when it has. */
  async leave(): Promise<void> {
    this.#tellToLeave();
    await this.until(() => this.said.at(-1) === "ended");
  }

  hear(line: string): void {
    const [event, partition, offset, value = ""] = line.split(" ");
    if (event === "handled")
      this.handled.push({ partition: Number(partition), offset: Number(offset), value });
    else this.said.push(line);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
