import { ConsumerError } from "../../errors.ts";
import type { Clock, ClockTimer } from "../../clock.ts";
import type { Logger } from "../../logger.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import type { GroupSession } from "./group-session.ts";
import {
  listOffsets,
  type ListedOffset,
  type ListOffsetsCluster,
  type ListOffsetsOptions,
} from "./list-offsets.ts";
import { idOf } from "./metadata.ts";
import { fetchCommitted, type OffsetStoreCluster } from "./offset-store.ts";
import { partitionKey, type AssignedPartition, type PartitionId } from "./protocol.ts";

/** Each announcement is a rebalance for the strategies: what comes within so long of each other goes into one. */
const GATHER_MS = 1_000;

interface ResolveOptions {
  readonly clock: Clock;
  readonly cluster: OffsetStoreCluster & ListOffsetsCluster;
  readonly config: ResolvedConsumerConfig;
  readonly logger: Logger;
  /** Called with some partitions at a time, as soon as it is known where to read them from. */
  readonly found: (positions: readonly AssignedPartition[]) => void;
  readonly signal: AbortSignal;
}

/**
 * Where each partition of a new assignment is read from: the group's committed offset, or else by `auto.offset.reset`.
 * Retries what can be retried until it is there or the signal aborts. A partition that has to wait (for a leader, or for an
 * open transaction to end) holds up no other.
 *
 * @throws ConsumerError for a partition without a committed offset when the policy is `error`, and for what cannot be
 * retried (an authorization that is missing).
 */
export async function resolvePositions(
  session: GroupSession,
  partitions: readonly PartitionId[],
  options: ResolveOptions,
): Promise<void> {
  if (partitions.length === 0) return;
  const { clock, cluster, config, logger, signal } = options;
  const gathered = new Gathered(partitions.length, options.found, clock);
  const found = gathered.add.bind(gathered);
  // As of before the offsets are asked for: were the topic made again meanwhile, they would be of the old one.
  const topicIds = new Map(partitions.map(({ topic }) => [topic, idOf(cluster.topic(topic))]));
  const resets: Promise<unknown>[] = [];
  const failed = Promise.withResolvers<never>();
  const committed = fetchCommitted(cluster, session, partitions, signal, {
    clock,
    config,
    logger,
    found: (answered, committed) => {
      const positions: AssignedPartition[] = [];
      const missing: PartitionId[] = [];
      for (const { topic, index } of answered) {
        const position = committed.get(partitionKey({ topic, index }));
        if (position === undefined) {
          missing.push({ topic, index });
          continue;
        }
        positions.push({ topic, index, ...position, isCommitted: true, topicId: topicIds.get(topic) });
      }
      if (positions.length > 0) found(positions);
      if (missing.length === 0) return;
      const reset = resetAssigned(missing, { ...options, found });
      reset.catch(failed.reject);
      resets.push(reset);
    },
  });
  try {
    await Promise.race([committed.then(() => Promise.all(resets)), failed.promise]);
  } finally {
    gathered.close();
  }
}

/** Positions that are found, until they are told together. */
class Gathered {
  readonly #tell: (positions: readonly AssignedPartition[]) => void;
  readonly #clock: Clock;
  #missing: number;
  #positions: AssignedPartition[] = [];
  #timer: ClockTimer | undefined;

  constructor(count: number, tell: (positions: readonly AssignedPartition[]) => void, clock: Clock) {
    this.#missing = count;
    this.#tell = tell;
    this.#clock = clock;
  }

  /** Tells at once when these are the last ones, and otherwise of what is there in a while. */
  add(positions: readonly AssignedPartition[]): void {
    this.#positions.push(...positions);
    this.#missing -= positions.length;
    if (this.#missing === 0) this.#flush();
    else this.#timer ??= this.#clock.setTimeout(() => this.#flush(), GATHER_MS);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const positions = this.#positions;
    this.#positions = [];
    this.#tell(positions);
  }
}

async function resetAssigned(partitions: readonly PartitionId[], options: ResolveOptions): Promise<void> {
  const { clock, cluster, config, found, signal, logger } = options;
  await resetPositions(cluster, config, partitions, signal, {
    clock,
    logger,
    found: (offsets) => {
      const positions = partitions.flatMap(({ topic, index }) => {
        const offset = offsets.get(partitionKey({ topic, index }));
        return offset === undefined ? [] : { topic, index, ...offset };
      });
      if (positions.length > 0) found(positions);
    },
  });
}

/**
 * Positions by `auto.offset.reset`, by partition key.
 *
 * @throws ConsumerError when the policy is `error`.
 */
export async function resetPositions(
  cluster: ListOffsetsCluster,
  config: ResolvedConsumerConfig,
  partitions: readonly PartitionId[],
  signal: AbortSignal,
  options: Pick<ListOffsetsOptions, "clock" | "found" | "logger"> = {},
): Promise<ReadonlyMap<string, ListedOffset>> {
  const policy = config["auto.offset.reset"];
  if (policy === "error") {
    const [first] = partitions;
    throw new ConsumerError(
      `Group ${config["group.id"]} has no committed offset for ${first?.topic}[${first?.index}]` +
        (partitions.length > 1 ? ` and ${partitions.length - 1} more partitions` : "") +
        `, and "auto.offset.reset" is "error": commit one for it, or set the policy to "earliest" or "latest".`,
    );
  }
  return await listOffsets(cluster, partitions, policy, {
    ...options,
    signal,
    config,
    isolationLevel: config["isolation.level"],
  });
}
