import type { Clock } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import { Backoff } from "./backoff.ts";
import { FetchBudget } from "./fetch-budget.ts";
import type { FetchCluster, FetchContext, FetcherEvents } from "./fetch-context.ts";
import { FetchPartition } from "./fetch-partition.ts";
import { FetchPlacement } from "./fetch-placement.ts";
import { FetchTroubles } from "./fetch-troubles.ts";
import { MetadataRefresher } from "./metadata-refresher.ts";
import { PrefetchWindow } from "./prefetch-window.ts";
import { partitionKey, type FetchPosition, type PartitionId } from "./protocol.ts";
import type { PartitionFetching } from "./statistics-consumer.ts";

export type {
  FetchCluster,
  FetchConnection,
  FetcherEvents,
  FetchFailure,
  FetchOutOfRange,
  FetchUnknownTopic,
} from "./fetch-context.ts";

export interface FetcherOptions {
  readonly cluster: FetchCluster;
  readonly config: ResolvedConsumerConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: FetcherEvents;
}

/**
 * Fetches partitions from whoever leads them, ahead of their being consumed, and hands over checked record
 * batches in order. Whatever happens to a partition, its leader or a connection, the next batch is the one after the last;
 * when that one cannot be had, an event says so. It prefetches what is worth it (see {@link PrefetchWindow}), up to
 * `queued.max.messages.kbytes`, divided fairly (see {@link FetchBudget}), and goes on as consumed bytes come back as credit.
 */
export class Fetcher {
  readonly #context: FetchContext;
  readonly #troubles: FetchTroubles;
  readonly #placement: FetchPlacement;
  readonly #refresher: MetadataRefresher;
  readonly #partitions = new Map<string, FetchPartition>();
  readonly #closing = new AbortController();
  readonly #stopListening: () => void;

  constructor(options: FetcherOptions) {
    const { cluster, config, clock } = options;
    const limitBytes = config["queued.max.messages.kbytes"] * 1024;
    const fetchBytes = config["max.partition.fetch.bytes"];
    this.#context = {
      ...options,
      budget: new FetchBudget(limitBytes),
      window: new PrefetchWindow({ clock, limitBytes, fetchBytes }),
      isolationLevel: config["isolation.level"],
      closed: this.#closing.signal,
      partition: (topicId, index) => this.#placement.partition(topicId, index),
      end: (partition) => this.#end(partition),
      place: (partition) => this.#placement.place(partition),
      refresh: () => this.#refresher.want(),
      isRefreshed: (number) => this.#refresher.isOver(number),
      crashed: (error) => this.#crashed(error),
    };
    this.#troubles = new FetchTroubles(this.#context);
    this.#placement = new FetchPlacement(this.#context, this.#troubles);
    this.#refresher = new MetadataRefresher({
      clock,
      backoff: this.#backoff(),
      refresh: () => cluster.refresh(),
      refreshed: () => this.#placement.placeHomeless(),
    });
    this.#stopListening = cluster.onChange(() => {
      for (const partition of [...this.#partitions.values()]) this.#placement.place(partition);
    });
  }

  /**
   * Starts to fetch partitions, or goes on with them at other positions. Nothing of an older epoch is handed over after
   * this call.
   */
  start(positions: readonly FetchPosition[]): void {
    if (this.#closing.signal.aborted) return;
    const { config, budget } = this.#context;
    const limitBytes = config["max.partition.fetch.bytes"];
    for (const position of positions) {
      const key = partitionKey(position);
      const before = this.#partitions.get(key);
      if (before !== undefined) this.#forget(before);
      const partition = new FetchPartition(position, budget.open(key), this.#backoff(), limitBytes);
      this.#partitions.set(key, partition);
      this.#placement.place(partition);
    }
  }

  /** Ends the fetching of partitions; those that are not fetched are passed over. */
  stop(partitions: readonly PartitionId[]): void {
    for (const id of partitions) {
      const partition = this.#partitions.get(partitionKey(id));
      if (partition !== undefined) this.#end(partition);
    }
  }

  /**
   * Bytes that were handed over are consumed, or were dropped. Each buffer is given back exactly once, whatever has become
   * of its partition and epoch.
   *
   * @param emptyAfter how many buffers the receiver has had, if it has nothing more of them to consume.
   */
  credit(id: PartitionId, bytes: number, emptyAfter?: number): void {
    const { budget, window } = this.#context;
    const key = partitionKey(id);
    const isFetched = budget.credit(key, bytes);
    if (emptyAfter !== undefined) window.emptied(emptyAfter);
    window.freed(budget.queued);
    if (isFetched) this.#partitions.get(key)?.broker?.wake();
  }

  /** The receiver has nothing to consume, of so many buffers that it has had: what it has is of no use to it now. */
  emptied(received: number): void {
    const { budget, window } = this.#context;
    window.emptied(received);
    window.freed(budget.queued);
  }

  isFetching(id: PartitionId): boolean {
    return this.#partitions.has(partitionKey(id));
  }

  /** Where each partition that is fetched is. */
  fetching(): readonly PartitionFetching[] {
    return [...this.#partitions.values()].map((partition) => ({
      topic: partition.topic,
      index: partition.index,
      epoch: partition.epoch,
      offset: partition.offset,
      endOffset: partition.endOffset,
      highWatermark: partition.highWatermark,
      lastStableOffset: partition.lastStableOffset,
      endAtMs: partition.endAtMs,
      queuedBytes: partition.account.queued,
    }));
  }

  /** The end of what can be read of a partition is known from elsewhere. */
  noteEnd(id: PartitionId, epoch: number, endOffset: number): void {
    const partition = this.#partitions.get(partitionKey(id));
    if (partition?.epoch !== epoch || endOffset < partition.endOffset) return;
    partition.endOffset = endOffset;
    if (this.#context.isolationLevel === "read_committed") partition.lastStableOffset = endOffset;
    partition.highWatermark = Math.max(partition.highWatermark, endOffset);
    partition.endAtMs = this.#context.clock.monotonicMs();
  }

  /** Ends everything, at once. No event comes any more. The cluster stays open. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#stopListening();
    this.#refresher.close();
    for (const partition of [...this.#partitions.values()]) this.#end(partition);
    this.#placement.close();
  }

  #backoff(): Backoff {
    const { config } = this.#context;
    return new Backoff({ initialMs: config["retry.backoff.ms"], maxMs: config["retry.backoff.max.ms"] });
  }

  #end(partition: FetchPartition): void {
    const key = partitionKey(partition);
    if (this.#partitions.get(key) !== partition) return;
    this.#forget(partition);
    this.#partitions.delete(key);
    this.#context.budget.close(key);
  }

  #forget(partition: FetchPartition): void {
    partition.ended = true;
    this.#placement.remove(partition);
    const { budget } = this.#context;
    budget.unexpect(partition.account, partition.account.expected);
  }

  #crashed(error: unknown): void {
    this.#context.logger.error({ err: error }, "Fetching has failed in a way that is a bug of this library.");
    for (const partition of [...this.#partitions.values()]) {
      this.#troubles.fail(partition, "an error that should not happen", { cause: error });
    }
  }
}
