import { ConsumerError } from "../../errors.ts";
import { abortable, AbortedError } from "./abortable.ts";
import { ListOffsets, OffsetTimestamp, type ListOffsetsRequest, type ListOffsetsResponse } from "./apis.ts";
import type { BrokerConnection } from "./connection.ts";
import type { Cluster, ConnectionPurpose } from "./cluster.ts";
import { ErrorCodes, errorName, isRetriable, needsMetadataRefresh } from "./error-codes.ts";
import { sleep } from "./latch.ts";
import { partitionKey, type PartitionId } from "./protocol.ts";
import { Retrying, type RetryOptions } from "./retrying.ts";
import { TransportError } from "./transport-error.ts";
import type { Logger } from "../../logger.ts";

/** From when on the wait for an offset is worth a line in the log. */
const LASTING_MS = 5_000;

/** What looking up offsets needs of the cluster. */
export interface ListOffsetsCluster extends Pick<Cluster, "topic" | "leader" | "refresh"> {
  connection(nodeId: number, purpose: ConnectionPurpose): Promise<Pick<BrokerConnection, "request">>;
}

export interface ListOffsetsOptions extends RetryOptions {
  readonly signal: AbortSignal;
  /** With `read_committed`, the end is where the first open transaction begins. Default `read_uncommitted`. */
  readonly isolationLevel?: "read_uncommitted" | "read_committed" | undefined;
  /** Told of what each answer brings, so that nobody has to wait for partitions that nobody leads. */
  readonly found?: ((offsets: ReadonlyMap<string, ListedOffset>) => void) | undefined;
  /** Told when it takes long, and why. */
  readonly logger?: Logger | undefined;
}

/** An offset, and the leader epoch of the record there (or, at the end, of the last one); -1 when it is not known. */
export interface ListedOffset {
  readonly offset: number;
  readonly leaderEpoch: number;
}

/**
 * Asks the leaders for the first offset of partitions, for the end, or for that of the first record that is not older than
 * a timestamp (in ms; the end when there is none). Whatever may pass is tried again, with fresh metadata where leaders
 * have changed, until every partition has its answer.
 *
 * Resolves to the offsets by partition key.
 *
 * @throws AbortedError when the signal aborts before that, ConsumerError for what does not pass (an authorization that is
 * missing).
 */
export async function listOffsets(
  cluster: ListOffsetsCluster,
  partitions: readonly PartitionId[],
  which: "earliest" | "latest" | number,
  options: ListOffsetsOptions,
): Promise<Map<string, ListedOffset>> {
  return await new OffsetLookup(cluster, options).run(partitions, which);
}

class OffsetLookup {
  readonly #cluster: ListOffsetsCluster;
  readonly #options: ListOffsetsOptions;
  readonly #retrying: Retrying;
  readonly #found = new Map<string, ListedOffset>();
  readonly #missing = new Map<string, PartitionId>();
  #needsRefresh = false;
  /** What came of each partition that is missing, the last time. */
  readonly #troubles = new Map<string, string>();
  #isLogged = false;

  constructor(cluster: ListOffsetsCluster, options: ListOffsetsOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#retrying = new Retrying(options);
  }

  async run(
    partitions: readonly PartitionId[],
    which: "earliest" | "latest" | number,
  ): Promise<Map<string, ListedOffset>> {
    const { signal } = this.#options;
    for (const partition of partitions) this.#missing.set(partitionKey(partition), partition);
    const startedMs = this.#retrying.clock.monotonicMs();
    for (;;) {
      if (signal.aborted) throw new AbortedError();
      const asked = [...this.#byLeader()].map(([nodeId, led]) => this.#ask(nodeId, led, which));
      await Promise.all(asked);
      if (this.#missing.size === 0) break;
      if (this.#retrying.clock.monotonicMs() - startedMs >= LASTING_MS) this.#log();
      if (this.#needsRefresh) await abortable(this.#cluster.refresh(), signal);
      this.#needsRefresh = false;
      await sleep(this.#retrying.clock, this.#retrying.backoff.next(), signal);
    }
    if (this.#isLogged) this.#options.logger?.info({}, "Offsets that were waited for are there now.");
    if (typeof which === "number") await this.#replaceNone(partitions);
    return this.#found;
  }

  /** Once: others go on, but somebody should know why these do not. */
  #log(): void {
    if (this.#isLogged) return;
    this.#isLogged = true;
    const partitions = [...this.#missing.keys()];
    const reasons = new Set(partitions.map((key) => this.#troubles.get(key) ?? "no answer"));
    this.#options.logger?.warn(
      { partitions, reason: [...reasons].join("; ") },
      "The offsets to read some partitions from cannot be had yet; they are waited for.",
    );
  }

  /** No record is as young as the timestamp: what comes next will be. */
  async #replaceNone(partitions: readonly PartitionId[]): Promise<void> {
    const none = partitions.filter((partition) => this.#found.get(partitionKey(partition))?.offset === -1);
    if (none.length > 0) await this.run(none, "latest");
  }

  #byLeader(): Map<number, PartitionId[]> {
    const byLeader = new Map<number, PartitionId[]>();
    for (const partition of this.#missing.values()) {
      const errorCode = this.#cluster.topic(partition.topic)?.errorCode ?? ErrorCodes.NONE;
      if (errorCode !== ErrorCodes.NONE && !isRetriable(errorCode)) throw failed(partition, errorCode);
      const leader = this.#cluster.leader(partition.topic, partition.index);
      if (leader === undefined) {
        this.#needsRefresh = true;
        this.#troubles.set(partitionKey(partition), "it has no leader");
        continue;
      }
      const led = byLeader.get(leader.nodeId);
      if (led === undefined) byLeader.set(leader.nodeId, [partition]);
      else led.push(partition);
    }
    return byLeader;
  }

  async #ask(
    nodeId: number,
    partitions: readonly PartitionId[],
    which: "earliest" | "latest" | number,
  ): Promise<void> {
    const { signal } = this.#options;
    const { timeoutMs } = this.#retrying;
    try {
      // The connection of the metadata requests: the one for fetching may be held by a Fetch that waits for data.
      const connection = await abortable(this.#cluster.connection(nodeId, "metadata"), signal);
      const request = this.#request(partitions, which);
      this.#take(await abortable(connection.request(ListOffsets, [request], { timeoutMs }), signal));
    } catch (error) {
      if (!TransportError.is(error)) throw error;
      this.#needsRefresh = true;
      for (const partition of partitions) this.#troubles.set(partitionKey(partition), error.message);
    }
  }

  #request(partitions: readonly PartitionId[], which: "earliest" | "latest" | number): ListOffsetsRequest {
    const timestamp =
      typeof which === "number"
        ? which
        : which === "earliest"
          ? OffsetTimestamp.EARLIEST
          : OffsetTimestamp.LATEST;
    const topics = Map.groupBy(partitions, (partition) => partition.topic);
    return {
      isolationLevel: this.#options.isolationLevel ?? "read_uncommitted",
      topics: [...topics].map(([name, ofTopic]) => ({
        name,
        partitions: ofTopic.map(({ index }) => ({
          partitionIndex: index,
          currentLeaderEpoch: this.#cluster.leader(name, index)?.leaderEpoch ?? -1,
          timestamp,
        })),
      })),
    };
  }

  #take(response: ListOffsetsResponse): void {
    const found = new Map<string, ListedOffset>();
    for (const { name, partitions } of response.topics) {
      for (const { partitionIndex, errorCode, offset, leaderEpoch } of partitions) {
        const partition = { topic: name, index: partitionIndex };
        const key = partitionKey(partition);
        if (errorCode === ErrorCodes.NONE) {
          if (this.#missing.delete(key)) found.set(key, { offset, leaderEpoch });
          continue;
        }
        if (!isRetriable(errorCode)) throw failed(partition, errorCode);
        this.#troubles.set(key, errorName(errorCode));
        if (needsMetadataRefresh(errorCode)) this.#needsRefresh = true;
      }
    }
    for (const [key, offset] of found) this.#found.set(key, offset);
    if (found.size > 0) this.#options.found?.(found);
  }
}

function failed({ topic, index }: PartitionId, errorCode: number): ConsumerError {
  const fix =
    errorCode === ErrorCodes.TOPIC_AUTHORIZATION_FAILED
      ? `: the principal needs the right to DESCRIBE topic "${topic}"`
      : "";
  return new ConsumerError(`The offset of ${topic}[${index}] cannot be had: ${errorName(errorCode)}${fix}.`);
}
