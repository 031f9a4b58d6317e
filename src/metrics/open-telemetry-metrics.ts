import { metrics as api, type Meter, type ObservableResult } from "@opentelemetry/api";
import { systemClock, type Clock } from "../clock.ts";
import { describeMetric, type MetricDescription } from "./definitions.ts";
import { LastValues } from "./last-values.ts";
import type { Metrics, MetricTags } from "./metrics.ts";
import type { MetricDefinition } from "./names.ts";

/** Where {@link OpenTelemetryMetrics} gets its instruments from. */
export interface OpenTelemetryMetricsOptions {
  /** Default: `metrics.getMeter("arroyo")` of the API, so of the SDK that the process has set up. */
  readonly meter?: Meter | undefined;
  /** Attributes that every metric gets, such as the name of the consumer, where a process has several. */
  readonly attributes?: MetricTags | undefined;
  /** Metrics of one's own. */
  readonly definitions?: Readonly<Record<string, MetricDescription>> | undefined;
  readonly clock?: Clock | undefined;
}

type Instrument = (value: number, attributes: MetricTags, varies: boolean) => void;

/** Units as UCUM spells them, as OpenTelemetry wants them. */
const UCUM: Readonly<Record<MetricDefinition["unit"], string>> = {
  bytes: "By",
  seconds: "s",
  "seconds per flush": "s",
  events: "{event}",
  messages: "{message}",
  requests: "{request}",
  partitions: "{partition}",
  batches: "{batch}",
  workers: "{worker}",
};

/**
 * Hands metrics on to OpenTelemetry, under their own names: counters as counters, single times as histograms, times that
 * come as the sum of each second as counters of seconds, gauges as they were set last.
 *
 * A gauge with tags that was not set for two minutes is not reported any more: its partition is somebody else's by now. (A
 * reader with cumulative temporality goes on showing its last value; choose delta for gauges, as most backends advise.)
 *
 * ```ts
 * const processor = new StreamProcessor({ consumer, topic, factory, metrics: new OpenTelemetryMetrics() });
 * ```
 */
export class OpenTelemetryMetrics implements Metrics {
  readonly #meter: Meter;
  readonly #attributes: MetricTags;
  readonly #definitions: Readonly<Record<string, MetricDescription>>;
  readonly #clock: Clock;
  readonly #instruments = new Map<string, Instrument>();

  constructor(options: OpenTelemetryMetricsOptions = {}) {
    this.#meter = options.meter ?? api.getMeter("arroyo");
    this.#attributes = options.attributes ?? {};
    this.#definitions = options.definitions ?? {};
    this.#clock = options.clock ?? systemClock;
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
    let instrument = this.#instruments.get(name);
    if (instrument === undefined) {
      instrument = this.#make(name, type, Object.keys(tags));
      this.#instruments.set(name, instrument);
    }
    const varies = Object.keys(tags).length > 0;
    instrument(value, varies ? { ...this.#attributes, ...tags } : this.#attributes, varies);
  }

  #make(name: string, usedAs: MetricDefinition["type"], tags: readonly string[]): Instrument {
    const { type, unit, meaning } = describeMetric(name, this.#definitions, { type: usedAs, tags });
    const options = { description: meaning, unit: UCUM[unit] };
    if (type === "gauge") {
      const values = new LastValues(this.#clock);
      const gauge = this.#meter.createObservableGauge(name, options);
      gauge.addCallback((result: ObservableResult) => {
        for (const current of values.current()) result.observe(current.value, current.tags);
      });
      return (value, attributes, varies) => values.set(attributes, value, varies);
    }
    if (type === "timing" && unit !== "seconds per flush") {
      const histogram = this.#meter.createHistogram(name, options);
      return (value, attributes) => histogram.record(value, attributes);
    }
    const counter = this.#meter.createCounter(name, options);
    return (value, attributes) => counter.add(value, attributes);
  }
}
