import { readArguments, UsageError } from "../../src/cli/arguments.ts";

export const HELP = `Usage: npm start [-- FLAGS]

Fills a topic with example orders once, then reads, filters, transforms and produces them to a second topic, and
commits. Stop it whenever you like (Ctrl-C, kill -9): started again, it goes on where it was.

  --bootstrap-servers HOST:PORT  do it on this Kafka; without, on an embedded broker in a folder
  --data-dir DIR                 where that folder and the health file are (default .data/orders)
  --messages N                   how many orders the topic is filled with (default 500000)
  --rate N                       take at most so many orders a second (default: as fast as it goes)
  --name NAME                    what the names of topics and group begin with (default arroyo-example)
  --dashboard                    a page that shows how it goes, at http://localhost:8088, while it runs
  --dashboard-port PORT          the same on another port
  --help
`;

const MAX_NUMBER = 100_000_000;
const DASHBOARD_PORT = 8_088;

export interface Options {
  readonly bootstrapServers: string | undefined;
  readonly dataDir: string;
  readonly messages: number;
  readonly rate: number | undefined;
  readonly name: string;
  readonly dashboardPort: number | undefined;
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= MAX_NUMBER) return value;
  throw new UsageError(
    `--${flag} is ${JSON.stringify(text)}, but must be a whole number from 1 to ${MAX_NUMBER}`,
  );
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65_535) return port;
  throw new UsageError(`--dashboard-port is ${JSON.stringify(text)}, but must be a port from 0 to 65535`);
}

/**
 * Reads the command line; undefined when it asks for help.
 *
 * @throws UsageError
 */
export function readOptions(args: readonly string[]): Options | undefined {
  const { strings, booleans } = readArguments(args, {
    flags: {
      "bootstrap-servers": "string",
      "data-dir": "string",
      messages: "string",
      rate: "string",
      name: "string",
      dashboard: "boolean",
      "dashboard-port": "string",
      help: "boolean",
    },
    positionals: [],
  });
  if (booleans.has("help")) return undefined;
  const dashboard = booleans.has("dashboard") ? DASHBOARD_PORT : undefined;
  const { rate, "dashboard-port": port } = strings;
  return {
    bootstrapServers: strings["bootstrap-servers"],
    dataDir: strings["data-dir"] ?? ".data/orders",
    messages: positive("messages", strings["messages"] ?? "500000"),
    rate: rate === undefined ? undefined : positive("rate", rate),
    name: strings["name"] ?? "arroyo-example",
    dashboardPort: port === undefined ? dashboard : portNumber(port),
  };
}
