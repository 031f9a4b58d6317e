#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { nearest } from "../nearest.ts";
import { UsageError } from "./arguments.ts";

interface Command {
  readonly usage: string;
  readonly summary: string;
  // Loaded only when it is asked for: a probe must start fast, whatever the other commands need.
  load(): Promise<{ run(args: readonly string[]): number | Promise<number> }>;
}

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  [
    "run",
    {
      usage: "run MODULE --topic TOPIC --group GROUP --bootstrap-servers HOST:PORT [...]",
      summary: "run the pipeline that MODULE exports, until a signal",
      load: () => import("./run.ts"),
    },
  ],
  [
    "healthcheck",
    {
      usage: "healthcheck PATH [--max-age DURATION]",
      summary: "liveness probe: exit 1 when the consumer has stopped touching PATH",
      load: () => import("./healthcheck.ts"),
    },
  ],
  [
    "dlq",
    {
      usage: "dlq replay --from DLQ --to TOPIC --bootstrap-servers HOST:PORT [...]",
      summary: "write the messages of a dead letter topic back to a topic",
      load: () => import("./dlq.ts"),
    },
  ],
]);

const EXAMPLES = `Examples:
  arroyo run ./pipeline.ts --topic orders --group billing --bootstrap-servers localhost:9092 --dlq orders-dlq
  arroyo run ./pipeline.ts --topic orders --local ./data --dashboard 8088
  arroyo healthcheck /tmp/health.txt --max-age 320s
  arroyo dlq replay --from orders-dlq --to orders --bootstrap-servers localhost:9092 --limit 10
`;

function help(): string {
  const rows = [...COMMANDS.values()].map(({ usage, summary }) => `  ${usage}\n      ${summary}\n`);
  return `Usage: arroyo COMMAND\n\n${rows.join("")}\n  --help, --version\n\n${EXAMPLES}\narroyo COMMAND --help tells more.\n`;
}

function version(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  switch (name) {
    case undefined:
      process.stderr.write(help());
      return 2;
    case "--help":
    case "-h":
    case "help":
      process.stdout.write(help());
      return 0;
    case "--version":
    case "-v":
      process.stdout.write(`${version()}\n`);
      return 0;
  }
  const command = COMMANDS.get(name);
  if (command === undefined) {
    const what = name.startsWith("-") ? "flag" : "command";
    const near = nearest(name, what === "flag" ? ["--help", "--version"] : COMMANDS.keys());
    process.stderr.write(`arroyo: unknown ${what} ${name} (the nearest is ${near})\n\n${help()}`);
    return 2;
  }
  try {
    return await (await command.load()).run(rest);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(
      `arroyo ${name}: ${error.message}\nUsage: arroyo ${command.usage}\narroyo ${name} --help tells more.\n`,
    );
    return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
