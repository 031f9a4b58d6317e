/** What a measured program is told by its environment. */
export const settings: {
  readonly bootstrapServers: string;
  readonly topic: string;
  readonly messages: number;
} = {
  bootstrapServers: required("BENCH_BOOTSTRAP_SERVERS"),
  topic: required("BENCH_TOPIC"),
  messages: Number(required("BENCH_MESSAGES")),
};

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: programs are started by bench/main.ts`);
  return value;
}

/** Counts messages from the first to the last one that is wanted, and prints what that took as one line of JSON. */
export class Meter {
  readonly #wanted: number;
  #seen = 0;
  #startedMs = 0;
  #startedCpu: NodeJS.CpuUsage = { user: 0, system: 0 };

  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  /** Begins before the first message, where it is not enough to begin with it. */
  start(): void {
    this.#startedMs = performance.now();
    this.#startedCpu = process.cpuUsage();
  }

  /** Counts a message. Returns whether it was the last one. */
  hit(): boolean {
    if (this.#startedMs === 0) this.start();
    this.#seen++;
    return this.#seen === this.#wanted;
  }

  /** @param more what the line says besides. */
  print(more: Readonly<Record<string, number>> = {}): void {
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    const cpu = process.cpuUsage(this.#startedCpu);
    const line = {
      ...more,
      messages: this.#seen,
      seconds,
      nsPerMessage: (seconds / this.#seen) * 1e9,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      rssMegabytes: process.memoryUsage().rss / 1e6,
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}
