import { figureOf } from "./report.ts";
import { summarize, written, type Results, type Summary } from "./results.ts";
import { HANDLER_ALONE, OURS, scenarios, SMALL_YOUNG, type Figure } from "./scenarios.ts";

/** What was reached of a target. */
export interface Reached {
  readonly figure: string;
  /** To what it is compared with; to the limit, where that is a number. */
  readonly ratio: string;
  /** Undefined if the figure is all that is asked for. */
  readonly isMet: boolean | undefined;
}

/** What is to be reached with a scenario. */
export interface Target {
  readonly scenario: string;
  readonly work: string;
  readonly target: string;
  /** Undefined if what it takes was not measured. */
  reached(results: Results): Reached | undefined;
}

const ALL = scenarios(1);

export const TARGETS: readonly Target[] = [
  beside("consume", "consume, RunTask, CommitOffsets: 100 B, 4 partitions", "Arroyo for Rust, tuned", 2),
  beside("consume-1", "the same, 1 partition", "Arroyo for Rust, tuned", 1.6),
  beside("lz4", "the same, 0.8 kB of JSON that compresses by little, lz4", "Arroyo for Rust, tuned", 1),
  beside("zstd", "the same, zstd", "Arroyo for Rust, tuned", 1),
  beside("parse", "the same (lz4), JSON.parse of each", "Arroyo for Rust, tuned", 1, " without parsing"),
  beside("consume-produce", "consume, RunTask, Produce, CommitOffsets", "Arroyo for Rust, tuned", 5),
  beside("consume-produce", "the same", "Arroyo for Python, tuned", 40),
  {
    scenario: "produce",
    work: "KafkaProducer alone, 100 B, acks=all, a promise each, idempotent",
    target: "1,000,000/s",
    reached(results) {
      const rate = rateOf(results, "idempotent");
      if (rate === undefined) return undefined;
      const isMet = rate.median >= 1e6;
      return { figure: `${spread(rate)}/s`, ratio: times(rate.median / 1e6), isMet };
    },
  },
  {
    scenario: "produce",
    work: "the same, beside without idempotence",
    target: "within 10 %",
    reached: (results) => share(results, "idempotent", "not idempotent", 0.9),
  },
  noSlower("p50"),
  noSlower("p99"),
  atMost("idle", "idle consumer on a quiet topic, both threads", "CPU", 1, "% of a core"),
  atMost("memory", "most held at full speed, 64 MB prefetch", "most held", 200, "MB"),
  atMost("memory", "the same, node --max-semi-space-size=8", "most held", 200, "MB", SMALL_YOUNG),
  atMost("memory-10min", "the same, as it comes, over ten minutes", "most held", 200, "MB"),
  flat("memory-10min", "grown from the 2nd to the 10th minute", 10),
  atMost("memory-slow", "most held with a slow handler", "most held", 200, "MB"),
  flat("memory-slow", "grown in two minutes with a slow handler", 10),
  atMost("first", "run() to the first message, the group exists", "first message", 500, "ms"),
  {
    scenario: "partitions-200",
    work: "200 partitions",
    target: "80 % of the rate of 4",
    reached: (results) => share(results, "200 partitions", "4 partitions", 0.8),
  },
  {
    scenario: "partitions-1000",
    work: "1,000 partitions",
    target: "the figure",
    reached: (results) => share(results, "1,000 partitions", "4 partitions"),
  },
  {
    scenario: "tasks",
    work: "each further RunTask",
    target: "30 ns a message",
    reached(results) {
      const time = figureNamed("tasks", "time");
      const costs = pairs(results, time, "10 further RunTasks", "none further").map(([a, b]) => (a - b) / 10);
      if (costs.length === 0) return undefined;
      const cost = summarize(costs);
      return {
        figure: `${spread(cost)} ns`,
        ratio: `${times(cost.median / 30)} of the limit`,
        isMet: cost.median <= 30,
      };
    },
  },
  {
    scenario: "slow",
    work: "back-pressured, a handler at 1,000 messages/s: CPU time beyond that of the handler alone",
    target: "at most 5 % of a core",
    reached(results) {
      const cpu = figureNamed("slow", "CPU");
      const both = pairs(results, cpu, OURS, HANDLER_ALONE);
      if (both.length === 0) return undefined;
      const beyond = summarize(both.map(([all, alone]) => all - alone));
      const all = written(summarize(both.map(([value]) => value)).median);
      const alone = written(summarize(both.map(([, value]) => value)).median);
      return {
        figure: `${spread(beyond)} % of a core (${all} in all, ${alone} alone)`,
        ratio: `${times(beyond.median / 5)} of the limit`,
        isMet: beyond.median <= 5,
      };
    },
  },
  {
    scenario: "exporters",
    work: "exporters for Prometheus and OpenTelemetry at full speed, asked once a second",
    target: "2 % of the main thread's CPU time",
    reached(results) {
      // Not by the difference of two rates: those of two runs differ by more than that without any reason.
      const exporting = results.measured.find(({ name }) => name === "with both exporters");
      if (exporting === undefined) return undefined;
      const share = figureOf(exporting, figureNamed("exporters", "of the main thread's CPU time"));
      if (Number.isNaN(share.median)) return undefined;
      return {
        figure: `${spread(share)} %`,
        ratio: `${times(share.median / 2)} of the limit`,
        isMet: share.median < 2,
      };
    },
  },
];

/** So many times as fast as a peer. */
function beside(scenario: string, work: string, peer: string, goal: number, besides = ""): Target {
  return {
    scenario,
    work,
    target: `${goal} x ${peer}${besides}`,
    reached(results) {
      const [ours] = results.measured;
      const theirs = rateOf(results, peer);
      if (ours === undefined || theirs === undefined) return undefined;
      const rate = rateOf(results, ours.name)!;
      const ratio = rate.median / theirs.median;
      return { figure: `${spread(rate)}/s`, ratio: `${times(ratio)} ${peer}`, isMet: ratio >= goal };
    },
  };
}

function noSlower(percentile: "p50" | "p99"): Target {
  return {
    scenario: "latency",
    work: `${percentile} of the latency from the producer to the handler, 200 messages/s`,
    target: "at most that of Arroyo for Rust",
    reached(results) {
      const figure = figureNamed("latency", percentile);
      const [ours] = results.measured;
      const theirs = results.measured.find(({ name }) => name === "Arroyo for Rust");
      if (ours === undefined || theirs === undefined) return undefined;
      const latency = figureOf(ours, figure);
      const ratio = latency.median / figureOf(theirs, figure).median;
      return {
        figure: `${spread(latency)} ms`,
        ratio: `${times(ratio)} Arroyo for Rust`,
        isMet: ratio <= 1,
      };
    },
  };
}

function atMost(
  scenario: string,
  work: string,
  of: string,
  limit: number,
  unit: string,
  program?: string,
): Target {
  return {
    scenario,
    work,
    target: `at most ${limit} ${unit}`,
    reached(results) {
      const ours =
        program === undefined ? results.measured[0] : results.measured.find(({ name }) => name === program);
      if (ours === undefined) return undefined;
      const figure = figureOf(ours, figureNamed(scenario, of));
      return {
        figure: `${spread(figure)} ${unit}`,
        ratio: `${times(figure.median / limit)} of the limit`,
        isMet: figure.median <= limit,
      };
    },
  };
}

function flat(scenario: string, work: string, limit: number): Target {
  return { ...atMost(scenario, work, "grown", limit, "MB"), target: `flat: at most ${limit} MB` };
}

function share(results: Results, one: string, other: string, least?: number): Reached | undefined {
  const rate = rateOf(results, one);
  const base = rateOf(results, other);
  if (rate === undefined || base === undefined) return undefined;
  const ratio = rate.median / base.median;
  return {
    figure: `${spread(rate)}/s`,
    ratio: `${Math.round(ratio * 100)} % of ${other}`,
    isMet: least === undefined ? undefined : ratio >= least,
  };
}

function rateOf({ scenario, measured }: Results, name: string): Summary | undefined {
  const found = measured.find((candidate) => candidate.name === name);
  return found === undefined ? undefined : figureOf(found, figureNamed(scenario, "throughput"));
}

/** What two reached in the same round, so that drift is out of it. */
function pairs(
  { measured }: Results,
  figure: Figure,
  one: string,
  other: string,
): (readonly [number, number])[] {
  const samplesOf = (name: string): number[] =>
    (measured.find((candidate) => candidate.name === name)?.samples ?? []).map((sample) => figure.of(sample));
  const others = samplesOf(other);
  return samplesOf(one).flatMap((value, i) => (others[i] === undefined ? [] : [[value, others[i]] as const]));
}

function figureNamed(scenario: string, name: string): Figure {
  const found = ALL[scenario]?.figures.find((figure) => figure.name === name);
  if (found === undefined) throw new Error(`${scenario} has no "${name}"`);
  return found;
}

function spread({ median, min, max }: Summary): string {
  return min === max
    ? `**${written(median)}**`
    : `**${written(median)}** (${written(min)} to ${written(max)})`;
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)} x`;
}
