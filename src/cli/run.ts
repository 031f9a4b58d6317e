import { systemClock } from "../clock.ts";
import type { Dashboard } from "../dashboard/dashboard.ts";
import { KafkaDlqProducer } from "../dlq/kafka-producer.ts";
import { DlqPolicy } from "../dlq/policy.ts";
import { ConfigurationError } from "../errors.ts";
import type { HealthServer } from "../health/server.ts";
import type { Logger } from "../logger.ts";
import type { KafkaPayload } from "../message/payload.ts";
import type { Topic } from "../message/topic.ts";
import { StreamProcessor } from "../processing/processor.ts";
import { readArguments, UsageError, type Arguments } from "./arguments.ts";
import { parseDuration } from "./duration.ts";
import type { KafkaRunOptions, RunBackend } from "./run-backend.ts";
import { loadFactory } from "./run-module.ts";
import { serveMetrics } from "./run-metrics.ts";
import { RunReport } from "./run-report.ts";
import { readSet } from "./set-argument.ts";
import { topicNamed } from "./topic-argument.ts";

const HELP = `Usage: arroyo run MODULE --topic TOPIC --group GROUP --bootstrap-servers HOST:PORT [...]

Runs a pipeline until it is told to stop. MODULE is a file whose default export is a ProcessingStrategyFactory, such as
pipeline()...commit(), or a function that makes one:

  export default ({ producer }) => pipeline().map(check).produce(producer, "orders-checked").commit();

  --topic TOPIC              what to read; may be repeated. In slashes it is a pattern: --topic '/^orders-/'
  --group GROUP              the consumer group (group.id)
  --bootstrap-servers HOST:PORT[,...]
                             where the brokers are
  --config FILE              settings of the clients as an object of librdkafka's keys, in JSON or as the default export of
                             a module; those of consumers and those of producers each go where they belong
  --set KEY=VALUE            one such setting; may be repeated, and goes before the file's
  --local DIR                instead of Kafka: the folder of an embedded broker that nobody has open
  --dlq TOPIC                where invalid messages go; it must be there. Without it they are counted, logged and dropped
  --per-partition            a chain of strategies for each partition
  --join-timeout DURATION    how long the strategies may take to finish on a revocation and at the end (default 25s)
  --health-port PORT         the probes /livez, /readyz and /healthz, answered also while the pipeline blocks its thread
  --stuck-timeout DURATION   when its thread has been blocked for so long, log where: a stack on standard error
  --metrics-port PORT        Prometheus metrics at http://localhost:PORT/metrics (needs the package prom-client)
  --dashboard [HOST:]PORT    a page at http://localhost:PORT that shows how it goes, for this machine only, or for whoever
                             reaches HOST (0.0.0.0 is all addresses; there is no password)
  --json                     log lines as JSON, also on a terminal, and the summary as one line of JSON

SIGTERM and Ctrl-C finish what is in flight, commit it and leave the group; a second one ends at once.

Exit codes: 0 stopped by a signal, everything done is committed; 1 a failure; 2 the command line is wrong.

Examples:
  arroyo run ./pipeline.ts --topic orders --group billing --bootstrap-servers localhost:9092
  arroyo run ./pipeline.js --topic '/^orders-/' --config kafka.json --set auto.offset.reset=earliest --dlq dead-orders
  arroyo run ./pipeline.ts --topic orders --local ./data
`;

const FLAGS = {
  topic: "list",
  group: "string",
  "bootstrap-servers": "string",
  config: "string",
  set: "list",
  local: "string",
  dlq: "string",
  "per-partition": "boolean",
  "join-timeout": "string",
  "health-port": "string",
  "stuck-timeout": "string",
  "metrics-port": "string",
  dashboard: "string",
  json: "boolean",
  help: "boolean",
} as const;

/** `arroyo run`: resolves to the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const given = readArguments(args, { flags: FLAGS, positionals: ["MODULE"] });
  if (given.booleans.has("help")) {
    process.stdout.write(HELP);
    return 0;
  }
  const { strings, booleans, positionals } = given;
  const topic = subscription(given.lists["topic"] ?? []);
  const dlq = strings["dlq"] === undefined ? undefined : deadLetterTopic(strings["dlq"], topic);
  const joinTimeoutMs = duration(given, "join-timeout");
  const stuckDetectorTimeoutMs = duration(given, "stuck-timeout");
  const healthPort = port(given, "health-port");
  const metricsPort = port(given, "metrics-port");
  const dashboardAt = address(given, "dashboard");
  const settings = readSet(given.lists["set"]);
  const report = new RunReport(booleans.has("json"));
  let processorFailed = false;
  try {
    await using served = await serveMetrics({
      metricsPort,
      consumer: strings["group"] ?? "arroyo",
      note: (text) => report.note(text),
    });
    const counted = report.counting(served.metrics);
    await using backend = await open(given, topic, { settings, logger: report.logger, metrics: counted });
    await using dashboard = await openDashboard(dashboardAt, strings["group"] ?? positionals[0]!, backend);
    if (dashboard !== undefined) report.note(`dashboard at ${dashboard.url}`);
    const metrics = dashboard?.metrics(counted) ?? counted;
    const factory = await loadFactory(positionals[0]!, {
      get producer() {
        return backend.producer();
      },
      clock: systemClock,
      logger: report.logger,
      metrics,
    });
    const processor = new StreamProcessor({
      consumer: backend.consumer,
      topic,
      factory,
      perPartition: booleans.has("per-partition"),
      dlqPolicy:
        dlq === undefined
          ? undefined
          : new DlqPolicy({ producer: new KafkaDlqProducer(backend.producer(), dlq) }),
      joinTimeoutMs,
      stuckDetectorTimeoutMs,
      logger: report.logger,
      metrics,
    });
    dashboard?.follow(processor);
    await using health = await openHealth(healthPort, processor, report.logger);
    if (health !== undefined) report.note(`health at http://localhost:${health.port}/healthz`);
    using _signals = onSignals((signal) => {
      report.note(`${signal}: finishing what is in flight, then committing it`);
      processor.signalShutdown();
    });
    report.note(
      `reading ${topic instanceof RegExp ? String(topic) : topic.map(({ name }) => name).join(", ")} ${backend.place}`,
    );
    using _progress = report.watch(backend.consumer);
    let outputError: Error | undefined;
    // Better now than at the first invalid message, in the middle of a night.
    if (dlq !== undefined) {
      backend.checkOutput("--dlq", dlq).catch((error: Error) => {
        outputError = error;
        processor.signalShutdown();
      });
    }
    await processor.run().catch((error: unknown) => {
      processorFailed = true;
      throw error;
    });
    if (outputError !== undefined) throw outputError;
    report.summary("stopped");
    return 0;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // Settings are checked when the clients are made of them.
    if (error instanceof ConfigurationError) throw new UsageError(error.message, { cause: error });
    report.failed(error, processorFailed);
    report.summary("failed");
    return 1;
  }
}

/** How the broker is reached. The clients are loaded only then: help and complaints need none of them. */
async function open(
  given: Arguments,
  topic: RegExp | readonly Topic[],
  common: Pick<KafkaRunOptions, "settings" | "logger" | "metrics">,
): Promise<RunBackend> {
  const { local, config, group, "bootstrap-servers": servers } = given.strings;
  const { openKafka, openLocal } = await import("./run-backend.ts");
  if (local === undefined) return await openKafka({ servers, group, configPath: config, ...common });
  for (const [flag, value] of Object.entries({
    "bootstrap-servers": servers,
    config,
    set: given.lists["set"],
  })) {
    if (value !== undefined) throw new UsageError(`--local takes no --${flag}: give one or the other`);
  }
  const topics = topic instanceof RegExp ? [] : topic.map(({ name }) => name);
  return await openLocal({ folder: local, topics, group: group ?? "arroyo", logger: common.logger });
}

async function openHealth(
  port: number | undefined,
  watch: StreamProcessor<KafkaPayload>,
  logger: Logger,
): Promise<HealthServer | undefined> {
  if (port === undefined) return undefined;
  const { HealthServer } = await import("../health/server.ts");
  const health = new HealthServer({ watch, port, logger });
  await health.listen();
  return health;
}

async function openDashboard(
  at: Address | undefined,
  title: string,
  { consumer }: RunBackend,
): Promise<Dashboard<KafkaPayload> | undefined> {
  if (at === undefined) return undefined;
  const { Dashboard } = await import("../dashboard/dashboard.ts");
  return await Dashboard.start({ title, consumer, ...at });
}

function subscription(topics: readonly string[]): RegExp | readonly Topic[] {
  if (topics.length === 0) throw new UsageError("--topic is missing");
  const patterns = topics.filter((topic) => topic.startsWith("/"));
  if (patterns.length === 0) return topics.map((topic) => topicNamed("--topic", topic));
  const [pattern = ""] = patterns;
  if (topics.length > 1) throw new UsageError(`--topic ${pattern} is a pattern, so it must be the only one`);
  const [, source, flags] = /^\/(.*)\/([a-z]*)$/.exec(pattern) ?? [];
  try {
    if (source === undefined || source === "") throw new SyntaxError("it does not end with a slash");
    return new RegExp(source, flags);
  } catch (error) {
    throw new UsageError(`--topic ${pattern} is no pattern: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws UsageError for one that is read as well: invalid messages would go round in circles. */
function deadLetterTopic(name: string, read: RegExp | readonly Topic[]): Topic {
  const topic = topicNamed("--dlq", name);
  const isRead =
    read instanceof RegExp
      ? new RegExp(read.source, read.flags.replaceAll(/[gy]/g, "")).test(name)
      : read.some((each) => each.name === name);
  if (!isRead) return topic;
  const why = read instanceof RegExp ? `--topic ${String(read)} matches it` : "it is a --topic as well";
  throw new UsageError(`--dlq ${name}: ${why}, so invalid messages would go round in circles`);
}

function duration(given: Arguments, flag: keyof typeof FLAGS): number | undefined {
  const text = given.strings[flag];
  return text === undefined ? undefined : parseDuration(`--${flag}`, text);
}

interface Address {
  readonly host: string | undefined;
  readonly port: number;
}

/** `8088`, `0.0.0.0:8088` or `[::]:8088`. */
function address(given: Arguments, flag: keyof typeof FLAGS): Address | undefined {
  const text = given.strings[flag];
  if (text === undefined) return undefined;
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, Math.max(0, colon)).replace(/^\[(.+)\]$/, "$1");
  return { host: host === "" ? undefined : host, port: portNumber(flag, text.slice(colon + 1)) };
}

function port(given: Arguments, flag: keyof typeof FLAGS): number | undefined {
  const text = given.strings[flag];
  return text === undefined ? undefined : portNumber(flag, text);
}

function portNumber(flag: string, text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (value <= 65_535) return value;
  throw new UsageError(`--${flag} is ${JSON.stringify(text)}, but must be a port from 0 to 65535`);
}

/** Calls back at the first signal; a second one ends the process as it would without us. */
function onSignals(stop: (signal: string) => void): Disposable {
  const signals = ["SIGINT", "SIGTERM"] as const;
  const once = (signal: string): void => {
    for (const one of signals) process.off(one, once);
    stop(signal);
  };
  for (const signal of signals) process.on(signal, once);
  return {
    [Symbol.dispose]() {
      for (const signal of signals) process.off(signal, once);
    },
  };
}
