import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream, rmSync } from "node:fs";
import { createInterface } from "node:readline";

/**
 * Stands between a test process and the JVM of one broker: `broker-process.ts LOG FOLDER JAVA-ARGUMENT...`. It takes
 * `start`, `stop` (SIGTERM), `kill` (SIGKILL), `pause` (SIGSTOP) and `resume` (SIGCONT) as lines on its standard input and
 * says `ready`, `exited CODE`, `paused` and `resumed`. When its standard input ends, because the test process is gone, however that came about, the broker is killed and FOLDER
 * removed.
 */
const [logPath = "", folder = "", ...javaArguments] = process.argv.slice(2);
const READY = "Kafka Server started";

let java: ChildProcess | undefined;

function start(): void {
  const log = createWriteStream(logPath, { flags: "a" });
  const child = spawn("java", javaArguments, { stdio: ["ignore", "pipe", "pipe"] });
  java = child;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      log.write(`${line}\n`);
      if (line.includes(READY)) process.stdout.write("ready\n");
    });
  }
  child.on("error", (error) => log.write(`${error.message}\n`));
  child.on("close", (code, signal) => {
    if (java === child) java = undefined;
    log.end(() => process.stdout.write(`exited ${code ?? signal}\n`));
  });
}

function end(): void {
  const child = java;
  const leave = (): void => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  };
  if (child === undefined) return leave();
  child.removeAllListeners("close");
  child.on("close", leave);
  child.kill("SIGKILL");
}

// Nobody may be left to read what is said.
process.stdout.on("error", () => {});

createInterface({ input: process.stdin })
  .on("line", (command) => {
    if (command === "start") start();
    else if (command === "stop") java?.kill("SIGTERM");
    else if (command === "kill") java?.kill("SIGKILL");
    else if (command === "pause" || command === "resume") {
      java?.kill(command === "pause" ? "SIGSTOP" : "SIGCONT");
      process.stdout.write(`${command}d\n`);
    }
  })
  .on("close", end);
