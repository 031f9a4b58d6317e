import { clearInterval, setInterval } from "node:timers";
import { Replay, type ReplayOutcome } from "../dlq/replay.ts";
import { ConfigurationError } from "../errors.ts";
import { AbortedError } from "../kafka/client/abortable.ts";
import type { Logger } from "../logger.ts";
import type { Topic } from "../message/topic.ts";
import { keepAlive } from "../processing/waits.ts";
import { readArguments, UsageError, type Arguments } from "./arguments.ts";
import { ReplayReport } from "./replay-report.ts";
import type { ReplayClients } from "./replay-clients.ts";
import { readSet } from "./set-argument.ts";
import { topicNamed } from "./topic-argument.ts";

const HELP = `Usage: arroyo dlq replay --from DLQ --to TOPIC --bootstrap-servers HOST:PORT [...]

Writes the messages of a dead letter topic back to a topic, as they were: key, value and headers, with one more header
that counts how often a message was replayed (dlq_replays). Messages that were in TOPIC before go back to the partition
that they came from.

At least once: what the brokers have acknowledged is committed, and the next run goes on behind it. A run ends where the
dead letter topic ended when it started, so letters that come back are left for another run.

  --from DLQ                 the dead letter topic
  --to TOPIC                 where the messages go; must be another topic
  --bootstrap-servers HOST:PORT[,...]
                             where the brokers are
  --config FILE              settings of the clients (security, for example) as an object of librdkafka's keys, in JSON or
                             as the default export of a module; those of consumers and those of producers each go where
                             they belong
  --set KEY=VALUE            one such setting; may be repeated, and goes before the file's
  --local DIR                instead of Kafka: the folder of an embedded broker that nobody has open
  --limit N                  at most N messages
  --rate R                   at most R messages a second, evenly
  --max-replays K            a message that was replayed K times already is passed over (default 3)
  --group G                  the group whose offsets say how far the replay is (default arroyo-dlq-replay-DLQ-TOPIC);
                             another one starts at the beginning again
  --json                     print the summary as one line of JSON

Ctrl-C waits for what is on its way and commits it; a second one ends at once.

Exit codes: 0 everything was replayed or the limit reached, 1 a failure, 2 the command line is wrong, 130 after Ctrl-C.

Examples:
  arroyo dlq replay --from orders-dlq --to orders --bootstrap-servers localhost:9092 --limit 10
  arroyo dlq replay --from orders-dlq --to orders --config kafka.json --rate 200
  arroyo dlq replay --from orders-dlq --to orders --local ./data --json
`;

const FLAGS = {
  from: "string",
  to: "string",
  "bootstrap-servers": "string",
  config: "string",
  set: "list",
  local: "string",
  limit: "string",
  rate: "string",
  "max-replays": "string",
  group: "string",
  json: "boolean",
  help: "boolean",
} as const;

/** What a shell says of a process that was ended by the signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** `arroyo dlq replay`: resolves to the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const given = readArguments(args, { flags: FLAGS, positionals: [] });
  if (given.booleans.has("help")) {
    process.stdout.write(HELP);
    return 0;
  }
  const from = topic(given, "from");
  const to = topic(given, "to");
  if (from === to) {
    throw new UsageError(`--from and --to are both ${from.name}: the messages would go round in circles`);
  }
  const numbers = {
    limit: number(given, "limit", isWhole, "a whole number from 1 up"),
    ratePerSecond: number(given, "rate", (rate) => rate > 0, "a number of messages a second, more than 0"),
    maxReplays: number(given, "max-replays", isWhole, "a whole number from 1 up"),
  };
  const open = clients(given, from, to);
  const report = new ReplayReport(from, to, given.booleans.has("json"));
  const stop = new AbortController();
  let signalled: keyof typeof EXIT_CODES | undefined;
  const onSignal = (signal: keyof typeof EXIT_CODES): void => {
    signalled = signal;
    stop.abort();
    report.note("stopping: what is on its way is waited for and committed");
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, onSignal);
  using _alive = keepAlive();
  try {
    await using opened = await open(report.logger, stop.signal);
    const replay = new Replay({ from, to, logger: report.logger, ...numbers, ...opened });
    const timer = setInterval(() => report.progress(replay.progress), report.everyMs);
    let outcome: ReplayOutcome | undefined;
    try {
      outcome = await replay.run({ signal: stop.signal });
    } finally {
      clearInterval(timer);
      report.summary(outcome ?? "failed", replay.progress);
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // Settings are checked when the clients are made of them.
    if (error instanceof ConfigurationError) throw new UsageError(error.message, { cause: error });
    if (!(error instanceof AbortedError)) {
      report.note((error as Error).message);
      return 1;
    }
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, onSignal);
  }
  return signalled === undefined ? 0 : EXIT_CODES[signalled];
}

type Open = (logger: Logger, signal: AbortSignal) => Promise<ReplayClients>;

/** How the broker is reached. The clients are loaded only then: help and complaints need none of them. */
function clients(given: Arguments, from: Topic, to: Topic): Open {
  const { local, config, "bootstrap-servers": servers } = given.strings;
  const group = given.strings["group"] ?? `arroyo-dlq-replay-${from.name}-${to.name}`;
  if (local !== undefined) {
    for (const [flag, value] of Object.entries({
      "bootstrap-servers": servers,
      config,
      set: given.lists["set"],
    })) {
      if (value !== undefined) throw new UsageError(`--local takes no --${flag}: give one or the other`);
    }
    return async (logger) => {
      const { openLocal } = await import("./replay-clients.ts");
      return await openLocal({ from, to, group, logger, folder: local });
    };
  }
  const settings = readSet(given.lists["set"]);
  return async (logger, signal) => {
    const { openKafka } = await import("./replay-clients.ts");
    return await openKafka({ from, to, group, logger, signal, servers, configPath: config, settings });
  };
}

function topic(given: Arguments, flag: "from" | "to"): Topic {
  const name = given.strings[flag];
  if (name === undefined) throw new UsageError(`--${flag} is missing`);
  return topicNamed(`--${flag}`, name);
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}

function number(
  given: Arguments,
  flag: keyof typeof FLAGS,
  fits: (value: number) => boolean,
  wanted: string,
): number | undefined {
  const text = given.strings[flag];
  if (text === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (!fits(value)) throw new UsageError(`--${flag} is ${JSON.stringify(text)}, but must be ${wanted}`);
  return value;
}
