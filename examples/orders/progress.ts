import { statSync } from "node:fs";
import { formatDuration } from "../../src/cli/duration.ts";
import { silentLogger, type LogFields, type Logger } from "../../src/index.ts";

const TICK_MS = 100;
const PLAIN_LINE_MS = 1_000;
const RATE_OVER_MS = 1_000;

/** What the pipeline has done in this run. */
export interface Counts {
  read: number;
  filtered: number;
  written: number;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

function ageOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined
    ? "not there yet"
    : `${formatDuration(Math.max(0, Date.now() - stats.mtimeMs))} old`;
}

/** Shows how the pipeline gets on: one line that changes on a terminal, a line a second elsewhere. */
export class Progress {
  readonly #counts: Readonly<Counts>;
  readonly #lag: () => number | undefined;
  readonly #healthPath: string;
  readonly #out: NodeJS.WriteStream;
  readonly #samples: { readonly ms: number; readonly read: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #lastLag: number | undefined;

  /** `lag` tells how many messages are still to be read; undefined while that is not known. */
  constructor(
    counts: Readonly<Counts>,
    lag: () => number | undefined,
    healthPath: string,
    out: NodeJS.WriteStream,
  ) {
    this.#counts = counts;
    this.#lag = lag;
    this.#healthPath = healthPath;
    this.#out = out;
  }

  /** Begins to show; calls `onTick` a few times a second, with what is still to be read. */
  start(onTick: (lag: number | undefined) => void): void {
    this.#draw();
    let nextLineMs = performance.now() + PLAIN_LINE_MS;
    this.#timer = setInterval(() => {
      const lag = this.#lag();
      this.#lastLag = lag ?? this.#lastLag;
      onTick(lag);
      if (this.#out.isTTY || performance.now() >= nextLineMs) {
        nextLineMs += PLAIN_LINE_MS;
        this.#draw();
      }
    }, TICK_MS);
  }

  /** A logger that shows what is worth a look, without the progress running into it. */
  get logger(): Logger {
    const say = (fields: LogFields, message: string): void =>
      this.say(`${message} ${JSON.stringify(fields)}`);
    return { ...silentLogger, warn: say, error: say };
  }

  /** Writes a line that stays. */
  say(text: string): void {
    this.#out.write(this.#out.isTTY && this.#timer !== undefined ? `\r\x1b[K${text}\n` : `${text}\n`);
  }

  /** Shows the last state, for good. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#draw();
    this.#timer = undefined;
    if (this.#out.isTTY) this.#out.write("\n");
  }

  #rate(): number {
    const now = performance.now();
    this.#samples.push({ ms: now, read: this.#counts.read });
    while (this.#samples.length > 2 && this.#samples[1]!.ms < now - RATE_OVER_MS) this.#samples.shift();
    const first = this.#samples[0]!;
    const elapsedMs = now - first.ms;
    return elapsedMs === 0 ? 0 : ((this.#counts.read - first.read) / elapsedMs) * 1_000;
  }

  #draw(): void {
    const { read, filtered, written } = this.#counts;
    const lag = this.#lastLag;
    const line =
      `read ${count(read)} (${count(Math.round(this.#rate()))}/s)  filtered ${count(filtered)}  ` +
      `written ${count(written)}  lag ${lag === undefined ? "unknown" : count(lag)}  ` +
      `health file ${ageOf(this.#healthPath)}`;
    if (this.#out.isTTY) this.#out.write(`\r\x1b[K${line.slice(0, this.#out.columns - 1)}`);
    else this.#out.write(`${line}\n`);
  }
}
