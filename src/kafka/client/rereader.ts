import type { Clock } from "../../clock.ts";
import { ConsumerError, ErrorCode } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import type { Cluster } from "./cluster.ts";
import { Fetcher } from "./fetcher.ts";
import { partitionKey, type FetchedRecords, type PartitionId } from "./protocol.ts";
import { serializeError, type SerializedError } from "./serialized-error.ts";

interface Reread {
  readonly partition: PartitionId;
  readonly offset: number;
  readonly epoch: number;
  readonly resolve: (records: FetchedRecords) => void;
  readonly reject: (error: SerializedError) => void;
}

/**
 * Reads single offsets again, for dead letters whose payload is not in memory any more. It fetches as the consumer does,
 * over a connection of its own, so that neither waits for the other; one offset of a partition at a time.
 */
export class Rereader {
  readonly #fetcher: Fetcher;
  /** By partition key; the first of each is under way. */
  readonly #waiting = new Map<string, Reread[]>();
  #epoch = 0;

  constructor(options: {
    readonly cluster: Cluster;
    readonly config: ResolvedConsumerConfig;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    const { cluster, config } = options;
    this.#fetcher = new Fetcher({
      ...options,
      cluster: {
        topic: (name) => cluster.topic(name),
        leader: (topic, index) => cluster.leader(topic, index),
        updateLeader: (...leader) => cluster.updateLeader(...leader),
        onChange: (listener) => cluster.onChange(listener),
        refresh: () => cluster.refresh(),
        connection: (nodeId) => cluster.connection(nodeId, "reread"),
      },
      // One batch is enough, and a broker sends the first one whole, however large it is.
      config: { ...config, "max.partition.fetch.bytes": 1, "fetch.max.bytes": 1 },
      events: {
        records: (records) => this.#records(records),
        progress: (progress) => {
          if (progress.nextOffset > this.#offsetOf(progress)) this.#fail(progress, gone(progress));
        },
        outOfRange: (position) => this.#fail(position, gone(position)),
        failed: (failure) => this.#fail(failure, failure.error),
        unknownTopic: (position) => this.#fail(position, gone(position)),
      },
    });
  }

  /** The batch that holds an offset. Rejects with a serialized error when the broker does not have it any more. */
  read(partition: PartitionId, offset: number): Promise<FetchedRecords> {
    return new Promise((resolve, reject) => {
      const reread: Reread = { partition, offset, epoch: ++this.#epoch, resolve, reject };
      const key = partitionKey(partition);
      const waiting = this.#waiting.get(key);
      if (waiting === undefined) {
        this.#waiting.set(key, [reread]);
        this.#start(reread);
      } else waiting.push(reread);
    });
  }

  close(): void {
    this.#fetcher.close();
    const error = serializeError(
      new ConsumerError("The consumer was closed before it had read the message again."),
    );
    for (const waiting of this.#waiting.values()) for (const { reject } of waiting) reject(error);
    this.#waiting.clear();
  }

  #start({ partition, offset, epoch }: Reread): void {
    this.#fetcher.start([{ topic: partition.topic, index: partition.index, offset, leaderEpoch: -1, epoch }]);
  }

  #records(records: FetchedRecords): void {
    this.#fetcher.credit(records, records.bytes);
    this.#next(records)?.resolve(records);
  }

  #fail(position: PartitionId & { readonly epoch: number }, error: SerializedError): void {
    this.#next(position)?.reject(error);
  }

  #offsetOf(position: PartitionId): number {
    return this.#waiting.get(partitionKey(position))?.[0]?.offset ?? Infinity;
  }

  /** Takes out the one that this answers, and starts the next. */
  #next(position: PartitionId & { readonly epoch: number }): Reread | undefined {
    const key = partitionKey(position);
    const waiting = this.#waiting.get(key);
    if (waiting?.[0]?.epoch !== position.epoch) return undefined;
    const answered = waiting.shift();
    this.#fetcher.stop([position]);
    const [next] = waiting;
    if (next === undefined) this.#waiting.delete(key);
    else this.#start(next);
    return answered;
  }
}

function gone({ topic, index }: PartitionId): SerializedError {
  return serializeError(
    new ConsumerError(
      `The message cannot be read again: ${topic}[${index}] does not have its offset any more.`,
      {
        code: ErrorCode.OFFSET_OUT_OF_RANGE,
      },
    ),
  );
}
