import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** A program that is measured by another one of ours. It ends with this process at the latest. */
export interface MeasuredChild {
  readonly process: ChildProcess;
  readonly gone: Promise<void>;
}

/** @param target the topic that it is to write to. */
export function startChild(
  [command = "", ...args]: readonly string[],
  target: string,
  output: "ignore" | "inherit",
): MeasuredChild {
  const child = spawn(command, args, {
    stdio: ["ignore", output, "inherit"],
    env: { ...process.env, BENCH_TARGET: target },
  });
  process.on("exit", () => child.kill("SIGKILL"));
  process.once("SIGTERM", () => process.exit(1));
  return { process: child, gone: once(child, "exit").then(() => undefined) };
}
