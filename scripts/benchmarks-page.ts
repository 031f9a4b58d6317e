import { readFileSync } from "node:fs";
import { plot } from "../bench/plot.ts";
import { figureOf, figureTable, markdownTable } from "../bench/report.ts";
import { readResults, written, type Results } from "../bench/results.ts";
import { scenarios, type Figure } from "../bench/scenarios.ts";
import { TARGETS, type Reached, type Target } from "../bench/targets.ts";

const SCENARIOS = scenarios(1);
const RESULTS = readResults();
const MISSED = new URL("../bench/missed.md", import.meta.url);

/** Which thread does a step of the breakdown. */
const THREADS: Readonly<Record<string, string>> = {
  socket: "I/O",
  CRC: "I/O",
  transfer: "both",
  decompress: "main",
};

/** docs/benchmarks.md, from the files in bench/results and what is written by hand in bench/missed.md. */
export function benchmarksPage(): string {
  return [
    "<!-- Made by npm run docs from bench/results and bench/missed.md. -->",
    "# Benchmarks",
    `Everything here goes through the public API, with commits once a second and the CRC of each batch checked. Whatever is
compared was measured in one run and in turn (A B A B ...), on the same broker and topics: figures of a machine drift, ratios
within a run much less. Figures are medians, with the lowest and the highest run. To repeat it:
\`npm run bench -- --peers\` on a machine that does nothing else ([bench/README.md](../bench/README.md)); nothing of this is
asserted by a test.`,
    ...machines(),
    ...peers(),
    "## Targets",
    targetTable(),
    ...missed(),
    ...Object.keys(SCENARIOS).flatMap((name) => section(name)),
    ...breakdown(),
    ...workers(),
  ].join("\n\n");
}

/** Pictures of what was measured beside others, by their paths. */
export function benchmarkPictures(): ReadonlyMap<string, () => string> {
  return new Map(
    plotted().map(({ path, scenario, figure, results }) => [
      path,
      () => plot(`${SCENARIOS[scenario]!.what} (${figure.name}, ${figure.unit})`, results, figure),
    ]),
  );
}

/** Scenarios of which a target is missed, and scenarios that bench/missed.md has something to say about. */
export function missedTargets(): {
  readonly missed: readonly string[];
  readonly explained: readonly string[];
} {
  const missing = TARGETS.filter((target) => reached(target)?.isMet === false);
  const names = new Set(missing.map(({ scenario }) => scenario));
  return { missed: [...names].toSorted(), explained: [...explanations().keys()].toSorted() };
}

interface Plotted {
  readonly path: string;
  readonly scenario: string;
  readonly figure: Figure;
  readonly results: Results;
}

function plotted(): Plotted[] {
  return Object.entries(SCENARIOS).flatMap(([scenario, { peers: others, figures }]) => {
    const results = RESULTS.get(scenario);
    if (results === undefined || others === undefined || results.measured.length < 2) return [];
    return figures.map((figure, i) => {
      const path = `docs/images/bench-${scenario}${i === 0 ? "" : `-${figure.name}`}.svg`;
      return { path, scenario, figure, results };
    });
  });
}

function reached(target: Target): Reached | undefined {
  const results = RESULTS.get(target.scenario);
  return results === undefined ? undefined : target.reached(results);
}

function targetTable(): string {
  const rows = TARGETS.map((target) => {
    const { figure, ratio, isMet } = reached(target) ?? { figure: "not measured", ratio: "" };
    const result = isMet === undefined ? "" : isMet ? "met" : `[missed](#${target.scenario})`;
    return [target.work, target.target, figure, ratio, result, `\`${commandOf(target.scenario)}\``];
  });
  return markdownTable(["Work", "Target", "Figure", "Ratio", "", "How to repeat"], rows, 6);
}

function commandOf(scenario: string): string {
  return `npm run bench -- ${scenario}${SCENARIOS[scenario]?.peers === undefined ? "" : " --peers"}`;
}

function explanations(): ReadonlyMap<string, string> {
  const [, ...parts] = readFileSync(MISSED, "utf8").split(/^## (.+)$/m);
  return new Map(
    parts.flatMap((part, i) => (i % 2 === 0 ? [[part.trim(), (parts[i + 1] ?? "").trim()]] : [])),
  );
}

function missed(): string[] {
  const { missed: names } = missedTargets();
  const written = explanations();
  if (names.length === 0) return [];
  const sections = names.flatMap((name) => [`### ${name}`, written.get(name) ?? ""]);
  return ["## Where a target is missed", ...sections];
}

function machines(): string[] {
  const dates = new Map<string, string[]>();
  for (const { machine, date } of RESULTS.values()) dates.set(machine, [...(dates.get(machine) ?? []), date]);
  return [...dates].map(([machine, all]) => {
    const [first, ...others] = [...new Set(all)].toSorted();
    const last = others.at(-1);
    return `Measured on ${machine}; ${first}${last === undefined ? "" : ` to ${last}`}.`;
  });
}

function peers(): string[] {
  const versions = new Map<string, string>();
  const leftOut = new Map<string, string>();
  for (const results of RESULTS.values()) {
    for (const { name, version } of results.measured) if (version !== undefined) versions.set(name, version);
    for (const { name, why } of results.leftOut) leftOut.set(name, why);
  }
  if (versions.size + leftOut.size === 0) return [];
  return [
    [
      `"Tuned" is \`fetch.queue.backoff.ms=5\` for what stands on librdkafka (without it, it waits a second before it fetches again
from a partition whose queue was full), \`socket.nagle.disable\`, for Python also as much prefetch as we have, and 20 ms of
\`linger.ms\` for its producers. kafkajs and @platformatic/kafka send batches, four at once, of the size that was fastest;
Confluent's takes the prefetch, the backoff and the linger too, and counts delivery reports. What copies a topic is measured
by what arrives in the other one, since Arroyo for Rust does not wait for acknowledgements.`,
      ...[...new Set(versions.values())].map((version) => `- ${version}`),
      ...[...leftOut].map(([name, why]) => `- left out: ${name} (${why})`),
    ].join("\n"),
  ].map((text) => text.replace("\n- ", "\n\n- "));
}

/** What was measured beside others, with a picture where there are peers. */
function section(name: string): string[] {
  const { what, note, figures, isLong } = SCENARIOS[name]!;
  const results = RESULTS.get(name);
  if (results === undefined || figures.length === 0) return [];
  const pictures = plotted().filter(({ scenario }) => scenario === name);
  const images = pictures.map(({ path, figure }) => {
    const said = results.measured.map(
      (measured) => `${measured.name} ${written(figureOf(measured, figure).median)}`,
    );
    return `![${what}, ${figure.unit}: ${said.join(", ")}](${path.replace("docs/", "")})`;
  });
  if (results.measured.length === 1 && isLong !== true) return [];
  const tables =
    isLong === true ? [heldTable(results)] : figures.map((figure) => figureTable(results, figure));
  const title = `## ${what[0]!.toUpperCase()}${what.slice(1)}`;
  const notes = note === undefined ? [] : [note];
  return [title, `\`${commandOf(name)}\``, ...notes, ...images, ...tables];
}

/** What was held over time. */
function heldTable({ measured }: Results): string {
  const [sample = {}] = measured[0]?.samples ?? [];
  const parts = Object.keys(sample).filter((key) => /^megabytes\d+$/.test(key));
  const seconds = Math.round((sample["seconds"] ?? NaN) / parts.length);
  const head = [`each ${seconds} s`, ...parts.map((_, i) => `${i + 1}`), "from 2 to 10", "most"];
  const held = [...parts, "grownMegabytes", "peakMegabytes"].map((key) => written(sample[key] ?? NaN));
  return markdownTable(head, [["MB, median", ...held]]);
}

function breakdown(): string[] {
  const sample = RESULTS.get("breakdown")?.measured[0]?.samples[0];
  if (sample === undefined) return [];
  const keys = Object.keys(sample).map((key) => key.split(": ") as [string, string]);
  const kinds = [...new Set(keys.map(([kind]) => kind))];
  const steps = [...new Set(keys.map(([, step]) => step))];
  const cost = (kind: string, step: string): number => sample[`${kind}: ${step}`] ?? NaN;
  const rows = steps.map((step) => [
    step,
    ...kinds.map((kind) => (cost(kind, step) === 0 ? "-" : cost(kind, step).toLocaleString("en"))),
    THREADS[step] ?? "main",
  ]);
  return [
    "## What a message costs, step by step",
    `\`npm run bench -- breakdown\`, without a broker: nanoseconds of CPU time a message, each step by itself. The two threads
work at the same time, so the one that has more to do sets the pace, on a core that the broker does not take.`,
    markdownTable(["ns a message", ...kinds, "thread"], rows),
  ];
}

function workers(): string[] {
  const sample = RESULTS.get("workers")?.measured[0]?.samples[0];
  if (sample === undefined) return [];
  const two = (key: string): string => (sample[key] ?? NaN).toFixed(2);
  const times = (task: string): string[] => [
    two(`${task}, RunTask: us`),
    two(`${task}, RunTaskInWorkers: us`),
  ];
  const rows = [
    ["a task of 50 us", ...times("50 us"), `${two("speedUp")} x`],
    [
      "a task that does nothing",
      ...times("nothing"),
      `the overhead (${two("overhead")} us of CPU time over all threads)`,
    ],
  ];
  return [
    "## Worker threads",
    "`npm run bench -- workers`: messages of 1 kB, batches of 500, two workers, medians of seven interleaved runs.",
    markdownTable(["us a message", "RunTask", "RunTaskInWorkers", ""], rows),
  ];
}
