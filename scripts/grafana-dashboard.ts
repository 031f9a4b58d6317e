import { METRICS, MetricName } from "../src/metrics/names.ts";
import { prometheusShape } from "../src/metrics/prometheus-names.ts";

type Unit = "s" | "percentunit" | "short" | "ops" | "bytes";

interface Panel {
  readonly title: string;
  /** What somebody on call should read out of it. */
  readonly description: string;
  readonly unit: Unit;
  readonly queries: readonly (readonly [expression: string, legend: string])[];
  readonly stacked?: boolean;
}

const WHERE = `{consumer=~"$consumer"}`;
const COLUMNS = 2;
const WIDTH = 24 / COLUMNS;
const HEIGHT = 8;

function prometheus(name: MetricName): string {
  return prometheusShape(name, METRICS.get(name)!).name;
}

function perSecond(name: MetricName, by = ""): string {
  return `sum by (consumer${by === "" ? "" : `, ${by}`}) (rate(${prometheus(name)}${WHERE}[$__rate_interval]))`;
}

function happened(name: MetricName, by = ""): string {
  return `sum by (consumer${by === "" ? "" : `, ${by}`}) (increase(${prometheus(name)}${WHERE}[$__rate_interval]))`;
}

function now(name: MetricName, by = ""): string {
  return `sum by (consumer${by === "" ? "" : `, ${by}`}) (${prometheus(name)}${WHERE})`;
}

function quantile(q: number, name: MetricName): string {
  return `histogram_quantile(${q}, sum by (consumer, le) (rate(${prometheus(name)}_bucket${WHERE}[$__rate_interval])))`;
}

const PANELS: readonly Panel[] = [
  {
    title: "Messages",
    description: "Messages that were taken from the consumer, each second.",
    unit: "ops",
    queries: [[perSecond(MetricName.MESSAGES_RECEIVED), "{{consumer}}"]],
  },
  {
    title: "Latency: message to commit",
    description: "From a message's timestamp to its commit. If it grows steadily, the consumer is too slow.",
    unit: "s",
    queries: [
      [quantile(0.5, MetricName.LATENCY), "{{consumer}} p50"],
      [quantile(0.99, MetricName.LATENCY), "{{consumer}} p99"],
    ],
  },
  {
    title: "Where each second goes",
    description:
      "Share of each second. Much waiting: idle. Much processing: the main thread is full. Much back-pressure: a later " +
      "step (a producer, a slow task) is.",
    unit: "percentunit",
    stacked: true,
    queries: [
      [perSecond(MetricName.POLL_TIME), "{{consumer}} waiting for messages"],
      [perSecond(MetricName.PROCESSING_TIME), "{{consumer}} processing"],
      [perSecond(MetricName.BACKPRESSURE_TIME), "{{consumer}} back-pressure"],
      [perSecond(MetricName.JOIN_TIME), "{{consumer}} draining"],
      [perSecond(MetricName.DLQ_TIME), "{{consumer}} dead letters"],
    ],
  },
  {
    title: "Commits",
    description:
      "By how they ended. Anything but success, for longer than a coordinator's restart, is trouble.",
    unit: "ops",
    queries: [[perSecond(MetricName.COMMIT_STATUS, "status"), "{{consumer}} {{status}}"]],
  },
  {
    title: "Rebalances",
    description:
      "Partitions that came, went in good order, or were lost (what was in work is handled again).",
    unit: "short",
    queries: [
      [happened(MetricName.PARTITIONS_ASSIGNED), "{{consumer}} assigned"],
      [happened(MetricName.PARTITIONS_REVOKED), "{{consumer}} revoked"],
      [happened(MetricName.PARTITIONS_LOST), "{{consumer}} lost"],
      [happened(MetricName.KAFKA_POLL_EXPIRED), "{{consumer}} thrown out: main thread blocked"],
    ],
  },
  {
    title: "Drains",
    description:
      "How long the strategies took to finish before a hand-over, and how often they were too slow.",
    unit: "s",
    queries: [
      [quantile(0.99, MetricName.CLOSE_STRATEGY), "{{consumer}} p99"],
      [happened(MetricName.JOIN_TIMEOUT), "{{consumer}} out of time (count)"],
    ],
  },
  {
    title: "Invalid messages",
    description: "What the strategies called invalid, and the dead letters that were delivered.",
    unit: "short",
    queries: [
      [happened(MetricName.INVALID_MESSAGES), "{{consumer}} invalid"],
      [happened(MetricName.DLQ_DELIVERED), "{{consumer}} dead letters delivered"],
      [now(MetricName.DLQ_IN_FLIGHT), "{{consumer}} dead letters on their way"],
    ],
  },
  {
    title: "Produced",
    description: "Messages that Produce has sent, by how it ended.",
    unit: "ops",
    queries: [[perSecond(MetricName.PRODUCE_STATUS, "status"), "{{consumer}} {{status}}"]],
  },
  {
    title: "Retries and workers",
    description: "Tasks that were tried again; workers that died or stalled.",
    unit: "short",
    queries: [
      [happened(MetricName.TASK_RETRIES), "{{consumer}} tasks tried again"],
      [happened(MetricName.WORKER_DIED), "{{consumer}} workers died"],
      [happened(MetricName.WORKER_STALLED), "{{consumer}} workers stalled"],
    ],
  },
];

const DATA_SOURCE = { type: "prometheus", uid: "${datasource}" };

function panel({ title, description, unit, queries, stacked = false }: Panel, index: number): unknown {
  const column = index % COLUMNS;
  const row = Math.floor(index / COLUMNS);
  return {
    id: index + 1,
    type: "timeseries",
    title,
    description,
    datasource: DATA_SOURCE,
    gridPos: { x: column * WIDTH, y: row * HEIGHT, w: WIDTH, h: HEIGHT },
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        custom: { fillOpacity: stacked ? 30 : 5, stacking: { mode: stacked ? "normal" : "none" } },
      },
      overrides: [],
    },
    options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi" } },
    targets: queries.map(([expr, legendFormat], at) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + at),
      datasource: DATA_SOURCE,
      expr,
      legendFormat,
    })),
  };
}

/** deploy/grafana/arroyo.json: a dashboard over what `arroyo/metrics/prometheus` exports. */
export function grafanaDashboard(): string {
  return JSON.stringify({
    title: "Arroyo consumers",
    uid: "arroyo-consumers",
    tags: ["arroyo", "kafka"],
    schemaVersion: 39,
    editable: true,
    time: { from: "now-3h", to: "now" },
    refresh: "30s",
    templating: {
      list: [
        { name: "datasource", type: "datasource", query: "prometheus", label: "Data source" },
        {
          name: "consumer",
          type: "query",
          label: "Consumer",
          datasource: DATA_SOURCE,
          query: `label_values(${prometheus(MetricName.RUN_COUNT)}, consumer)`,
          refresh: 2,
          includeAll: true,
          allValue: ".*",
          multi: true,
        },
      ],
    },
    panels: PANELS.map(panel),
  });
}
