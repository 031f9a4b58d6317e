import { deadlineAfter, type Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import { AbortedError } from "./abortable.ts";
import { ErrorCodes } from "./error-codes.ts";
import { listOffsets, type ListOffsetsCluster } from "./list-offsets.ts";
import type { Membership } from "./membership.ts";
import { partitionKey, type CommitOffset, type ConsumerEvent, type PartitionId } from "./protocol.ts";
import type { BrokerStatistics, ConsumerIoStatistics, FetchStatistics } from "./statistics.ts";
import { StatisticsTimer } from "./statistics-timer.ts";

/** How a partition is fetched. */
export interface PartitionFetching extends PartitionId {
  readonly epoch: number;
  readonly offset: number;
  /** -1 before the first answer, and so are the other two. */
  readonly endOffset: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  /** When the leader last said so, on the monotonic clock. */
  readonly endAtMs: number;
  readonly queuedBytes: number;
}

export interface ConsumerStatisticsOptions {
  readonly config: ResolvedConsumerConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cluster: ListOffsetsCluster & { takeStatistics(): readonly BrokerStatistics[] };
  readonly fetcher: {
    fetching(): readonly PartitionFetching[];
    noteEnd(partition: PartitionId, epoch: number, endOffset: number): void;
  };
  readonly held: () => readonly PartitionId[];
  readonly membership: () => Membership | undefined;
  readonly send: (event: ConsumerEvent) => void;
  readonly closed: AbortSignal;
}

/** Ends of partitions that nobody fetches are asked for during this share of an interval, and never for longer than a second. */
const ASKING_SHARE = 0.5;
const MAX_ASKING_MS = 1_000;

/** Collects what there is to say of a consumer, once in every `statistics.interval.ms`. */
export class ConsumerStatisticsCollector {
  readonly #options: ConsumerStatisticsOptions;
  readonly #timer: StatisticsTimer;
  readonly #committed = new Map<string, number>();
  #memberId = "";
  #rebalances = 0;
  #rebalancedAtMs: number | undefined;
  #answeredAtMs: number | undefined;

  constructor(options: ConsumerStatisticsOptions) {
    this.#options = options;
    this.#timer = new StatisticsTimer(options.clock, options.config["statistics.interval.ms"], () =>
      this.#tick(),
    );
  }

  /** Something was told to the main thread. */
  saw(event: ConsumerEvent): void {
    if (event.type === "assigned") {
      this.#memberId = event.memberId;
      for (const partition of event.partitions) {
        const key = partitionKey(partition);
        if (partition.isCommitted === true) this.#committed.set(key, partition.offset);
        else this.#committed.delete(key);
      }
    } else if (event.type === "metric" && event.name === "arroyo.consumer.kafka.rebalance") {
      this.#rebalances++;
      this.#rebalancedAtMs = this.#options.clock.monotonicMs();
    }
  }

  /** What the coordinator has said to a commit. */
  committed(offsets: readonly CommitOffset[], codes: ReadonlyMap<string, number>): void {
    for (const offset of offsets) {
      const key = partitionKey(offset);
      if (codes.get(key) === ErrorCodes.NONE) this.#committed.set(key, offset.offset);
    }
  }

  /** The group's coordinator has answered. */
  answered(): void {
    this.#answeredAtMs = this.#options.clock.monotonicMs();
  }

  close(): void {
    this.#timer.close();
  }

  async #tick(): Promise<void> {
    const { closed, send } = this.#options;
    try {
      await this.#askForEnds();
    } catch (error) {
      // Statistics are no reason to fail: the ends are as old as they were.
      this.#options.logger.debug({ err: error }, "The ends of partitions could not be asked for.");
    }
    if (!closed.aborted) send({ type: "statistics", statistics: this.#collect() });
  }

  /**
   * A partition with more to read is not fetched while enough of it, or of others, waits to be consumed: its end would be
   * out of date.
   */
  async #askForEnds(): Promise<void> {
    const { config, clock, cluster, fetcher, closed } = this.#options;
    const intervalMs = config["statistics.interval.ms"];
    const since = clock.monotonicMs() - intervalMs;
    const stale = fetcher
      .fetching()
      .filter(
        ({ topic, index, endAtMs, queuedBytes, offset, endOffset }) =>
          endAtMs <= since &&
          (queuedBytes > 0 || offset < endOffset) &&
          cluster.leader(topic, index) !== undefined,
      );
    if (stale.length === 0) return;
    const epochs = new Map(stale.map((partition) => [partitionKey(partition), partition]));
    using deadline = deadlineAfter(clock, Math.min(intervalMs * ASKING_SHARE, MAX_ASKING_MS));
    try {
      await listOffsets(cluster, stale, "latest", {
        clock,
        signal: AbortSignal.any([deadline, closed]),
        config,
        isolationLevel: config["isolation.level"],
        found: (ends) => {
          for (const [key, { offset }] of ends) {
            const partition = epochs.get(key);
            if (partition !== undefined) fetcher.noteEnd(partition, partition.epoch, offset);
          }
        },
      });
    } catch (error) {
      if (!(error instanceof AbortedError)) throw error;
    }
  }

  #collect(): ConsumerIoStatistics {
    const { config, clock, cluster, fetcher, held, membership } = this.#options;
    const member = membership();
    const session = member?.commitSession;
    const fetching = new Map(fetcher.fetching().map((each) => [partitionKey(each), each]));
    const partitions = held();
    const keys = new Set(partitions.map(partitionKey));
    for (const key of this.#committed.keys()) if (!keys.has(key)) this.#committed.delete(key);
    const nowMs = clock.monotonicMs();
    return {
      atMs: clock.nowMs(),
      brokers: cluster.takeStatistics(),
      group: {
        groupId: config["group.id"],
        protocol: config["group.protocol"],
        state: member?.state ?? "unsubscribed",
        memberId: member?.memberId ?? this.#memberId,
        generation: session !== undefined && "session" in session ? session.session.generationId : undefined,
        partitions: partitions.length,
        rebalances: this.#rebalances,
        msSinceRebalance: since(nowMs, this.#rebalancedAtMs),
        msSinceCoordinatorAnswer: since(nowMs, this.#answeredAtMs),
      },
      partitions: partitions.map((partition) =>
        this.#partition(partition, fetching.get(partitionKey(partition))),
      ),
    };
  }

  #partition({ topic, index }: PartitionId, fetching: PartitionFetching | undefined): FetchStatistics {
    return {
      topic,
      partition: index,
      fetchPosition: fetching?.offset,
      committed: this.#committed.get(partitionKey({ topic, index })),
      highWatermark: known(fetching?.highWatermark),
      lastStableOffset: known(fetching?.lastStableOffset),
      endOffset: known(fetching?.endOffset),
      queuedBytes: fetching?.queuedBytes ?? 0,
      leader: this.#options.cluster.leader(topic, index)?.nodeId,
      epoch: fetching?.epoch ?? 0,
    };
  }
}

function since(nowMs: number, atMs: number | undefined): number | undefined {
  return atMs === undefined ? undefined : nowMs - atMs;
}

function known(offset: number | undefined): number | undefined {
  return offset === undefined || offset < 0 ? undefined : offset;
}
