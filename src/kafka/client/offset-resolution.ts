import { ConsumerError } from "../../errors.ts";
import type { ResolvedConsumerConfig } from "../config.ts";
import type { Cluster } from "./cluster.ts";
import type { GroupSession } from "./group-session.ts";
import { listOffsets } from "./list-offsets.ts";
import { fetchCommitted } from "./offset-store.ts";
import { partitionKey, type AssignedPartition, type PartitionId } from "./protocol.ts";

/**
 * Where each partition of a new assignment is read from: the group's committed offset, or else by `auto.offset.reset`.
 * Retries what can be retried until it is there or the signal aborts.
 *
 * @throws ConsumerError for a partition without a committed offset when the policy is `error`, and for what cannot be
 * retried (an authorization that is missing).
 */
export async function resolvePositions(
  cluster: Cluster,
  config: ResolvedConsumerConfig,
  session: GroupSession,
  partitions: readonly PartitionId[],
  signal: AbortSignal,
): Promise<AssignedPartition[]> {
  if (partitions.length === 0) return [];
  const committed = await fetchCommitted(cluster, session, partitions, signal, { config });
  const missing = partitions.filter((partition) => !committed.has(partitionKey(partition)));
  const reset = missing.length === 0 ? undefined : await resetPositions(cluster, config, missing, signal);
  return partitions.map(({ topic, index }) => {
    const key = partitionKey({ topic, index });
    const position = committed.get(key) ?? reset?.get(key);
    if (position === undefined)
      throw new ConsumerError(`No broker has told an offset for ${topic}[${index}].`);
    const { offset, leaderEpoch } = position;
    return { topic, index, offset, leaderEpoch, isCommitted: committed.has(key) };
  });
}

/**
 * Positions by `auto.offset.reset`, by partition key.
 *
 * @throws ConsumerError when the policy is `error`.
 */
export async function resetPositions(
  cluster: Cluster,
  config: ResolvedConsumerConfig,
  partitions: readonly PartitionId[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, { readonly offset: number; readonly leaderEpoch: number }>> {
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
    signal,
    config,
    isolationLevel: config["isolation.level"],
  });
}
