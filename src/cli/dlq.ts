import { nearest } from "../nearest.ts";
import { UsageError } from "./arguments.ts";
import * as replay from "./dlq-replay.ts";

const HELP = `Usage: arroyo dlq COMMAND

  replay --from DLQ --to TOPIC --bootstrap-servers HOST:PORT [...]
      write the messages of a dead letter topic back to a topic

arroyo dlq COMMAND --help tells more.
`;

/** `arroyo dlq`: resolves to the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === "replay") return await replay.run(rest);
  if (name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(HELP);
    return 0;
  }
  if (name === undefined) throw new UsageError("a command is missing: replay is the only one");
  const [what, known] = name.startsWith("-") ? ["flag", ["--help"]] : ["command", ["replay"]];
  throw new UsageError(`unknown ${what} ${name} (the nearest is ${nearest(name, known)})`);
}
