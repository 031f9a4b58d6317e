import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { inspect } from "node:util";
import type { Consumer } from "../backend/consumer.ts";
import type { Clock } from "../clock.ts";
import type { Partition } from "../message/partition.ts";
import type { HealthCheck } from "../health/monitor.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { MetricName } from "../metrics/names.ts";
import { ProcessorChannel, type ProcessorEvents } from "../processing/events.ts";
import { ChainView } from "./chain-view.ts";
import { CpuShares } from "./cpu-shares.ts";
import type { DashboardEvent, DashboardPoint, DashboardState, PartitionState } from "./state.ts";

const MAX_POINTS = 600;
const MAX_EVENTS = 200;
/** So many partitions are named in the line of an event. */
const NAMED_PARTITIONS = 8;
/** So many invalid messages have a line of their own each second: they must not wash away the rest. */
const NOTED_INVALID = 3;

export interface ObserverOptions {
  readonly title: string;
  readonly consumer: Pick<Consumer<unknown>, "tell" | "closed" | "memberId" | "lag">;
  readonly clock: Clock;
  readonly health: () => readonly HealthCheck[];
}

/**
 * Follows one processor from outside: its events over `node:diagnostics_channel`, its metrics, and the steps of its chain.
 * `sample` sums up what has happened since the last call.
 */
export class Observer implements Disposable {
  readonly points: DashboardPoint[] = [];
  readonly events: DashboardEvent[] = [];
  readonly #options: ObserverOptions;
  readonly #startedAtMs: number;
  readonly #cpu = new CpuShares();
  readonly #unsubscribe: (() => void)[] = [];
  readonly #committed = new Map<Partition, number>();
  #processor: object | undefined;
  #state: DashboardState["state"] = "starting";
  #error: string | undefined;
  #chain: ChainView | undefined;
  /** A rebalance has taken all partitions. */
  #isEmptied = false;
  readonly #totals = { messages: 0, invalid: 0, deadLetters: 0, rebalances: 0 };
  /** Since the last sample. */
  #recent = { messages: 0, invalid: 0, processingMs: 0, backpressureMs: 0 };
  #latencyMs: number | undefined;
  #sampledMs: number;
  #lastEventId = 0;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.nowMs();
    this.#sampledMs = options.clock.monotonicMs();
    this.#listen();
  }

  /** Says which processor it is about; events of others are passed over. To be called before it runs. */
  follow(processor: object): void {
    this.#processor = processor;
  }

  /** Passes metrics on, and reads on the way what the page shows. */
  metrics(target: Metrics): Metrics {
    return {
      increment: (name, value = 1, tags) => {
        if (name === MetricName.DLQ_DELIVERED) this.#totals.deadLetters += value;
        target.increment(name, value, tags);
      },
      gauge: (name, value, tags) => target.gauge(name, value, tags),
      timing: (name, value, tags) => {
        if (name === MetricName.LATENCY) this.#latencyMs = value * 1_000;
        if (name === MetricName.PROCESSING_TIME) this.#recent.processingMs += value * 1_000;
        if (name === MetricName.BACKPRESSURE_TIME) this.#recent.backpressureMs += value * 1_000;
        target.timing(name, value, tags);
      },
    };
  }

  /** One second of the curves, and how everything stands now. */
  sample(): { readonly point: DashboardPoint; readonly state: DashboardState } {
    const { clock, consumer } = this.#options;
    const nowMs = clock.monotonicMs();
    const seconds = Math.max(0.001, (nowMs - this.#sampledMs) / 1_000);
    this.#sampledMs = nowMs;
    const { messages, invalid, processingMs, backpressureMs } = this.#recent;
    this.#recent = { messages: 0, invalid: 0, processingMs: 0, backpressureMs: 0 };
    if (invalid > NOTED_INVALID) {
      this.#note("invalid", `${invalid - NOTED_INVALID} more messages were invalid in that second`);
    }
    const partitions = this.#partitions();
    const known = partitions.flatMap(({ lag }) => lag ?? []);
    const chain = this.#chain?.take(this.#committed, seconds) ?? [];
    const cpu = this.#cpu.take();
    const atMs = clock.nowMs();
    const point: DashboardPoint = {
      atMs,
      // What comes from the consumer comes in large batches; what the chain takes is steadier.
      messagesPerSecond: chain[0]?.perSecond ?? Math.round(messages / seconds),
      latencyMs: this.#latencyMs,
      lag: known.length === 0 ? undefined : known.reduce((sum, lag) => sum + lag, 0),
      processing: share(processingMs / 1_000 / seconds),
      backpressure: share(backpressureMs / 1_000 / seconds),
      mainCpu: round(cpu.main),
      otherCpu: round(cpu.others),
    };
    this.#latencyMs = undefined;
    this.points.push(point);
    if (this.points.length > MAX_POINTS) this.points.shift();
    const state: DashboardState = {
      atMs,
      startedAtMs: this.#startedAtMs,
      title: this.#options.title,
      state: this.#state === "running" && partitions.length === 0 ? "waiting for partitions" : this.#state,
      error: this.#error,
      memberId: consumer.closed ? "" : consumer.memberId,
      totals: { ...this.#totals },
      partitions,
      chain,
      health: this.#options.health(),
    };
    return { point, state };
  }

  [Symbol.dispose](): void {
    for (const stop of this.#unsubscribe) stop();
  }

  #partitions(): PartitionState[] {
    const { consumer } = this.#options;
    if (consumer.closed) return [];
    return [...consumer.tell()]
      .toSorted(([a], [b]) => a.topic.name.localeCompare(b.topic.name) || a.index - b.index)
      .map(([partition, position]) => ({
        topic: partition.topic.name,
        index: partition.index,
        position,
        committed: this.#committed.get(partition),
        lag: consumer.lag?.(partition),
      }));
  }

  #taken(partitions: readonly Partition[]): void {
    const { consumer } = this.#options;
    this.#totals.rebalances++;
    this.#isEmptied =
      consumer.closed || [...consumer.tell().keys()].every((held) => partitions.includes(held));
    this.#forget(partitions);
  }

  #listen(): void {
    this.#on(ProcessorChannel.ASSIGNED, ({ partitions }) => {
      this.#state = "running";
      if (partitions.size === 0) return;
      // What all was given up for comes back in the same rebalance.
      if (!this.#isEmptied) this.#totals.rebalances++;
      this.#isEmptied = false;
      this.#note("assigned", `${counted(partitions.size)} assigned: ${named(partitions.keys())}`);
    });
    this.#on(ProcessorChannel.REVOKED, ({ partitions, tookMs }) => {
      this.#taken(partitions);
      const took = `drained and committed in ${Math.round(tookMs)} ms`;
      this.#note("revoked", `${counted(partitions.length)} handed over, ${took}: ${named(partitions)}`);
    });
    this.#on(ProcessorChannel.LOST, ({ partitions }) => {
      this.#taken(partitions);
      this.#note(
        "lost",
        `${counted(partitions.length)} lost: what was not committed is handled again: ${named(partitions)}`,
      );
    });
    this.#on(ProcessorChannel.CHAIN, ({ strategy }) => {
      this.#chain = strategy === undefined ? undefined : new ChainView(strategy);
    });
    this.#on(ProcessorChannel.RECEIVED, ({ messages }) => {
      this.#recent.messages += messages;
      this.#totals.messages += messages;
    });
    this.#on(ProcessorChannel.BACKPRESSURE, ({ active }) => {
      const text = active
        ? "A step has rejected messages for five seconds: nothing is taken from the consumer"
        : "The back-pressure is over";
      this.#note("backpressure", text);
    });
    this.#on(ProcessorChannel.INVALID, ({ partition, offset, reason }) => {
      this.#totals.invalid++;
      if (++this.#recent.invalid > NOTED_INVALID) return;
      const why = reason === undefined ? "" : `: ${reason}`;
      this.#note("invalid", `Invalid message at ${String(partition)} offset ${offset}${why}`);
    });
    this.#on(ProcessorChannel.COMMITTED, ({ offsets }) => {
      for (const [partition, offset] of offsets) this.#committed.set(partition, offset);
    });
    this.#on(ProcessorChannel.STOPPING, (event) => {
      this.#state = "stopping";
      this.#fail(event);
      this.#note(
        "state",
        this.#error === undefined ? "A shutdown was signalled" : `Stopping: ${this.#error}`,
      );
    });
    this.#on(ProcessorChannel.STOPPED, (event) => {
      this.#fail(event);
      this.#state = this.#error === undefined ? "stopped" : "failed";
      this.#note("state", this.#error === undefined ? "Stopped" : `Failed: ${this.#error}`);
    });
  }

  #on<Name extends ProcessorChannel>(name: Name, handle: (event: ProcessorEvents[Name]) => void): void {
    const listener = (message: unknown): void => {
      const event = message as ProcessorEvents[Name] & { readonly processor: object };
      if (event.processor === this.#processor) handle(event);
    };
    subscribe(name, listener);
    this.#unsubscribe.push(() => unsubscribe(name, listener));
  }

  #fail({ error }: { readonly error?: unknown }): void {
    if (error !== undefined) this.#error = error instanceof Error ? error.message : inspect(error);
  }

  #forget(partitions: readonly Partition[]): void {
    for (const partition of partitions) this.#committed.delete(partition);
  }

  #note(kind: DashboardEvent["kind"], text: string): void {
    this.events.push({ id: ++this.#lastEventId, atMs: this.#options.clock.nowMs(), kind, text });
    if (this.events.length > MAX_EVENTS) this.events.shift();
  }
}

function counted(partitions: number): string {
  return `${partitions} ${partitions === 1 ? "partition" : "partitions"}`;
}

function named(partitions: Iterable<Partition>): string {
  const all = [...partitions].map(String);
  const shown = all.slice(0, NAMED_PARTITIONS).join(", ");
  return all.length > NAMED_PARTITIONS ? `${shown} and ${all.length - NAMED_PARTITIONS} more` : shown;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

function share(value: number): number {
  return Math.min(1, round(value));
}
