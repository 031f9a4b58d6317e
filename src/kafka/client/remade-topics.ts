import type { Clock } from "../../clock.ts";
import type { Cluster } from "./cluster.ts";
import { ErrorCodes } from "./error-codes.ts";
import { sleep } from "./latch.ts";
import { idOf } from "./metadata.ts";

/** What a commit waits for metadata, at most, and the share of its time. */
const LOOK_MS = 1_000;
const LOOK_SHARE = 0.25;

export interface OfTopic {
  readonly topic: string;
  /** The topic that it was read from; undefined while that is not known. */
  readonly topicId?: string | undefined;
  /** Whether it is being fetched: then whoever does so finds out what becomes of its topic. */
  readonly isFetched?: boolean | undefined;
}

/**
 * Those whose topic was deleted and made again since they were read: their offsets mean nothing in the new one. Offsets are
 * committed by the name of their topic (up to Kafka 4.1 brokers take ids only as an experiment), so whoever commits has to
 * look. Metadata is asked for anew where nobody else would have noticed, or where it says that something is the matter.
 */
export async function findRemade<Offset extends OfTopic>(
  cluster: Pick<Cluster, "topic" | "refresh">,
  offsets: readonly Offset[],
  { clock, timeoutMs, signal }: { clock: Clock; timeoutMs: number; signal: AbortSignal },
): Promise<ReadonlySet<Offset>> {
  const isInDoubt = offsets.some(
    ({ topic, topicId, isFetched }) =>
      topicId !== undefined && (isFetched === false || cluster.topic(topic)?.errorCode !== ErrorCodes.NONE),
  );
  if (isInDoubt) {
    const over = new AbortController();
    const limitMs = Math.min(LOOK_MS, timeoutMs * LOOK_SHARE);
    const limit = sleep(clock, limitMs, AbortSignal.any([signal, over.signal]));
    // Metadata that cannot be had is no reason not to commit.
    await Promise.race([cluster.refresh().catch(() => {}), limit]);
    over.abort();
  }
  return new Set(
    offsets.filter(({ topic, topicId }) => {
      const now = idOf(cluster.topic(topic));
      return topicId !== undefined && now !== undefined && now !== topicId;
    }),
  );
}
