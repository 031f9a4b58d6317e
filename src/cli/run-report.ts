import { clearInterval, setInterval } from "node:timers";
import { inspect } from "node:util";
import type { Consumer } from "../backend/consumer.ts";
import { ArroyoError } from "../errors.ts";
import { sentence } from "../log-sentence.ts";
import { stderrLogger, writeForTerminal, type Logger } from "../logger.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { MetricName } from "../metrics/names.ts";
import { formatDuration } from "./duration.ts";
import { count, perSecond, ProgressLine } from "./progress-line.ts";

/** The processor hands its counts on once a second. */
const EVERY_MS = 1_000;

/**
 * What a run tells its user. On a terminal: sentences, and one line of progress. Otherwise: log lines of JSON, for whatever
 * collects them.
 */
export class RunReport {
  readonly #json: boolean;
  readonly #line = new ProgressLine(process.stderr);
  readonly #startedMs: number = performance.now();
  #messages = 0;

  constructor(json: boolean) {
    this.#json = json;
    // What other threads say while this one is blocked must not look different, nor stand behind the progress.
    if (this.#sentences) writeForTerminal();
  }

  get #sentences(): boolean {
    return this.#line.terminal && !this.#json;
  }

  get logger(): Logger {
    if (!this.#sentences) return stderrLogger;
    const say =
      (level: keyof Logger): Logger["info"] =>
      (fields, message) =>
        this.#line.say(sentence(level, fields, message));
    const debug = process.env["ARROYO_LOG"] === "debug" ? say("debug") : () => {};
    return { debug, info: say("info"), warn: say("warn"), error: say("error") };
  }

  note(message: string): void {
    if (this.#sentences) this.#line.say(message);
    else stderrLogger.info({}, message);
  }

  /** What has ended it. `isLogged`: whoever it came from has logged it, with its stack; a terminal has seen no stack yet. */
  failed(error: unknown, isLogged: boolean): void {
    if (this.#sentences) {
      if (!(error instanceof ArroyoError)) this.#line.say(inspect(error));
      else if (!isLogged) this.#line.say(`error: ${error.message}`);
    } else if (!isLogged) stderrLogger.error({ err: error }, "The run has failed.");
  }

  /** Passes metrics on, and counts the messages on the way. */
  counting(metrics: Metrics): Metrics {
    return {
      increment: (name, value = 1, tags) => {
        if (name === MetricName.MESSAGES_RECEIVED) this.#messages += value;
        metrics.increment(name, value, tags);
      },
      gauge: (name, value, tags) => metrics.gauge(name, value, tags),
      timing: (name, value, tags) => metrics.timing(name, value, tags),
    };
  }

  /** Shows how it goes, where somebody looks. */
  watch(consumer: Consumer<unknown>): Disposable {
    if (!this.#sentences) return { [Symbol.dispose]() {} };
    let before = this.#messages;
    const timer = setInterval(() => {
      const rate = (this.#messages - before) / (EVERY_MS / 1_000);
      before = this.#messages;
      const partitions = consumer.closed ? 0 : consumer.tell().size;
      const read = counted(this.#messages, "message");
      const held = partitions === 0 ? "no partitions" : counted(partitions, "partition");
      this.#line.show(`${read}, ${perSecond(rate)}, ${held}`);
    }, EVERY_MS);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        this.#line.clear();
      },
    };
  }

  summary(outcome: "stopped" | "failed"): void {
    const tookMs = performance.now() - this.#startedMs;
    if (this.#json) {
      const seconds = Number((tookMs / 1_000).toFixed(3));
      process.stdout.write(`${JSON.stringify({ outcome, messages: this.#messages, seconds })}\n`);
    } else if (this.#sentences) {
      this.#line.say(
        `${outcome} after ${formatDuration(tookMs)}, ${counted(this.#messages, "message")} read`,
      );
    }
  }
}

function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}
