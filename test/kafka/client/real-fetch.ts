import { setTimeout as delay } from "node:timers/promises";
import { ProduceAcks, Producer } from "@platformatic/kafka";
import { systemClock } from "../../../src/clock.ts";
import { Cluster } from "../../../src/kafka/client/cluster.ts";
import {
  Fetcher,
  type FetchConnection,
  type FetchFailure,
  type FetchOutOfRange,
  type FetchUnknownTopic,
} from "../../../src/kafka/client/fetcher.ts";
import { listOffsets, type ListedOffset } from "../../../src/kafka/client/list-offsets.ts";
import { resetPositions } from "../../../src/kafka/client/offset-resolution.ts";
import type { FetchedRecords, FetchProgress, PartitionId } from "../../../src/kafka/client/protocol.ts";
import type { FetchResponse } from "../../../src/kafka/client/fetch-response.ts";
import {
  resolveConsumerConfig,
  type KafkaConsumerConfig,
  type ResolvedConsumerConfig,
} from "../../../src/kafka/config.ts";
import { silentLogger } from "../../../src/logger.ts";
import { messagesOf } from "./fetch-harness.ts";

/** How long a test waits for something to happen. */
const PATIENCE_MS = 55_000;

/** A Fetcher on a real Kafka, that notes what it is told. */
export class RealFetch implements AsyncDisposable {
  readonly config: ResolvedConsumerConfig;
  readonly cluster: Cluster;
  readonly fetcher: Fetcher;
  readonly records: FetchedRecords[] = [];
  readonly progress: FetchProgress[] = [];
  readonly outOfRange: FetchOutOfRange[] = [];
  readonly failed: FetchFailure[] = [];
  readonly unknownTopics: FetchUnknownTopic[] = [];
  /** Gives the bytes back as soon as records come. */
  givesCredit = true;
  /** Every Fetch that was answered: how large the answer was, and how long it took. */
  readonly answers: { readonly bytes: number; readonly ms: number }[] = [];
  readonly #told = new Set<() => void>();

  constructor(bootstrapServers: string, config: Partial<KafkaConsumerConfig> = {}) {
    this.config = resolveConsumerConfig({
      "bootstrap.servers": bootstrapServers,
      "group.id": "tests",
      ...config,
    } as KafkaConsumerConfig);
    const shared = { config: this.config, clock: systemClock, logger: silentLogger };
    this.cluster = new Cluster(shared);
    const note =
      <T>(into: T[]) =>
      (value: T): void => {
        into.push(value);
        for (const told of this.#told) told();
      };
    const noteRecords = note(this.records);
    this.fetcher = new Fetcher({
      ...shared,
      cluster: {
        topic: (name) => this.cluster.topic(name),
        leader: (topic, index) => this.cluster.leader(topic, index),
        updateLeader: (...leader) => this.cluster.updateLeader(...leader),
        onChange: (listener) => this.cluster.onChange(listener),
        refresh: () => this.cluster.refresh(),
        connection: async (nodeId, purpose) => this.#observed(await this.cluster.connection(nodeId, purpose)),
      },
      events: {
        records: (fetched) => {
          if (this.givesCredit) this.fetcher.credit(fetched, fetched.bytes);
          noteRecords(fetched);
        },
        progress: note(this.progress),
        outOfRange: note(this.outOfRange),
        failed: note(this.failed),
        unknownTopic: note(this.unknownTopics),
      },
    });
  }

  #observed(connection: FetchConnection): FetchConnection {
    return {
      get alive() {
        return connection.alive;
      },
      close: (reason) => connection.close(reason),
      request: async (api, request, options) => {
        const startedMs = performance.now();
        const response = await connection.request(api, request, options);
        const partitions = (response as FetchResponse).topics.flatMap((topic) => topic.partitions);
        const bytes = partitions.reduce((sum, { records }) => sum + records.length, 0);
        this.answers.push({ bytes, ms: performance.now() - startedMs });
        return response;
      },
    };
  }

  /** Makes a topic known, with all of its partitions. */
  async know(topic: string): Promise<PartitionId[]> {
    this.cluster.setTopics([topic]);
    for (;;) {
      await this.cluster.refresh();
      const partitions = this.cluster.topic(topic)?.partitions ?? [];
      const known = partitions.map(({ index }) => ({ topic, index }));
      if (known.length > 0 && known.every((id) => this.cluster.leader(id.topic, id.index) !== undefined)) {
        return known;
      }
    }
  }

  async offsets(
    partitions: readonly PartitionId[],
    which: "earliest" | "latest" | number,
  ): Promise<Map<string, ListedOffset>> {
    return await listOffsets(this.cluster, partitions, which, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      config: this.config,
    });
  }

  /** Where `auto.offset.reset` (latest by default) puts partitions. */
  async reset(
    partitions: readonly PartitionId[],
  ): Promise<ReadonlyMap<string, { readonly offset: number; readonly leaderEpoch: number }>> {
    return await resetPositions(this.cluster, this.config, partitions, AbortSignal.timeout(PATIENCE_MS));
  }

  /** Starts every partition of a topic at its beginning. */
  async startAll(topic: string): Promise<void> {
    const partitions = await this.know(topic);
    const earliest = await this.offsets(partitions, "earliest");
    this.fetcher.start(
      partitions.map((partition) => ({
        ...partition,
        ...(earliest.get(`${partition.topic}:${partition.index}`) as ListedOffset),
        epoch: 1,
      })),
    );
  }

  /** Waits for something that events bring about. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    const done = Promise.withResolvers<void>();
    const look = (): void => {
      if (isSo()) done.resolve();
    };
    this.#told.add(look);
    const aborter = new AbortController();
    const tooLate = delay(PATIENCE_MS, undefined, { signal: aborter.signal }).then(
      () => Promise.reject(new Error(`In vain waited for ${what}. ${this.#account()}`)),
      () => {},
    );
    try {
      await Promise.race([done.promise, tooLate]);
    } finally {
      aborter.abort();
      this.#told.delete(look);
    }
  }

  /** What came of a partition, as `offset:value`. */
  messages(index: number): string[] {
    return this.records.filter((fetched) => fetched.index === index).flatMap(messagesOf);
  }

  /** Where each partition has come to. */
  get positions(): Map<number, number> {
    const positions = new Map<number, number>();
    for (const { index, nextOffset } of [...this.progress, ...this.records]) {
      positions.set(index, Math.max(nextOffset, positions.get(index) ?? 0));
    }
    return positions;
  }

  #account(): string {
    const { failed, outOfRange, unknownTopics } = this;
    return JSON.stringify({ positions: [...this.positions], failed, outOfRange, unknownTopics });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fetcher.close();
    await this.cluster.close();
  }
}

export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/** The library's own producer, for tests only. */
export function testProducer(bootstrapServers: string, transactionalId?: string): Producer<string, string> {
  const text = (value: string | undefined): Buffer | undefined =>
    value === undefined ? undefined : Buffer.from(value);
  return new Producer<string, string>({
    clientId: "test-producer",
    bootstrapBrokers: bootstrapServers.split(","),
    serializers: { key: text, value: text },
    acks: ProduceAcks.ALL,
    retries: 20,
    ...(transactionalId === undefined ? {} : { transactionalId, idempotent: true }),
  });
}
