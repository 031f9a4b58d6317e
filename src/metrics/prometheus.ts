import { Counter, Gauge, Histogram, register, type Registry } from "prom-client";
import { systemClock, type Clock } from "../clock.ts";
import { ConfigurationError } from "../errors.ts";
import { describeMetric, type MetricDescription } from "./definitions.ts";
import { LastValues } from "./last-values.ts";
import type { Metrics, MetricTags } from "./metrics.ts";
import { METRICS, type MetricDefinition } from "./names.ts";
import { prometheusShape } from "./prometheus-names.ts";

export type { MetricDescription } from "./definitions.ts";

/** Seconds: from a message that is handled at once to a consumer that is an hour behind. */
const SECONDS_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600];
const SIZE_BUCKETS = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/** What each gauge shows, whichever of a registry's PrometheusMetrics has set it. */
const gaugeValues = new WeakMap<Gauge, LastValues>();

/** Where {@link PrometheusMetrics} registers, and with which labels. */
export interface PrometheusMetricsOptions {
  /** Where the metrics are registered. Default: prom-client's own registry. */
  readonly registry?: Registry | undefined;
  /** Labels that every metric gets, such as the name of the consumer, where a process has several. */
  readonly labels?: MetricTags | undefined;
  /** Upper bounds of a histogram's buckets, by the name of the metric. */
  readonly buckets?: Readonly<Record<string, readonly number[]>> | undefined;
  /** Metrics of one's own. One that is in no catalogue takes the labels of its first use. */
  readonly definitions?: Readonly<Record<string, MetricDescription>> | undefined;
  readonly clock?: Clock | undefined;
}

type Instrument = Counter | Gauge | Histogram;

/**
 * Hands metrics on to prom-client, under Prometheus' names: `arroyo.consumer.latency` (seconds) becomes the histogram
 * `arroyo_consumer_latency_seconds`, `arroyo.consumer.poll.time` the counter `arroyo_consumer_poll_time_seconds_total`.
 * Every metric of the catalogue is there from the start, so that an alert does not wait for its first event.
 *
 * A gauge with labels that was not set for two minutes is left out of the page: its partition is somebody else's by now.
 *
 * ```ts
 * const metrics = new PrometheusMetrics({ labels: { consumer: "orders" } });
 * const processor = new StreamProcessor({ consumer, topic, factory, metrics });
 * ```
 */
export class PrometheusMetrics implements Metrics {
  readonly registry: Registry;
  readonly #labels: MetricTags;
  readonly #buckets: Readonly<Record<string, readonly number[]>>;
  readonly #definitions: Readonly<Record<string, MetricDescription>>;
  readonly #clock: Clock;
  readonly #instruments = new Map<string, Instrument>();

  constructor(options: PrometheusMetricsOptions = {}) {
    this.registry = options.registry ?? register;
    this.#labels = options.labels ?? {};
    this.#buckets = options.buckets ?? {};
    this.#definitions = options.definitions ?? {};
    this.#clock = options.clock ?? systemClock;
    for (const [name, definition] of [...METRICS, ...Object.entries(this.#definitions)]) {
      this.#instrument(name, { type: definition.type, tags: definition.tags });
    }
  }

  increment(name: string, value: number = 1, tags?: MetricTags): void {
    this.#record(name, "counter", value, tags);
  }

  gauge(name: string, value: number, tags?: MetricTags): void {
    this.#record(name, "gauge", value, tags);
  }

  timing(name: string, value: number, tags?: MetricTags): void {
    this.#record(name, "timing", value, tags);
  }

  #record(name: string, type: MetricDefinition["type"], value: number, tags: MetricTags = {}): void {
    const instrument = this.#instrument(name, { type, tags: Object.keys(tags) });
    const labels = { ...this.#labels, ...tags };
    if (instrument instanceof Histogram) instrument.observe(labels, value);
    else if (instrument instanceof Counter) instrument.inc(labels, value);
    else gaugeValues.get(instrument)?.set(labels, value, Object.keys(tags).length > 0);
  }

  #instrument(name: string, firstUse: Pick<MetricDefinition, "type" | "tags">): Instrument {
    const known = this.#instruments.get(name);
    if (known !== undefined) return known;
    const definition = describeMetric(name, this.#definitions, firstUse);
    const labelNames = [...Object.keys(this.#labels), ...definition.tags];
    const shape = prometheusShape(name, definition);
    const instrument = this.#shared(shape.name, labelNames) ?? this.#make(name, definition, labelNames);
    this.#instruments.set(name, instrument);
    return instrument;
  }

  /** The metric that another consumer of this process has registered already. */
  #shared(name: string, labelNames: readonly string[]): Instrument | undefined {
    const existing = this.registry.getSingleMetric(name) as
      (Instrument & { labelNames: string[] }) | undefined;
    if (existing === undefined) return undefined;
    if (labelNames.every((label) => existing.labelNames.includes(label))) return existing;
    throw new ConfigurationError(
      `The metric ${name} is registered already, with the labels [${existing.labelNames.join(", ")}] instead of ` +
        `[${labelNames.join(", ")}]: give every PrometheusMetrics of a registry the same label names, or a registry each.`,
    );
  }

  #make(name: string, definition: MetricDefinition, labelNames: string[]): Instrument {
    const shape = prometheusShape(name, definition);
    const common = { name: shape.name, help: definition.meaning, labelNames, registers: [this.registry] };
    if (shape.kind === "counter") return new Counter(common);
    if (shape.kind === "histogram") {
      const buckets = this.#buckets[name] ?? (definition.unit === "seconds" ? SECONDS_BUCKETS : SIZE_BUCKETS);
      return new Histogram({ ...common, buckets: [...buckets] });
    }
    const values = new LastValues(this.#clock);
    const gauge = new Gauge({
      ...common,
      collect() {
        this.reset();
        // A gauge without labels starts at 0; one that nobody has set yet is better absent.
        this.remove({});
        for (const { tags, value } of values.current()) this.set(tags, value);
      },
    });
    gaugeValues.set(gauge, values);
    return gauge;
  }
}
