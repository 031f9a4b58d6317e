import { METRICS, MetricName } from "../src/metrics/names.ts";
import { prometheusShape } from "../src/metrics/prometheus-names.ts";

type Unit = "s" | "percentunit" | "short" | "ops" | "bytes";

/** A row of panels, with a heading that folds it away. */
interface Section {
  readonly title: string;
  readonly panels: readonly Panel[];
}

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

function quantile(q: number, name: MetricName, by = ""): string {
  return `histogram_quantile(${q}, sum by (consumer${by === "" ? "" : `, ${by}`}, le) (rate(${prometheus(name)}_bucket${WHERE}[$__rate_interval])))`;
}

const CONSUMER: readonly Panel[] = [
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
    title: "Retries and workers",
    description: "Tasks that were tried again; workers that died or stalled.",
    unit: "short",
    queries: [
      [happened(MetricName.TASK_RETRIES), "{{consumer}} tasks tried again"],
      [happened(MetricName.WORKER_DIED), "{{consumer}} workers died"],
      [happened(MetricName.WORKER_STALLED), "{{consumer}} workers stalled"],
    ],
  },
  {
    title: "Blocked",
    description:
      "Times that the main thread was found stuck, that it had to leave its group for that, and that a logger or metrics " +
      "have thrown.",
    unit: "short",
    queries: [
      [happened(MetricName.STUCK), "{{consumer}} stuck"],
      [happened(MetricName.KAFKA_POLL_EXPIRED), "{{consumer}} left the group"],
      [happened(MetricName.SINK_ERRORS, "sink"), "{{consumer}} {{sink}} has thrown"],
    ],
  },
];

/** What comes with `statistics.interval.ms`, and what the group does. */
const KAFKA: readonly Panel[] = [
  {
    title: "Lag",
    description:
      "Messages that are not delivered, and that are not committed. If the first is small and the second is not, commits fail.",
    unit: "short",
    queries: [
      [now(MetricName.KAFKA_LAG), "{{consumer}} not delivered"],
      [now(MetricName.KAFKA_COMMITTED_LAG), "{{consumer}} not committed"],
    ],
  },
  {
    title: "Lag of each partition",
    description: "One that grows alone has a message that holds it up, or a key that is too frequent.",
    unit: "short",
    queries: [[now(MetricName.KAFKA_LAG, "topic, partition"), "{{topic}}:{{partition}}"]],
  },
  {
    title: "Prefetched",
    description:
      "Records that were fetched and are not delivered. Nothing there and lag: the brokers are the slow ones.",
    unit: "bytes",
    queries: [[now(MetricName.KAFKA_QUEUED_BYTES, "topic, partition"), "{{topic}}:{{partition}}"]],
  },
  {
    title: "The group",
    description: "Partitions that are held, rebalances, and times that the group has put the consumer out.",
    unit: "short",
    queries: [
      [now(MetricName.KAFKA_GROUP_PARTITIONS), "{{consumer}} partitions"],
      [happened(MetricName.KAFKA_REBALANCE), "{{consumer}} rebalances"],
      [happened(MetricName.KAFKA_LOST), "{{consumer}} put out"],
    ],
  },
  {
    title: "The coordinator's silence",
    description:
      "How long ago it has answered. Close to session.timeout.ms, the consumer is about to be put out.",
    unit: "s",
    queries: [[quantile(0.99, MetricName.KAFKA_COORDINATOR_SILENCE), "{{consumer}} p99"]],
  },
  {
    title: "Brokers: round trips",
    description: "The longest of each interval, by broker. One that is far above the others is ill.",
    unit: "s",
    queries: [
      [
        quantile(0.99, MetricName.KAFKA_BROKER_RTT, "client, broker_id"),
        "{{consumer}} {{client}}, broker {{broker_id}} p99",
      ],
    ],
  },
  {
    title: "Brokers: requests in flight",
    description: "What a broker has not answered yet.",
    unit: "short",
    queries: [
      [
        now(MetricName.KAFKA_BROKER_REQUESTS_IN_FLIGHT, "client, broker_id"),
        "{{consumer}} {{client}}, broker {{broker_id}}",
      ],
    ],
  },
  {
    title: "Brokers: connections",
    description:
      "Connections that were made, that have ended, and that failed. All of them, all the time: a bad network.",
    unit: "short",
    queries: [
      [
        happened(MetricName.KAFKA_BROKER_CONNECTS, "client, broker_id"),
        "{{consumer}} {{client}}, broker {{broker_id}} made",
      ],
      [
        happened(MetricName.KAFKA_BROKER_DISCONNECTS, "client, broker_id"),
        "{{consumer}} {{client}}, broker {{broker_id}} ended",
      ],
      [
        happened(MetricName.KAFKA_BROKER_ERRORS, "client, broker_id"),
        "{{consumer}} {{client}}, broker {{broker_id}} failed",
      ],
    ],
  },
];

const PRODUCER: readonly Panel[] = [
  {
    title: "Produced",
    description: "Messages that Produce has sent, by how it ended.",
    unit: "ops",
    queries: [[perSecond(MetricName.PRODUCE_STATUS, "status"), "{{consumer}} {{status}}"]],
  },
  {
    title: "Messages of the producer",
    description: "By what became of them. queue_full: the brokers take less than is produced.",
    unit: "ops",
    queries: [[perSecond(MetricName.PRODUCER_MESSAGES, "status"), "{{consumer}} {{status}}"]],
  },
  {
    title: "Delivery",
    description: "From produce() to the acknowledgement, with retries: the longest of each second.",
    unit: "s",
    queries: [
      [quantile(0.5, MetricName.PRODUCER_DELIVERY_TIME), "{{consumer}} p50"],
      [quantile(0.99, MetricName.PRODUCER_DELIVERY_TIME), "{{consumer}} p99"],
    ],
  },
  {
    title: "On their way",
    description: "Messages that the brokers have not acknowledged, and the batches that they are in.",
    unit: "short",
    queries: [
      [now(MetricName.PRODUCER_QUEUE_MESSAGES), "{{consumer}} messages"],
      [now(MetricName.PRODUCER_BATCHES_IN_FLIGHT), "{{consumer}} batches"],
    ],
  },
  {
    title: "Memory of what is on its way",
    description: "Before compression. queue.buffering.max.kbytes bounds it.",
    unit: "bytes",
    queries: [[now(MetricName.PRODUCER_QUEUE_BYTES), "{{consumer}}"]],
  },
  {
    title: "Retries and new settings",
    description: "Batches that were sent again, and changes of a ReloadingKafkaProducer's settings.",
    unit: "short",
    queries: [
      [happened(MetricName.PRODUCER_RETRIES), "{{consumer}} batches sent again"],
      [happened(MetricName.PRODUCER_RELOADS, "status"), "{{consumer}} new settings: {{status}}"],
    ],
  },
];

const SECTIONS: readonly Section[] = [
  { title: "Consumer", panels: CONSUMER },
  { title: "Kafka, as the clients see it (statistics.interval.ms)", panels: KAFKA },
  { title: "Producer", panels: PRODUCER },
];

const DATA_SOURCE = { type: "prometheus", uid: "${datasource}" };

interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** All sections, one beneath the other. */
function panels(): readonly unknown[] {
  const all: unknown[] = [];
  let y = 0;
  for (const { title, panels: inside } of SECTIONS) {
    const place = { x: 0, y, w: COLUMNS * WIDTH, h: 1 };
    all.push({ id: all.length + 1, type: "row", title, collapsed: false, gridPos: place, panels: [] });
    y += 1;
    for (const [index, one] of inside.entries()) {
      const row = Math.floor(index / COLUMNS);
      const at = { x: (index % COLUMNS) * WIDTH, y: y + row * HEIGHT, w: WIDTH, h: HEIGHT };
      all.push(panel(one, all.length + 1, at));
    }
    y += Math.ceil(inside.length / COLUMNS) * HEIGHT;
  }
  return all;
}

function panel(
  { title, description, unit, queries, stacked = false }: Panel,
  id: number,
  gridPos: Place,
): unknown {
  return {
    id,
    type: "timeseries",
    title,
    description,
    datasource: DATA_SOURCE,
    gridPos,
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
    panels: panels(),
  });
}
