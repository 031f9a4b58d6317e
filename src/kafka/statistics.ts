import type { Metrics, MetricTags } from "../metrics/metrics.ts";
import { MetricName } from "../metrics/names.ts";
import type { ProducerLoad } from "./producer-metrics.ts";
import type {
  BrokerStatistics,
  ConsumerIoStatistics,
  FetchStatistics,
  GroupStatistics,
  ProducerIoStatistics,
} from "./client/statistics.ts";

export type { BatchStatistics, BrokerStatistics, GroupStatistics, RoundTrips } from "./client/statistics.ts";

/** A partition that a consumer holds. */
export interface PartitionStatistics extends Omit<FetchStatistics, "epoch"> {
  /** The offset that is delivered next; undefined while the partition is not assigned on the main thread. */
  readonly position: number | undefined;
  /** Messages that are not delivered yet: the same as `KafkaConsumer.lag()`; undefined before the first answer. */
  readonly lag: number | undefined;
  /** Messages that the group has not committed; undefined while it has committed nothing, or the end is not known. */
  readonly committedLag: number | undefined;
}

/** What a `KafkaConsumer` gives to `onStatistics`. A plain object. */
export interface ConsumerStatistics {
  readonly type: "consumer";
  readonly clientId: string;
  /**
   * When it was collected, on the I/O thread, in milliseconds since the epoch. While the main thread is blocked it goes on
   * being collected, and is told later; only `position` and the two lags are of when it is told.
   */
  readonly atMs: number;
  readonly brokers: readonly BrokerStatistics[];
  readonly group: GroupStatistics;
  readonly partitions: readonly PartitionStatistics[];
}

/** What a `KafkaProducer` gives to `onStatistics`. A plain object. */
export interface ProducerStatistics extends Omit<ProducerIoStatistics, "batches"> {
  readonly type: "producer";
  readonly clientId: string;
  /** Messages that are neither delivered nor failed. */
  readonly messages: number;
  /** What they take, before compression. */
  readonly bytes: number;
  readonly batches: ProducerIoStatistics["batches"];
}

/** Where a consumer is with a partition. */
export interface DeliveredPosition {
  readonly position: number;
  readonly lag: number | undefined;
}

/** Completes a consumer's statistics with what only the main thread knows. */
export function consumerStatistics(
  clientId: string,
  io: ConsumerIoStatistics,
  delivered: (partition: FetchStatistics) => DeliveredPosition | undefined,
): ConsumerStatistics {
  return {
    type: "consumer",
    clientId,
    ...io,
    partitions: io.partitions.map((partition) => {
      const { epoch: _epoch, ...fetched } = partition;
      const { committed, endOffset } = fetched;
      const at = delivered(partition);
      const committedLag =
        committed === undefined || endOffset === undefined ? undefined : Math.max(0, endOffset - committed);
      return { ...fetched, position: at?.position, lag: at?.lag, committedLag };
    }),
  };
}

/** The same for a producer's. */
export function producerStatistics(
  clientId: string,
  io: ProducerIoStatistics,
  load: Pick<ProducerLoad, "messages" | "bytes">,
): ProducerStatistics {
  return { type: "producer", clientId, ...io, messages: load.messages, bytes: load.bytes };
}

/** Makes metrics of statistics. Counts are told as what has come on top. */
export class StatisticsMetrics {
  readonly #metrics: Metrics;
  readonly #before = new Map<string, BrokerStatistics>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  consumer(statistics: ConsumerStatistics): void {
    this.#brokers("consumer", statistics.brokers);
    const { group, partitions } = statistics;
    this.#metrics.gauge(MetricName.KAFKA_GROUP_PARTITIONS, group.partitions);
    if (group.msSinceCoordinatorAnswer !== undefined) {
      this.#metrics.timing(MetricName.KAFKA_COORDINATOR_SILENCE, group.msSinceCoordinatorAnswer / 1_000);
    }
    for (const { topic, partition, lag, committedLag, queuedBytes } of partitions) {
      const tags = { topic, partition: String(partition) };
      if (lag !== undefined) this.#metrics.gauge(MetricName.KAFKA_LAG, lag, tags);
      if (committedLag !== undefined) this.#metrics.gauge(MetricName.KAFKA_COMMITTED_LAG, committedLag, tags);
      this.#metrics.gauge(MetricName.KAFKA_QUEUED_BYTES, queuedBytes, tags);
    }
  }

  producer(statistics: ProducerStatistics): void {
    this.#brokers("producer", statistics.brokers);
  }

  /** A consumer and a producer that share metrics have connections of their own. */
  #brokers(client: "consumer" | "producer", brokers: readonly BrokerStatistics[]): void {
    for (const broker of brokers) {
      const key = broker.nodeId >= 0 ? String(broker.nodeId) : "bootstrap";
      const before = this.#before.get(`${key} ${broker.host}:${broker.port}`);
      this.#before.set(`${key} ${broker.host}:${broker.port}`, broker);
      const tags = { client, broker_id: key };
      const { roundTrip, requestsInFlight } = broker;
      if (roundTrip !== undefined) {
        this.#metrics.timing(MetricName.KAFKA_BROKER_RTT, roundTrip.maxMs / 1_000, tags);
      }
      if (broker.nodeId >= 0) {
        this.#metrics.gauge(MetricName.KAFKA_BROKER_REQUESTS_IN_FLIGHT, requestsInFlight, tags);
      }
      this.#count(MetricName.KAFKA_BROKER_CONNECTS, broker.connects - (before?.connects ?? 0), tags);
      this.#count(MetricName.KAFKA_BROKER_DISCONNECTS, broker.disconnects - (before?.disconnects ?? 0), tags);
      this.#count(MetricName.KAFKA_BROKER_ERRORS, broker.errors - (before?.errors ?? 0), tags);
    }
  }

  #count(name: MetricName, more: number, tags: MetricTags): void {
    if (more > 0) this.#metrics.increment(name, more, tags);
  }
}
