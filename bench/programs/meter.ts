import { Gap } from "./gap.ts";
import { peakMegabytes, printSample } from "./sample.ts";

/** What a measured program is told by its environment. */
export const settings: {
  readonly bootstrapServers: string;
  readonly topic: string;
  /** A run ends with so many messages, or after so long: whichever comes first. */
  readonly messages: number;
  readonly seconds: number;
} = {
  bootstrapServers: required("BENCH_BOOTSTRAP_SERVERS"),
  topic: required("BENCH_TOPIC"),
  messages: Number(required("BENCH_MESSAGES")),
  seconds: Number(required("BENCH_SECONDS")),
};

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: programs are started by bench/main.ts`);
  return value;
}

/** Messages between two looks at the clock. */
const LOOK_EVERY = 4_096;

/** Counts messages from the first one on until the run is over, and prints what that took as one line of JSON. */
export class Meter {
  #seen = 0;
  #startedMs = 0;
  #startedCpu: NodeJS.CpuUsage = { user: 0, system: 0 };
  #isOver = false;
  /** Between two looks at the clock: what stands still is seen, and a single message costs nothing. */
  readonly #gap = new Gap();

  /** Begins before the first message, where it is not enough to begin with it. */
  start(): void {
    this.#startedMs = performance.now();
    this.#gap.look(this.#startedMs);
    this.#startedCpu = process.cpuUsage();
  }

  /** Counts a message. Returns true once: with the message that ends the run. */
  hit(): boolean {
    if (this.#startedMs === 0) this.start();
    this.#seen++;
    if (this.#seen !== settings.messages && this.#seen % LOOK_EVERY !== 0) return false;
    const nowMs = performance.now();
    this.#gap.look(nowMs);
    const isTimeUp = nowMs - this.#startedMs >= settings.seconds * 1_000;
    if (this.#isOver || (this.#seen < settings.messages && !isTimeUp)) return false;
    this.#isOver = true;
    return true;
  }

  /** @param more what the line says besides. */
  print(more: Readonly<Record<string, number>> = {}): void {
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    const cpu = process.cpuUsage(this.#startedCpu);
    const cpuSeconds = (cpu.user + cpu.system) / 1e6;
    printSample({
      ...more,
      messages: this.#seen,
      seconds,
      nsPerMessage: (seconds / this.#seen) * 1e9,
      cpuNsPerMessage: (cpuSeconds / this.#seen) * 1e9,
      longestGapMs: this.#gap.longestMs,
      peakMegabytes: peakMegabytes(),
    });
  }
}
