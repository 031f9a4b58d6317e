import { systemClock, type Clock, type ClockTimer } from "../../../src/clock.ts";
import { Cluster } from "../../../src/kafka/client/cluster.ts";
import type { ClientConfig } from "../../../src/kafka/client/client-config.ts";
import type { LogFields, Logger } from "../../../src/logger.ts";
import { clientConfig } from "./client-config.ts";
import { metadataBody, type FakeBroker, type FakeTopic } from "./fake-broker.ts";

const METADATA = 3;

/** Lines as they come, and a way to wait for one. */
export class RecordingLogger implements Logger {
  readonly lines: string[] = [];
  #waiting: { readonly pattern: RegExp; readonly resolve: () => void }[] = [];

  debug(): void {}
  info(_fields: LogFields, message: string): void {
    this.#take(`info: ${message}`);
  }
  warn(_fields: LogFields, message: string): void {
    this.#take(`warn: ${message}`);
  }
  error(_fields: LogFields, message: string): void {
    this.#take(`error: ${message}`);
  }

  line(pattern: RegExp): Promise<void> {
    if (this.lines.some((line) => pattern.test(line))) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ pattern, resolve }));
  }

  #take(line: string): void {
    this.lines.push(line);
    for (const { pattern, resolve } of this.#waiting) if (pattern.test(line)) resolve();
  }
}

/** Time that goes a hundred times faster, where a wait of seconds is part of what is tested. */
export const fastClock: Clock = {
  ...systemClock,
  setTimeout: (callback, delayMs) => systemClock.setTimeout(callback, delayMs / 100),
};

/** The machine's time, but timers of so many milliseconds go off when the test says so. */
export class HeldTimers implements Clock {
  readonly #heldMs: number;
  readonly #held = new Set<() => void>();

  constructor(heldMs: number) {
    this.#heldMs = heldMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  nowMs(): number {
    return systemClock.nowMs();
  }

  setTimeout(callback: () => void, delayMs: number): ClockTimer {
    if (delayMs !== this.#heldMs) return systemClock.setTimeout(callback, delayMs);
    this.#held.add(callback);
    return { cancel: () => this.#held.delete(callback) };
  }

  goOff(): void {
    for (const callback of [...this.#held]) callback();
  }
}

export interface TestCluster extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly logger: RecordingLogger;
}

export function clusterOf(
  ports: readonly number[],
  settings: Partial<ClientConfig> = {},
  clock: Clock = systemClock,
): TestCluster {
  const logger = new RecordingLogger();
  const cluster = new Cluster({ config: clientConfig(ports, settings), clock, logger });
  return { cluster, logger, [Symbol.asyncDispose]: () => cluster.close() };
}

export function servesMetadata(broker: FakeBroker, topics: readonly FakeTopic[] = [], nodeId = 1): void {
  broker.on(METADATA, (request) => request.answer(metadataBody([{ nodeId, port: broker.port }], topics)));
}
