import type { ReplayOutcome, ReplayProgress } from "../dlq/replay.ts";
import { writeForTerminal, type Logger } from "../logger.ts";
import type { Topic } from "../message/topic.ts";
import { formatDuration } from "./duration.ts";
import { count, perSecond, ProgressLine } from "./progress-line.ts";

const TERMINAL_EVERY_MS = 200;
const LINES_EVERY_MS = 5_000;
/** The rate is that of the last seconds. */
const RATE_OVER_MS = 5_000;

/** What a replay tells its user: progress and complaints on standard error, the summary on standard output. */
export class ReplayReport {
  readonly #from: string;
  readonly #to: string;
  readonly #json: boolean;
  readonly #line = new ProgressLine(process.stderr);
  readonly #startedMs: number = performance.now();
  readonly #samples: { readonly atMs: number; readonly replayed: number }[] = [];

  constructor(from: Topic, to: Topic, json: boolean) {
    this.#from = from.name;
    this.#to = to.name;
    this.#json = json;
    if (this.#line.terminal) writeForTerminal();
  }

  /** How often to tell the progress, in ms. */
  get everyMs(): number {
    return this.#line.terminal ? TERMINAL_EVERY_MS : LINES_EVERY_MS;
  }

  /** Warnings and errors of the clients. */
  get logger(): Logger {
    const note = (fields: Readonly<Record<string, unknown>>, message: string): void => {
      const { err, reason } = fields;
      const why = err instanceof Error ? err.message : reason;
      this.note(typeof why === "string" ? `${message} (${why})` : message);
    };
    return { debug: () => {}, info: () => {}, warn: note, error: note };
  }

  /** A line of its own. */
  note(message: string): void {
    this.#line.say(`arroyo dlq replay: ${message}`);
  }

  progress(progress: ReplayProgress): void {
    const { replayed, keptBack, left } = progress;
    const text =
      left === undefined
        ? `waiting for the partitions of ${this.#from}`
        : [
            `replayed ${count(replayed)}`,
            ...(keptBack > 0 ? [`kept back ${count(keptBack)}`] : []),
            `left ${count(left)}`,
            ...this.#rate(replayed),
          ].join(", ");
    if (this.#line.terminal) this.#line.show(text);
    else this.note(text);
  }

  summary(outcome: ReplayOutcome | "failed", progress: ReplayProgress): void {
    const { replayed, keptBack, left = null } = progress;
    const tookMs = performance.now() - this.#startedMs;
    const rate = replayed / (tookMs / 1_000);
    this.#line.clear();
    if (this.#json) {
      const [from, to, seconds] = [this.#from, this.#to, Number((tookMs / 1_000).toFixed(3))];
      const summary = { outcome, from, to, replayed, keptBack, left, seconds, perSecond: Math.round(rate) };
      process.stdout.write(`${JSON.stringify(summary)}\n`);
      return;
    }
    const messages = replayed === 1 ? "message" : "messages";
    const parts = [
      `${outcome === "failed" ? "failed after " : ""}replayed ${count(replayed)} ${messages} ` +
        `from ${this.#from} to ${this.#to} in ${formatDuration(tookMs)} (${perSecond(rate)})`,
    ];
    if (keptBack > 0) parts.push(`${count(keptBack)} kept back, replayed too often already`);
    if (left === 0) parts.push("nothing left");
    else if (left !== null) parts.push(`${count(left)} left: the next run goes on there`);
    const text = parts.join("; ");
    process.stdout.write(`${text[0]!.toUpperCase()}${text.slice(1)}\n`);
  }

  /** In words, once there is something to compare with. */
  #rate(replayed: number): string[] {
    const nowMs = performance.now();
    this.#samples.push({ atMs: nowMs, replayed });
    while (this.#samples.length > 2 && this.#samples[1]!.atMs <= nowMs - RATE_OVER_MS) this.#samples.shift();
    const { atMs, replayed: before } = this.#samples[0]!;
    return atMs === nowMs ? [] : [perSecond((replayed - before) / ((nowMs - atMs) / 1_000))];
  }
}
